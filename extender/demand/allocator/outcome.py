"""What the allocator answers for one node: devices, no, an error, or that we cannot tell."""

from __future__ import annotations

import dataclasses
from typing import TypeAlias


@dataclasses.dataclass(frozen=True, slots=True)
class Pick:
    """One device of an allocation.

    `claim` is the claim's index, `request` "req" or "req/sub", `device` an index into
    `Shape.devices`. `shared` marks a share of a device that allows several allocations;
    `consumed` is what it takes, (capacity name, nano units), sorted.
    """

    claim: int
    request: str
    device: int
    admin: bool = False
    shared: bool = False
    consumed: tuple[tuple[str, int], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Allocated:
    """The devices kube-scheduler picks, in its order.

    `certain` is false where this version walks pools or slices in random order and the node has
    several: the pick is then one of those that kube-scheduler may make.
    """

    picks: tuple[Pick, ...]
    steps: int
    certain: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class NoFit:
    """The claims do not fit; `why` is one of the words of `demand.allocator.unschedulable`.

    `request` of claim number `claim` is the first that cannot be had; empty where every request
    could be had alone.
    """

    steps: int
    why: str
    claim: int = 0
    request: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Failed:
    """kube-scheduler answers with an error: for the whole pod, or for this node only."""

    message: str
    whole_pod: bool
    steps: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Unknown:
    """We cannot tell: the step budget is used up, or a selector is beyond us."""

    steps: int
    message: str


Outcome: TypeAlias = Allocated | NoFit | Failed | Unknown
