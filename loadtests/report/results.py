"""Write loadtests/RESULTS.md from the reports in loadtests/out: `python -m
loadtests.report.results`.

Every benchmark prints one JSON object with `--json`; each line of a file in loadtests/out is one.
Rows are means over the seeds named beside them. Nothing here runs a benchmark.
"""

import argparse
import collections
import json
import pathlib

from loadtests.report import (
    attack_sections,
    loop_sections,
    run_sections,
    speed,
    tables,
    throughput_section,
)

HERE = pathlib.Path(__file__).parents[1]


def reports(folder):
    for path in sorted(folder.glob("*.json*")):
        for line in path.read_text().splitlines():
            if line.strip():
                yield json.loads(line)


WHY_MORE_ARE_REJECTED = (
    "More pods may be rejected although more GPUs are allocated: allocation counts GPUs, and a",
    "pod of eight takes what many small ones would. Where whole machines are kept for those that",
    "come late, the cluster fills up with larger pods, and small ones that come after them find",
    "it full. The share of 8-GPU pods that were accepted shows it.",
)


def packing_section(found):
    groups = tables.grouped(found, "trace")
    rows = []
    for (trace, policy), seeds in sorted(groups.items()):
        levels = [
            tables.number(tables.mean(seeds, lambda r, x=x: r["allocation"].get(x)))
            for x in ("95", "100", "130")
        ]
        rejected = tables.number(tables.mean(seeds, lambda r: r["rejected"]), 0)
        large = tables.number(tables.mean(seeds, lambda r: r["large_accepted"]), 1)
        above = tables.paired(groups, (trace, policy), lambda r: r["allocation"]["130"])
        rows.append([trace, policy, *levels, rejected, large, above, tables.seeds_of(seeds)])
    head = (
        *("trace", "policy", "at 95 %", "at 100 %", "at 130 %", "rejected", "8-GPU %"),
        *(f"above {tables.YARDSTICK} at 130 %", "seeds"),
    )
    yield "## Saturation: openb, GPU allocation in % when so much was asked"
    yield ""
    yield (
        "`python -m loadtests.quality.packing --pods TRACE --seed N --policy P --json`, "
        "random ties."
    )
    yield ""
    yield from WHY_MORE_ARE_REJECTED
    yield ""
    yield from tables.table(head, rows)


def churn_section(found):
    groups, rows = tables.grouped(found, "trace", "load"), []
    for (trace, load, policy), seeds in sorted(groups.items()):
        keys = ("gpu_accepted", "allocation", "large_accepted")
        values = [tables.number(tables.mean(seeds, lambda r, k=k: r[k])) for k in keys]
        above = tables.paired(groups, (trace, load, policy), lambda r: r["gpu_accepted"])
        rows.append([trace, str(load), policy, *values, above, tables.seeds_of(seeds)])
    head = (
        *("mix", "load", "policy", "GPUs accepted %", "allocation %", "8-GPU accepted %"),
        *(f"GPUs accepted above {tables.YARDSTICK}", "seeds"),
    )
    yield "## Departures: openb's mixes"
    yield ""
    yield (
        "`python -m loadtests.quality.churn --pods MIX --load L --seed N --policy P --json`: 26,000"
    )
    yield "arrivals, counted after 1.4 mean lives. A seed is one stream for all policies;"
    yield "differences are of the same streams, with the error of their mean."
    yield ""
    yield from tables.table(head, rows)


