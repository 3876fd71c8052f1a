"""An explanation as a table for people: as wide as the terminal, equal refusals shown once.

SCORE is what kube-scheduler would get (10 the best node, one less a step), COST what it comes
from (in GPUs, the least is best); the words of the locality levels are those of the README.
"""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from extender.decisions.explanation import explain

HEADER = ("NODE", "VERDICT", "SCORE", "COST", "DEVICES", "WHY")
_GAP = "  "
_LEAST_WHY = 30  # columns: narrower text is read more easily below the node's line
_MOST_DEVICES = 28  # columns of the devices, where the table must fit
_SHOWN = 0.005  # a part of the cost that prints as more than 0.00
_COLOURS = {"fits": "\x1b[32m", "not judged": "\x1b[33m", "refused": "\x1b[31m"}
_PLAIN = "\x1b[0m"


@dataclasses.dataclass(frozen=True, slots=True)
class TableLayout:
    """How to print: `width` in columns (None: as wide as it gets), `every` node on its own row."""

    width: int | None = None
    every: bool = False
    colour: bool = False


def lines(explanation: explain.Explanation, layout: TableLayout | None = None) -> Iterator[str]:
    """The explanation as lines of text; of the costs the least is the best."""
    layout = layout or TableLayout()
    asked = explanation.demand or "not judged"
    profile = f" (profile {explanation.profile})" if explanation.profile else ""
    yield from _wrapped(f"pod {explanation.pod}: {asked}{profile}", layout.width)
    single, groups = _grouped(explanation.nodes, every=layout.every)
    costs = Counter(node.cost for node in explanation.nodes)
    rows = [HEADER, *(_row(node, costs, layout) for node in single)]
    if len(rows) > 1:
        yield from _table(rows, layout)
    for (_, reason), count in groups:
        yield from _wrapped(f"{count} nodes: {reason}", layout.width)
    if groups:
        yield from _wrapped("(--all lists them)", layout.width)
    for note in explanation.notes:
        yield from _wrapped(f"note: {note}", layout.width)


def _grouped(
    nodes: Sequence[explain.Explained], *, every: bool
) -> tuple[list[explain.Explained], list[tuple[tuple[str, str], int]]]:
    """The nodes with a row of their own, and how many share a (verdict, reason), the most first."""
    keys = Counter(_group(node) for node in nodes)
    shared = {key for key, count in keys.items() if count > 1 and key is not None and not every}
    single = [node for node in nodes if _group(node) not in shared]
    groups = [(key, count) for key, count in keys.most_common() if key in shared and key]
    return single, groups


def _group(node: explain.Explained) -> tuple[str, str] | None:
    if node.verdict.startswith("refused") or (node.verdict == "not judged" and node.score is None):
        return node.verdict, "; ".join([node.reason or node.verdict, *node.notes])
    return None


def _row(
    node: explain.Explained, costs: Counter[float | None], layout: TableLayout
) -> tuple[str, ...]:
    scored = node.score is not None and node.cost is not None
    names = [device.device for device in node.devices]
    return (
        node.node,
        node.verdict,
        str(node.score) if scored else "",
        f"{node.cost:.2f}" if scored else "",
        ", ".join(names if layout.width is None else _runs(names)),
        "; ".join(_why(node, tied=scored and costs[node.cost] > 1)),
    )


_NUMBERED = re.compile(r"(.*?)(\d+)")


def _runs(names: Sequence[str]) -> list[str]:
    """Names that count on, shown by the first and last: gpu-0, gpu-1, gpu-2 is gpu-0..2."""
    found: list[str] = []
    start = 0
    while start < len(names):
        match = _NUMBERED.fullmatch(names[start])
        stop = start + 1
        if match is not None:
            number = int(match[2])
            while stop < len(names) and names[stop] == f"{match[1]}{number + stop - start}":
                stop += 1
        if match is not None and stop - start > 2:
            found.append(f"{names[start]}..{int(match[2]) + stop - start - 1}")
        else:
            found += names[start:stop]
        start = stop
    return found


def _table(rows: Sequence[tuple[str, ...]], layout: TableLayout) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER) - 1)]
    if layout.width is None:
        for row in rows:
            yield f"{_line(row[:5], widths, layout)}{_GAP}{row[5]}".rstrip()
        return
    widths[4] = min(widths[4], _MOST_DEVICES)
    left = layout.width - sum(widths) - len(_GAP) * len(widths)
    if left < _LEAST_WHY:
        yield from _stacked(rows, widths[:4], layout)
        return
    for row in rows:
        devices = textwrap.wrap(row[4], widths[4], break_on_hyphens=False)
        why = textwrap.wrap(row[5], left, break_on_hyphens=False)
        for number in range(max(len(devices), len(why), 1)):
            first = row[:4] if number == 0 else ("",) * 4
            cells = (*first, devices[number] if number < len(devices) else "")
            text = why[number] if number < len(why) else ""
            yield f"{_line(cells, widths, layout)}{_GAP}{text}".rstrip()


def _stacked(
    rows: Sequence[tuple[str, ...]], widths: Sequence[int], layout: TableLayout
) -> Iterator[str]:
    """Devices and reasons below the line of their node, where columns would be too narrow."""
    for row in rows:
        yield _line(row[:4], widths, layout).rstrip()
        for text in row[4:] if row is not rows[0] else ():
            yield from _wrapped(text, layout.width, "    ")


def _wrapped(text: str, width: int | None, indent: str = "") -> Iterable[str]:
    if width is None:
        return [indent + text]
    return textwrap.wrap(
        text, max(width, 20), initial_indent=indent,
        subsequent_indent=indent or _GAP, break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip


def _line(cells: Sequence[str], widths: Sequence[int], layout: TableLayout) -> str:
    """Cells side by side, the verdict in its colour."""
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    colour = next((c for word, c in _COLOURS.items() if cells[1].startswith(word)), "")
    if layout.colour and colour:
        padded[1] = f"{colour}{padded[1]}{_PLAIN}"
    return _GAP.join(padded)


def _why(node: explain.Explained, *, tied: bool) -> Iterable[str]:
    """What a row of the table says: reasons, the parts that cost something, what is uncertain."""
    if node.reason and not node.near.startswith(node.reason):
        yield node.reason
    if node.near and node.parts.get("locality", 0.0) < _SHOWN:
        yield node.near
    for part, cost in node.parts.items():
        if cost >= _SHOWN and part in node.grounds:
            yield f"{part} {cost:.2f}: {node.grounds[part]}"
    if not node.near and not node.cost:
        yield from node.grounds.values()
    if tied and node.tie is not None:
        yield "no GPUs to waste" if node.tie < 0 else f"of equal costs the tighter ({node.tie:.3f})"
    yield from node.notes
