"""What of a shape is in use: a value, interned beside the shape."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from extender.hardware.shape import Shape


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """What is taken of one `Shape`. Hashable: equal usages of one shape are one state.

    `taken`: bit i is set where device i is allocated as a whole. `shared`: consumed capacity of
    devices that allow several allocations, (device, ((capacity name, nano), …)), sorted.
    `drawn`: counters drawn from a pool by devices that the shape does not show,
    (pool, counter set, counter, nano), sorted. `held`: units in use per `Shape.resources`.
    `inferred`: the devices behind `held` are our guess (the API does not say which).
    """

    taken: int = 0
    shared: tuple[tuple[int, tuple[tuple[str, int], ...]], ...] = ()
    drawn: tuple[tuple[int, str, str, int], ...] = ()
    held: tuple[int, ...] = ()
    inferred: bool = False


NOTHING = Usage()


class NodeState(NamedTuple):
    """A node's scheduling-relevant condition; interned by the index."""

    shape: Shape
    usage: Usage