def mig_section(found):
    latest = {
        (r["load"], r["driver"], r.get("arrivals", 6000), r["seeds"], r["policy"]): r for r in found
    }
    mixes = ("uniform", "skew-small", "skew-big", "bimodal", "small-only")
    rows = []
    for (load, driver, arrivals, seeds, policy), report in sorted(latest.items()):
        cells = [
            f"{report['mixes'][m]['slices']:.2f} ± {report['mixes'][m]['error']:.2f}"
            if m in report["mixes"]
            else "–"
            for m in mixes
        ]
        rows.append([str(load), driver, policy, *cells, f"{seeds} x {arrivals}"])
    yield "## MIG instances coming and going: slices accepted in %"
    yield ""
    yield (
        "`python -m loadtests.quality.mig_churn --policy P --driver D --load L --seeds N "
        "--json`; the"
    )
    yield "error is of the mean over the seeds; `repack` may move everything and is a ceiling."
    yield "`railyard` is the engine; `railyard-fast` is its formulas on the benchmark's masks, the"
    yield (
        "same node for each pod (tests/loadtests/simulator/test_mig_streams.py). Scores predict "
        "first-fit whatever the driver"
    )
    yield "does. The streams are those on which goals were set (`mig_churn.FIRST_SEED`);"
    yield "another twenty move all means by up to 0.5, the ceiling's too."
    yield ""
    yield from tables.table(("load", "driver", "score", *mixes, "seeds x arrivals"), rows)


def published_section(found):
    runs = {(r["trace"], r["policy"], r["seed"]): r["off"] for f in found for r in f["runs"]}
    by_policy = collections.defaultdict(list)
    for (_, policy, _), off in runs.items():
        by_policy[policy].append(off)
    yield "## The harness against the published runs"
    yield ""
    yield (
        "`python -m loadtests.quality.published`: allocation at 50, 80, 95, 100, 110, "
        "120 and 130 %, run"
    )
    yield "by run, fixed rank among equals as published; both sides rounded to 0.01."
    yield ""
    rows = [
        [
            policy,
            str(len(offs)),
            str(sum(off < 0.0101 for off in offs)),
            tables.number(max(offs), 3),
        ]
        for policy, offs in sorted(by_policy.items())
    ]
    yield from tables.table(
        ("policy", "runs", "within 0.01 at every level", "largest difference"), rows
    )


def locality_section(found):
    latest = {(r["nodes"], r["locality_weight"], r["seed"]): r for r in found}
    groups = collections.defaultdict(dict)
    for (nodes, weight, seed), report in latest.items():
        groups[nodes, weight][seed] = report
    rows = []
    for (nodes, weight), seeds in sorted(groups.items()):
        every = [tables.mean(seeds, lambda r, k=k: r["bandwidth"]["all"][k]) for k in NEARNESS]
        parts = [
            tables.mean(seeds, lambda r, s=s: r["bandwidth"].get(s, {}).get("of_oracle"))
            for s in ("1+1", "2+2", "4+4")
        ]
        without = groups.get((nodes, 0.0), {})
        paired = {seed: r for seed, r in seeds.items() if seed in without}
        costs = [
            tables.with_error([without[seed][key] - r[key] for seed, r in paired.items()], 3)
            for key in ("allocation_at_100", "allocation")
        ]
        filled = [
            tables.mean(seeds, lambda r, k=k: r.get(k)) for k in ("filled_rate", "filled_best")
        ]
        cells = [tables.number(value, 3) for value in (*every, *parts)]
        near = [tables.number(value, 3) for value in filled]
        rows.append([str(nodes), str(weight), *cells, *costs, *near, tables.seeds_of(seeds)])
    head = (
        *("nodes", "weight", "chosen", "random", "best", "chosen / best", "1+1", "2+2", "4+4"),
        *("points lost at 100 %", "at 130 %", "factor while filling", "best then", "seeds"),
    )
    yield "## Locality: expected bandwidth factor of the devices that first fit gives"
    yield ""
    yield (
        "`python -m loadtests.quality.locality --nodes N --seeds S --weight W --json`: "
        "five kinds of"
    )
    yield "published machines; points of allocation lost against weight 0 on the same arrivals,"
    yield "with the error of the mean. `best then`: the best node at each moment."
    yield ""
    yield from tables.table(head, rows)


NEARNESS = ("chosen", "random", "oracle", "of_oracle")


