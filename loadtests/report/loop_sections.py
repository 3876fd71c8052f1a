"""Sections of RESULTS.md about the event loop: how long it is held, and what events cost calls."""

from __future__ import annotations

from loadtests.report import tables


def event_pressure_section(found):
    """Pairs beside events of the watch, as ratios to the idle ones around them."""
    yield "## filter + prioritize while the watch shows events"
    yield ""
    yield "`python -m loadtests.performance.process.event_pressure --apart --json`: `railyard"
    yield "serve` over a fake API server; pods of all kinds, one after the other with a pause, idle"
    yield "and beside so many events of pods a second (one appears, is bound, ends), in turns. By"
    yield "the clock, and in brackets in processor time that the service took until its answer."
    yield "Goals: p90 1.25 at 1,000 events a second, 2 at 5,000."
    yield ""
    rows = []
    latest = {(r["nodes"], rate): (r, leg) for r in found for rate, leg in r["legs"].items()}
    for (nodes, rate), (report, leg) in sorted(latest.items(), key=lambda row: int(row[0][1])):
        wall, cpu = leg["wall"], leg["cpu"]
        rows.append([
            f"{nodes} / {report['names']}",
            f"{leg['events_a_second']} of {rate}",
            f"{wall['p50']:.2f} ({cpu['p50']:.2f})",
            f"{wall['p90']:.2f} ({cpu['p90']:.2f})",
            f"{wall['idle_us']['p50']} / {wall['idle_us']['p90']}",
            f"{wall['loaded_us']['p50']} / {wall['loaded_us']['p90']}",
            str(leg["pairs"]),
            f"{report['machine']}, Python {report['python']}, {report['date']}",
        ])  # fmt: skip
    head = (
        "nodes / names",
        "events/s",
        "p50",
        "p90",
        "idle µs",
        "beside events µs",
        "pairs",
        "run",
    )
    yield from tables.table(head, rows)


def stalls_section(found):
    """The longest turns and collections, phase by phase; and first filters of new kinds."""
    report = found[-1]
    yield "## How long the event loop is held, and the first filter of a new kind"
    yield ""
    yield f"`python -m loadtests.performance.process.stalls --json`: {report['nodes']} nodes, ms of"
    yield "processor time of the loop's thread: the longest time between two ticks a millisecond"
    yield "apart, and the longest garbage collection. Goals: 5 for work ahead, 10 in a relist of"
    yield "all, 5 for a collection. Until ready no call is judged, and nobody is held."
    yield f"{report['machine']}, {report['date']}."
    yield ""
    phases = report["phases"]
    rows = [
        [
            name,
            f"{reported['turn_ms']:.1f}",
            f"{reported['gc_ms']:.1f}",
            str(reported["collections"]),
        ]
        for name, reported in phases.items()
    ]
    yield from tables.table(("phase", "longest turn", "longest collection", "collections"), rows)
    yield ""
    yield "Filter of a kind of pods that the watch showed 100 ms before, over a warm one that comes"
    yield "after a pause of 100 ms as well, and over those that follow each other. Goal: 2."
    yield ""
    rows = [
        [
            name,
            *(f"{reported[f'{each}_ms']:.2f}" for each in ("first", "rested", "warm")),
            *(f"{reported[f'to_{each}']:.2f} ({reported[f'to_{each}_p90']:.2f})" for each in _WARM),
        ]
        for name, reported in phases.items()
        if "first_ms" in reported
    ]
    head = ("kinds", "first ms", "warm, rested", "warm", "to rested (p90)", "to warm (p90)")
    yield from tables.table(head, rows)


_WARM = ("rested", "warm")
