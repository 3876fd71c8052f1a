"""Sections of RESULTS.md about attacks: memory, holds of the loop, and what others wait."""

from __future__ import annotations

from loadtests.report import tables


def memory_section(found):
    """The process's size along the run."""
    yield "## Memory through distinct pods, hostile pods and hostile bodies"
    yield ""
    yield "`python -m loadtests.performance.process.memory --json`: `railyard serve`, a fake API"
    yield "server. `peak` is VmHWM: in the middle of the largest body that is taken (`--max-body`)."
    yield ""
    head = (
        "nodes",
        "pods",
        "ready MB",
        "MB on the way",
        "at rest MB",
        "peak MB",
        "machine",
        "date",
    )
    rows = []
    for report in found:
        step = max(len(report["sizes"]) // 5, 1)
        way = ", ".join(f"{pods}: {size:.0f}" for pods, size in report["sizes"][::step])
        figures = (report["ready_mb"], way, report["rest_mb"], report["peak_mb"])
        rows.append([report["nodes"], report["pods"], *figures, report["machine"], report["date"]])
    yield from tables.table(head, [list(map(str, row)) for row in rows])


def holds_section(found):
    """The longest hold of each hostile pod, the lowest of its runs."""
    lowest: dict[str, float] = {}
    for report in found:
        for case, calls in report["holds_ms"].items():
            lowest[case] = min(lowest.get(case, float("inf")), max(calls.values()))
    yield "## The longest hold of the loop by each hostile pod"
    yield ""
    yield f"`python -m loadtests.performance.hostile --json`, {found[-1]['nodes']} nodes,"
    yield "all asked about: ms of processor time of the longest call, the lowest"
    yield f"of {len(found)} runs, as neighbours on the machine only add to it."
    yield ""
    rows = [[case, f"{took:.1f}"] for case, took in sorted(lowest.items(), key=lambda row: -row[1])]
    yield from tables.table(("pod", "ms"), rows)


def pressure_section(found):
    """What a plain pod's filter waits under pressure, beside idle calls of the same run."""
    report = found[-1]
    yield "## A plain pod's filter under pressure"
    yield ""
    yield "`python -m loadtests.performance.process.pressure --json`: ratios to idle calls of that"
    yield f"run, taken in turns; {report['nodes']} nodes, {report['clients']} clients on the admin"
    yield f"port. {report['machine']}, {report['date']}."
    yield ""
    rows = [
        [leg, f"{each['p50']:.2f}", f"{each['p99']:.2f}", str(each["idle_us"]["p50"]),
         str(each["idle_us"]["p99"]), str(each["calls"])]
        for leg, each in report["legs"].items()
    ]  # fmt: skip
    yield from tables.table(("under", "p50", "p99", "idle p50 µs", "idle p99 µs", "calls"), rows)