def turnover_section(found):
    latest = collections.defaultdict(dict)
    for r in found:
        asked = (r["mix"], r["nodes"], r["load"], r["arrivals"])
        latest[asked, r["distance"]][r["seed"]] = r
    rows = []
    for (asked, distance), seeds in sorted(latest.items()):
        without = latest.get((asked, 0.0), {})
        paired = [(r, without[seed]) for seed, r in seeds.items() if seed in without]
        values = [
            tables.number(tables.mean(seeds, lambda r, k=k: r[k]), 3)
            for k in ("accepted", "rate", "best")
        ]
        gains = [
            tables.with_error([r[k] - w[k] for r, w in paired], 3) for k in ("accepted", "rate")
        ]
        plan = [str(value) for value in (*asked, distance)]
        rows.append([*plan, *values, *(gains if distance else ("", "")), tables.seeds_of(seeds)])
    head = (
        *("machines", "nodes", "load", "arrivals", "later distance", "GPUs accepted %", "factor"),
        *("best then", "more accepted", "factor gained", "seeds"),
    )
    yield "## Locality with pods coming and going: what the price of later distance does"
    yield ""
    yield (
        "`python -m loadtests.quality.turnover --mix MACHINES --nodes N --json`: with a "
        "distance of 0 the"
    )
    yield "room of later pods is priced, not how near their devices will be; the default is the"
    yield "weight of locality."
    yield ""
    yield from tables.table(head, rows)


HOURS = ("jct_hours", "queue_hours")


def gang_section(found):
    latest = {}
    for r in found:
        asked = (r["nodes"], r["jobs"], r["load"])
        latest[asked, r["policy"], r["proximity_weight"] or 0.0, r["seed"]] = r
    groups = collections.defaultdict(dict)
    for (asked, policy, weight, seed), report in latest.items():
        groups[asked, policy, weight][seed] = report
    rows = []
    for (asked, policy, weight), seeds in sorted(groups.items()):
        name = f"{policy}, weight {weight:g}" if weight else policy
        keys = ("split_nodes", "split_needlessly", "split_racks", "slow_down", *HOURS)
        values = [tables.number(tables.mean(seeds, lambda r, k=k: r[k])) for k in keys]
        rows.append([*(str(value) for value in asked), name, *values, tables.seeds_of(seeds)])
    head = (
        *("nodes", "jobs", "load", "policy", "split over nodes %", "with room on one"),
        *("over racks %", "slow-down", "completion h", "queue h", "seeds"),
    )
    yield "## Gangs: jobs of the Philly log on racks of eight nodes"
    yield ""
    yield (
        "`python -m loadtests.quality.gang --policy P --weight W --json`: Gavel's "
        "measured factors where"
    )
    yield "a gang lies on more nodes than it must, also where some node had room for it all."
    yield "`spread` is kube-scheduler's LeastAllocated."
    yield ""
    yield from tables.table(head, rows)


SECTIONS = {
    "published": published_section,
    "packing": packing_section,
    "again": run_sections.again_section,
    "realtrace": run_sections.realtrace_section,
    "churn": churn_section,
    "mig_churn": mig_section,
    "locality": locality_section,
    "turnover": turnover_section,
    "gang": gang_section,
    "coldstart": run_sections.coldstart_section,
    "events": run_sections.events_section,
    "wire": speed.wire_section,
    "growth": speed.growth_section,
    "page": speed.page_section,
    "event_pressure": loop_sections.event_pressure_section,
    "stalls": loop_sections.stalls_section,
    "shadow": speed.shadow_section,
    "throughput": throughput_section.section,
    "memory": attack_sections.memory_section,
    "hostile": attack_sections.holds_section,
    "pressure": attack_sections.pressure_section,
}


def main(arguments=None):
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--out", type=pathlib.Path, default=HERE / "out")
    parse.add_argument("--to", type=pathlib.Path, default=HERE / "RESULTS.md")
    options = parse.parse_args(arguments)
    by_benchmark = collections.defaultdict(list)
    for report in reports(options.out):
        by_benchmark[report.get("benchmark")].append(report)
    lines = [
        "# Measured",
        "",
        "Generated by `python -m loadtests.report.results` from the reports in `loadtests/out`.",
        "Runs marked fast model use the formulas of `extender.policy` on the simulator's arrays;",
        "runs of Railyard's engine show it every pod, claim and binding as the watch would.",
    ]
    for name, section in SECTIONS.items():
        if by_benchmark[name]:
            lines += ["", *section(by_benchmark[name])]
    options.to.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
