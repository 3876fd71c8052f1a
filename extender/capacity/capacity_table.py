"""A capacity as a table for people, as wide as the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from extender.capacity import answer, blockers

HEADER = ("MODEL", "RESOURCE OR CLASS", "NODES", "FREE", "FITS", "DEFRAG", "EMPTY")
_LEFT = 2  # columns that are text
_GAP = "  "
_LEAST = 12  # columns that a text keeps however narrow the terminal is
_MOST_BLOCKERS = 8


def lines(
    found: answer.ShapeCapacity, *, width: int | None = None, every: bool = False
) -> Iterator[str]:
    """The capacity as lines of text; `every` lists the nodes that take some."""
    more = "1 more pod fits" if found.fits == 1 else f"{found.fits} more pods fit"
    where = f"; the next goes to {found.next_node}" if found.next_node else ""
    yield from _wrapped(f"{found.shape} ({found.demand}): {more}{where}", width)
    if found.pools:
        rows = [HEADER, *map(_row, found.pools)]
        if len(found.pools) > 1:
            total = (found.fits, found.defragmented, found.empty)
            nodes = sum(pool.nodes for pool in found.pools)
            counts = (str(total[0]), f"<={total[1]}", str(total[2]))
            rows.append(("all", "", str(nodes), "", *counts))
        yield from _table(rows, width)
    if every:
        for pool in found.pools:
            for node, count in sorted(pool.fits_on.items(), key=lambda item: (-item[1], item[0])):
                yield f"  {node}: {count}"
    if found.blockers:
        yield "what blocks the next pod, and how many more fit without it alone:"
    for blocker in found.blockers[: None if every else _MOST_BLOCKERS]:
        holders = f": {blockers.holders_text(blocker)}" if blocker.holders else ""
        gain = f"+{blocker.gain}" if blocker.gain else "-"
        yield from _wrapped(f"  {gain:>6}  {blocker.text}{holders}", width, indent=" " * 10)
    if found.drained is not None:
        yield from _drained(found.drained, width)
    for note in found.notes:
        yield from _wrapped(f"note: {note}", width)


def _drained(drained: answer.Drained, width: int | None) -> Iterator[str]:
    lost = [each.pod for each in drained.moved if not each.node]
    text = (
        f"draining {drained.node}: evicts {len(drained.moved)} pods, {len(lost)} of them find no"
        f" other place; the other nodes then take {drained.fits_elsewhere}, the emptied node"
        f" would take {drained.freed}"
    )
    yield from _wrapped(text, width)
    if lost:
        yield from _wrapped(f"  no other place: {', '.join(lost)}", width, indent="  ")
    for note in drained.notes:
        yield from _wrapped(f"note: {note}", width)


def _row(pool: answer.PoolCapacity) -> tuple[str, ...]:
    return (
        pool.model,
        pool.source,
        str(pool.nodes),
        f"{pool.free}/{pool.total}" if pool.total else "",
        str(pool.fits),
        f"<={pool.defragmented}",
        str(pool.empty),
    )


def _table(rows: Sequence[tuple[str, ...]], width: int | None) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    numbers = sum(widths[_LEFT:]) + len(_GAP) * (len(HEADER) - 1)
    if width is not None and sum(widths[:_LEFT]) + numbers > width:
        left = max(width - numbers, 2 * _LEAST)
        widths[1] = max(min(widths[1], left - min(widths[0], left // 2)), _LEAST)
        widths[0] = max(left - widths[1], _LEAST)
    for row in rows:
        cells = [
            textwrap.wrap(row[column], widths[column], break_on_hyphens=True) or [""]
            for column in range(_LEFT)
        ]
        for number in range(max(map(len, cells))):
            texts = [
                (cell[number] if number < len(cell) else "").ljust(widths[column])
                for column, cell in enumerate(cells)
            ]
            if not number:
                texts += [row[c].rjust(widths[c]) for c in range(_LEFT, len(HEADER))]
            yield _GAP.join(texts).rstrip()


def _wrapped(text: str, width: int | None, indent: str = "  ") -> list[str]:
    if width is None:
        return [text]
    return textwrap.wrap(text, width, subsequent_indent=indent) or [""]
