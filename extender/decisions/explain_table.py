"""An explanation as a table for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from extender.decisions import explain

HEADER = ("NODE", "VERDICT", "SCORE", "COST", "DEVICES", "WHY")
_SHOWN = 0.005  # a part of the cost that prints as more than 0.00


def lines(explanation: explain.Explanation) -> Iterable[str]:
    """The explanation as a table for a terminal; of the costs the least is the best."""
    demand = explanation.demand or "not judged"
    profile = f" (profile {explanation.profile})" if explanation.profile else ""
    yield f"pod {explanation.pod}: {demand}{profile}"
    costs = Counter(node.cost for node in explanation.nodes)
    rows = [HEADER]
    for node in explanation.nodes:
        scored = node.score is not None and node.cost is not None
        rows.append(
            (
                node.node,
                node.verdict,
                str(node.score) if scored else "",
                f"{node.cost:.2f}" if scored else "",
                ", ".join(device.device for device in node.devices),
                "; ".join(_why(node, tied=scored and costs[node.cost] > 1)),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[-1]]).rstrip()
    for note in explanation.notes:
        yield f"note: {note}"


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
