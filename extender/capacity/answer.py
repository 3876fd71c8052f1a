"""What a count of capacity comes to, as plain values."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class PoolCapacity:
    """Nodes of one model on which the shape gets the same thing: a DeviceClass, a resource.

    `free` and `total` count the devices or units that the shape asks for; `defragmented` is an
    upper bound, reached only if pods could be moved at will within the pool; `empty` is how many
    its nodes would take without any other pod.
    """

    model: str
    source: str  # the resources and DeviceClasses that the shape gets there
    nodes: int
    free: int
    total: int
    fits: int
    defragmented: int
    empty: int
    fits_on: dict[str, int]  # node → how many more it takes, of those that take any

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class BlockingHolder:
    """Who holds what the shape needs: the pods of a namespace."""

    namespace: str
    pods: int
    devices: int

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Blocker:
    """What stands in the way of the next pod: `gain` more would fit if it alone did not."""

    kind: str  # held, fragmentation, cpu, memory, locality, constraint, node, hardware, …
    gain: int
    text: str
    nodes: int = 0
    holders: tuple[BlockingHolder, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Moved:
    """A pod that a drain evicts, and the node that would take it; empty where none does."""

    pod: str
    node: str

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Drained:
    """What draining a node changes: its pods go elsewhere, and it is empty.

    `fits_elsewhere` is what the other nodes still take once they have its pods; `freed` what the
    node itself would take when it is back.
    """

    node: str
    moved: tuple[Moved, ...]
    fits_elsewhere: int
    freed: int
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class ShapeCapacity:
    """How many more pods of a shape fit, where, and why not more."""

    shape: str
    demand: str
    generation: int
    fits: int
    defragmented: int
    empty: int
    next_node: str  # where the next pod would go; empty where none fits
    pools: tuple[PoolCapacity, ...]
    blockers: tuple[Blocker, ...]
    drained: Drained | None = None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
