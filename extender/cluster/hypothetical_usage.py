"""For a moment, a node counts as if less, or more, of it were in use."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from extender.cluster import index
from extender.hardware.usage import Usage


@dataclasses.dataclass(frozen=True, slots=True)
class NodeUsage:
    """What of a node is in use: its devices, CPU in milli and memory in bytes."""

    node: str
    usage: Usage
    cpu: int
    memory: int


@contextlib.contextmanager
def applied(cluster: index.TopologyIndex, other: NodeUsage | None) -> Iterator[None]:
    """Within the block the node's row is written as for that usage; nothing may be settled there.

    The index is settled; what rests on the row is worked out anew after the block, too.
    """
    detail = cluster.detail(other.node) if other is not None else None
    if other is None or detail is None:
        yield
        return
    row = cluster.rows[other.node]
    before = NodeUsage(other.node, detail.usage, detail.cpu_asked, detail.memory_asked)
    try:
        _put(cluster, row, detail, other)
        yield
    finally:
        _put(cluster, row, detail, before)


def _put(cluster: index.TopologyIndex, row: int, detail: index.Row, other: NodeUsage) -> None:
    detail.usage, detail.cpu_asked, detail.memory_asked = other.usage, other.cpu, other.memory
    cluster.write(row, detail)
