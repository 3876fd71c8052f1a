"""One decision as it is kept: short, and free of everything that lives in the index.

What was judged on each asked node is kept apart (`NodeAnswers`): for 5,000 nodes it takes 80 KB,
and is given up before the decision is.
"""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from extender.cluster.names import name_order

# (claim, request, driver, pool, device): as the node publishes them
Device: TypeAlias = tuple[str, str, str, str, str]

# What became of the pod.
WAITING, BOUND, GONE = "waiting", "bound", "gone"

# Bytes, about: of a decision, one of its best nodes, a device, a reason (measured by a test).
_DECISION, _NODE, _DEVICE, _REASON = 1400, 900, 140, 200
_ARRAYS = 600  # bytes of four arrays without their contents


@dataclasses.dataclass(frozen=True, slots=True)
class RefusedNodes:
    """How many nodes were refused for one reason; `for_good`: no eviction would help."""

    reason: str
    nodes: int
    for_good: bool


@dataclasses.dataclass(frozen=True, slots=True)
class BestNode:
    """One of the nodes that were ranked first; `parts` add up to `cost`, the least is the best."""

    node: str
    score: int
    cost: float
    tie: float
    parts: dict[str, float]
    devices: tuple[Device, ...] = ()
    locality: str = ""  # in words


@dataclasses.dataclass(frozen=True, slots=True)
class NodeAnswers:
    """What was answered for each asked node; the arrays are parallel.

    `key` tells the nodes apart (`name_order.order_of` of it), whatever rows they have by
    now. `reason` is the place of a reason in the decision's list, -1 where the node passed; `cost`
    is not a number and `score` -1 where it was not scored.
    """

    key: NDArray[np.int64]
    reason: NDArray[np.int16]
    cost: NDArray[np.float32]
    score: NDArray[np.int16]

    @property
    def bytes(self) -> int:
        arrays = (self.key, self.reason, self.cost, self.score)
        return sum(array.nbytes for array in arrays) + _ARRAYS

    def index_of(self, name: str) -> int:
        """Where the node stands; -1 where it was not asked about."""
        found = np.flatnonzero(self.key == name_order.order_of(name))
        return int(found[0]) if len(found) else -1


@dataclasses.dataclass(slots=True)
class PodOutcome:
    """What kube-scheduler then did, and whether it did as we expected.

    `devices` counts the pod's claims by how their allocation compares with the prediction (the
    results of `prediction_log`).
    """

    state: str = WAITING
    node: str = ""
    at: float = 0.0  # seconds since 1970; when our watch showed it
    devices: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True)
class Decision:
    """What was asked and answered; times are in seconds since 1970.

    Kept up to date are `attempts` and `last` (the same pod refused everywhere again), and
    `outcome`.
    """

    number: int
    first: float
    last: float
    namespace: str
    name: str
    uid: str
    demand: str
    profile: str
    policy: str  # hash
    asked: int
    passed: int
    unknown: int
    refused: tuple[RefusedNodes, ...]
    best: tuple[BestNode, ...] = ()
    attempts: int = 1
    answers: NodeAnswers | None = None
    outcome: PodOutcome = dataclasses.field(default_factory=PodOutcome)

    @property
    def pod(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def everywhere_refused(self) -> bool:
        return not self.passed

    @property
    def expected(self) -> BestNode | None:
        """The node that we ranked first."""
        return self.best[0] if self.best else None

    @property
    def bytes(self) -> int:
        """What it takes without its answers by node, about."""
        devices = sum(len(node.devices) for node in self.best)
        return _DECISION + _NODE * len(self.best) + _DEVICE * devices + _REASON * len(self.refused)
