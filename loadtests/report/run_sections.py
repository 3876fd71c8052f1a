"""The sections of RESULTS.md on runs against a control plane, and on runs that were repeated."""

import collections

from loadtests.report import tables

AGAIN = "packing .* --seed 4[23] --policy railyard$"


def realtrace_section(found):
    latest = collections.defaultdict(dict)  # what was asked → extender → report
    for r in found:
        asked = (r["trace"], r["mode"], r["nodes"], r["percentage"], r["seed"])
        latest[asked][r["extender"]] = r
    levels = ("95", "100", "130")
    rows = []
    for (trace, mode, nodes, percentage, seed), runs in sorted(latest.items()):
        said = next((r["simulated"] for r in runs.values() if "simulated" in r), {})
        for extender, r in sorted(runs.items()):
            modelled = said.get(extender, {}).get("allocation", {})
            cells = [
                tables.number(values.get(x))
                for values in (r["allocation"], modelled)
                for x in levels
            ]
            counts = [str(r[key]) for key in ("pods", "rejected")]
            counts.append(tables.number(r.get("large_accepted"), 1))
            plan = [trace, mode, str(nodes), str(percentage), extender]
            rows.append([*plan, *cells, *counts, tables.number(r["seconds"], 0), str(seed)])
    head = (
        *("trace", "mode", "nodes", "% scored", "extender", "at 95 %", "at 100 %", "at 130 %"),
        *("simulator: at 95 %", "at 100 %", "at 130 %", "pods", "rejected", "8-GPU %"),
        *("seconds", "seed"),
    )
    yield "## openb through the real kube-scheduler: GPU allocation in %"
    yield ""
    yield (
        "`python -m loadtests.realscheduler.realtrace --mode MODE --with EXTENDER --nodes "
        "N --percentage P`,"
    )
    yield "Kubernetes 1.36.3, extender weight 100; `plugin` turns shares of a GPU into whole ones."
    yield "Why more pods are rejected where more is allocated: see the table above."
    yield ""
    yield from tables.table(head, rows)


def coldstart_section(found):
    latest = {
        (r["nodes"], r.get("devices", 48), r["served"], r["started"]): r["runs"] for r in found
    }
    keys = ("cpu_seconds", "start_cpu_seconds", "server_cpu_seconds", "seconds", "load", "peak_mb")
    rows = [
        [
            *(str(value) for value in asked),
            *(tables.span([r[k] for r in runs]) if k in runs[0] else "–" for k in keys),
            str(len(runs)),
        ]
        for asked, runs in sorted(latest.items())
    ]
    head = (
        *(
            "nodes",
            "devices each",
            "served as",
            "started",
            "CPU s until ready",
            "of that before reading",
        ),
        *("the server's CPU s", "seconds", "load average then", "peak MB", "runs"),
    )
    yield "## From start to ready, everything read and in the index"
    yield ""
    yield (
        "`python -m loadtests.performance.coldstart --service --json`: nodes of 17 KB, "
        "slices of 48 devices"
    )
    yield "and 28 KB, or with `--partitioned` 216 devices in 10 slices, from a fake API server;"
    yield "two cores."
    yield ""
    yield from tables.table(head, rows)


def events_section(found):
    latest = {(r["kind"], r["nodes"], r["per_node"]): r for r in found}
    steps = ("decode", "apply", "settle", "decide")
    rows = [
        [
            *(str(value) for value in asked),
            *(tables.number(r["microseconds_per_pod"][step], 0) for step in steps),
            tables.number(r["all"], 0),
        ]
        for asked, r in sorted(latest.items())
    ]
    yield "## Events of a placement: microseconds of processor time a pod"
    yield ""
    yield (
        "`python -m loadtests.performance.events --kind K --nodes N --per-node P`: two "
        "events of a pod, six"
    )
    yield "with a claim, and its reservation; the index settles after each. No request is counted."
    yield ""
    yield from tables.table(("pods with", "nodes", "pods a node", *steps, "all"), rows)


def again_section(found):
    latest = {(r["seed"], r["trace"]): r for r in found}
    levels = ("95", "100", "130")
    rows, differences = [], {}  # seed → differences
    for (seed, trace), r in sorted(latest.items()):
        difference = r["allocation"]["130"] - r["before"]["130"]
        differences.setdefault(seed, []).append(difference)
        cells = [tables.number(r["allocation"][x]) for x in levels]
        rows.append([trace, *cells, tables.number(difference), str(seed)])
    everything = [each for values in differences.values() for each in values]
    yield "## Saturation, run again with the code of today"
    yield ""
    yield f"`python -m loadtests.report.suite --again --only '{AGAIN}'`:"
    yield "an order of each trace, and how far it is from the run of the same order above. Which of"
    yield "equal nodes is taken changes with any change of the code, and all that follows with it:"
    yield "the difference of one run is chance, and what counts is the mean over many."
    yield f"Over all it is {tables.with_error(everything, 3)}."
    yield ""
    means = [
        (str(seed), str(len(values)), tables.with_error(values, 3))
        for seed, values in differences.items()
    ]
    yield from tables.table(("seed of the order", "traces", "mean difference at 130 %"), means)
    yield ""
    head = ("trace", "at 95 %", "at 100 %", "at 130 %", "difference at 130 %", "seed")
    yield from tables.table(head, rows)
