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
        told = [
            f"{mine['p50'] / other['p50']:.2f} ({mine['cpu'] / max(other['cpu'], 1):.2f})"
            if (other := report["us"].get(peer))
            else "–"
            for peer in PEERS
        ]
        tail = f"{mine['p90'] / mine['p50']:.1f}"
        run = f"{report['machine']}, Python {report['python']}, {report['date']}"
        rows.append([str(names), sent, f"{gap:g}", *told, tail, str(report["pods"]), run])
    yield "## filter + prioritize beside peers that judge nothing, as ratios"
    yield ""
    yield "`python -m loadtests.performance.wire --json`: Railyard's median over the peer's, wall"
    yield "time and in brackets CPU time of the service; all asked in turn, pod by pod. With many"
    yield "neighbours on the machine wall times say little: CPU time is what to compare. `before`"
    yield "is the tree before names were laid out and kinds judged ahead."
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
