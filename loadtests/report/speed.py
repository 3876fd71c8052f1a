"""Sections of RESULTS.md about speed: the wire beside its peers, and how the cost grows."""

from __future__ import annotations

import pathlib

from loadtests.report import tables

PLOT = pathlib.Path(__file__).parents[2] / "docs" / "images" / "growth.svg"
PEERS = ("floor", "noop", "go", "before")


def wire_section(found):
    """Ratios of medians of one run, wall time and CPU time of the service."""
    latest = {(r["names"], r["sent"], r["gap_ms"]): r for r in found}
    rows = []
    for (names, sent, gap), report in sorted(latest.items()):
        mine = report["us"]["railyard"]
        reported = [
            f"{mine['p50'] / other['p50']:.2f} ({mine['cpu'] / max(other['cpu'], 1):.2f})"
            if (other := report["us"].get(peer))
            else "–"
            for peer in PEERS
        ]
        tail = f"{mine['p90'] / mine['p50']:.1f}"
        run = f"{report['machine']}, Python {report['python']}, {report['date']}"
        rows.append([str(names), sent, f"{gap:g}", *reported, tail, str(report["pods"]), run])
    yield "## filter + prioritize beside peers that judge nothing, as ratios"
    yield ""
    yield "`python -m loadtests.performance.wire --json`: Railyard's median over the peer's, wall"
    yield "time, in brackets CPU time of the service; in turn, in blocks of 20 pods. With many"
    yield "neighbours on the machine wall times say little: CPU time is what to compare. `before`"
    yield "is the tree that `--tree` named, here the one before names were found run by run and"
    yield "work ahead made way for calls. Goals: 3.5 of `floor`; of `go` 0.85 for 500 names and"
    yield "0.35 for 5,000; of `noop` 0.35 for whole nodes; p90 / p50 at most 2."
    yield "The last two are met."
    yield ""
    head = ("nodes asked", "sent as", "gap ms", *PEERS, "p90 / p50", "pods", "run")
    yield from tables.table(head, rows)


def growth_section(found):
    """The axes as a table, and drawn."""
    latest = {report["axis"]: report for report in found}
    rows = [
        [axis, ", ".join(f"{value}: {took}" for value, took in r["points"]), r["machine"]]
        for axis, r in latest.items()
    ]
    draw(latest)
    yield "## How the cost of a pod grows: microseconds of CPU time"
    yield ""
    yield "`python -m loadtests.performance.growth --json`: filter, prepare and prioritize in"
    yield "process, one axis at a time; the lower fifth of the pods, as neighbours only add to it."
    yield ""
    yield f"![cost of a pod along each axis](../docs/images/{PLOT.name})"
    yield ""
    yield from tables.table(("along", "value: microseconds", "run"), rows)


def draw(reports):
    """Write the plot; without matplotlib the one that is there stays."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra
    except ImportError:
        return
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "growth"  # the same bytes for the same figures
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, panels = plt.subplots(1, len(reports), figsize=(4 * len(reports), 3), sharey=True)
    for panel, (axis, report) in zip(panels, reports.items(), strict=True):
        values, took = zip(*report["points"], strict=True)
        panel.plot(values, took, marker="o")
        panel.set_xlabel(axis)
    panels[0].set_ylim(bottom=0)  # shared; once all of them have set its top
    panels[0].set_ylabel("µs of CPU time a pod")
    figure.tight_layout()
    figure.savefig(PLOT, metadata={"Date": None})
    plt.close(figure)


def page_section(found):
    """The page in Chromium: first paint, interactions, and the calls beside three browsers."""
    latest = {(r["nodes"], r["apart"]): r for r in found}
    rows = []
    for (nodes, apart), r in sorted(latest.items()):
        paints, acts, calls = r["first_paint_ms"], r["interaction_ms"], r["calls"]
        idle, loaded = calls["idle_us"], calls["loaded_us"]
        rounds = ", ".join(f"{each:.2f}" for each in calls["p99_by_round"])
        rows.append([
            f"{nodes}",
            "own cores" if apart else "as it comes",
            f"{max(paints.values()):.0f} ({r['first_paint_worst_ms']:.0f})",
            f"{max(acts.values()):.0f}",
            f"{idle['p50'] / 1e3:.2f} / {idle['p99'] / 1e3:.2f}",
            f"{loaded['p50'] / 1e3:.2f} / {loaded['p99'] / 1e3:.2f}",
            f"{calls['p99']:.2f} ({rounds})",
            f"{r['machine']}, {r['date']}",
        ])  # fmt: skip
    yield "## The web page in Chromium, and kube-scheduler's calls beside three browsers"
    yield ""
    yield "`python -m loadtests.performance.page --apart --json`: milliseconds. Each node is in"
    yield "a state of its own, which is the worst case. First paint: the slowest kind of page by"
    yield "its median (the slowest load of all); interaction: the slowest of sorting, searching,"
    yield "opening. Calls are filter of a pod without devices for 500 names, p50 / p99, alone and"
    yield "beside browsers on the overview, the pods and a pool, each asking again every five"
    yield "seconds. `own cores`: service and caller on one core, Chromium on the other, so that the"
    yield "ratio is what the pages cost the service and not what a browser takes of its core."
    yield "Goals: 1500, 100, and a ratio of p99 of 1.1."
    yield ""
    head = (
        *("nodes", "browsers", "first paint", "interaction", "calls alone", "beside three"),
        *("p99, ratio (by round)", "run"),
    )
    yield from tables.table(head, rows)


def shadow_section(found):
    """What a candidate in shadow adds to the verbs, and how much of the traffic it judged."""
    latest = {(r["nodes"], r["names"], r["gap"], r.get("cpu_percent", 0.7)): r for r in found}
    rows = []
    for (nodes, names, gap, percent), r in sorted(latest.items()):
        judged, skipped, unfinished = (
            sum(each[name] for each in r["candidate"])
            for name in ("judged", "skipped", "unfinished")
        )
        for verb in ("filter", "prioritize"):
            cells = [
                cell
                for part in (r[verb]["p50"], r[verb]["p99"])
                for cell in (
                    f"{part['plain_ms']:.2f} → {part['shadow_ms']:.2f}",
                    f"{part['ratio']:.3f}",
                    f"{part['range'][0]:.3f} to {part['range'][1]:.3f}",
                )
            ]
            seen = (str(judged), str(judged + skipped + unfinished))
            plan = [f"{nodes} / {names}", f"{gap * 1e3:g}", f"{percent:g} %", verb, *cells]
            rows.append([*plan, str(r[verb]["calls"]), *seen, str(r["pairs"])])
    yield "## What a candidate in shadow adds to filter and prioritize"
    yield ""
    yield "`python -m loadtests.performance.shadow --pairs 4`: pairs of services, one of them"
    yield "with a candidate that prices by itself; ms without and with it, and the ratio with the"
    yield "range of its bootstrap (95 %). Goals: 1.05 at p50, 1.10 at p99. With a gap of 0 the"
    yield "next call follows each answer at once, which is the load under which a candidate costs"
    yield "most and gets to judge least: `judged` counts the decisions that its share of a core"
    yield "sufficed for during the run, so these ratios are the price of a small sample and not"
    yield "of judging everything."
    yield ""
    head = (
        *("nodes / names", "gap ms", "share", "verb", "p50, ms", "ratio", "range", "p99, ms"),
        *("ratio", "range", "calls each", "judged", "decisions", "pairs"),
    )
    yield from tables.table(head, rows)
