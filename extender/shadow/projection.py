"""A hypothetical cluster: what one policy would have made of the cluster with the same pods.

It begins as the cluster is, and each decision of the real one is placed in it by this policy's own
scores, on the nodes as this policy has left them so far. Nobody leaves it: after `MOST_PLACED` pods
it begins anew. A gang keeps close to its members' real nodes, prices stay as they were at the
beginning, and scores of kube-scheduler have no say.

Beside the prices it takes the arrays of an index: some 150 bytes a node.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.decisions import engine, scored_nodes, scorer
from extender.kube.api import objects
from extender.policy import config
from extender.shadow import candidate
from extender.verdicts import evaluator, resolver

MOST_PLACED = 1000  # pods, after which the hypothetical clusters begin anew
# Nodes that a pod is tried on: a tenth of a millisecond each where its price is not known. As in
# kube-scheduler's own choice of nodes, those that the last pod was not tried on come first.
MOST_NODES = 64
_KEPT_EVERY = 16  # pods
# Pods that wait until nobody calls, and nodes of each: 3 MB at most. Of a larger burst each pod is
# as likely to stay, and the longer it is the fewer are resolved at all (50 us, in the pause).
MOST_WAITING = 128
_MOST_NAMES = 256
SIZES = (1, 2, 4, 8)  # GPUs of a pod, as most are


@dataclasses.dataclass(frozen=True, slots=True)
class Projected:
    """What a policy has made of its cluster; GPUs unless said otherwise."""

    placed: int = 0  # pods
    refused: int = 0  # pods that no node would have taken
    gpus: float = 0.0
    allocated: float = 0.0
    locality_cost: float = 0.0  # mean of 1 - locality over the pods placed; 0 is the best
    headroom: tuple[tuple[int, float], ...] = ()  # (GPUs of a pod, GPUs in whole sets of so many)

    def as_json(self) -> dict[str, Any]:
        return {
            "placed": self.placed,
            "refused": self.refused,
            "gpus": self.gpus,
            "allocatedGpus": self.allocated,
            "allocation": self.allocated / self.gpus if self.gpus else None,
            "localityCost": self.locality_cost,
            "headroomGpus": {str(size): gpus for size, gpus in self.headroom},
        }

    def figures(self) -> dict[str, float]:
        """Figure → value, as the metric's label names them."""
        return {
            "placed_pods": self.placed,
            "refused_pods": self.refused,
            "allocated_gpus": self.allocated,
            "locality_cost": self.locality_cost,
            **{f"headroom_gpus_{size}": gpus for size, gpus in self.headroom},
        }


class Projection:
    """One policy's cluster; `place` decides on a pod as the policy would have."""

    def __init__(self, judging: engine.Engine, policy: config.Policy) -> None:
        self._live = judging.index
        self._index = _detached(judging.index)
        self._engine = copy.copy(judging)
        self._engine.index = self._index
        self._trying = candidate.CandidatePolicy(self._engine, policy, prices_itself=True)
        self._placed = self._refused = 0
        self._locality = 0.0

    @property
    def current(self) -> bool:
        """Whether states still have the numbers of the live index, and it is not full yet."""
        return self._live.states is self._index.states and self.met < MOST_PLACED

    @property
    def met(self) -> int:
        """Pods that came, placed or refused."""
        return self._placed + self._refused

    @property
    def ready(self) -> bool:
        return self._trying.ready

    def settle(self) -> None:
        """Go on with learning the demand, a turn."""
        self._trying.settle()

    def resolve(self, pod: objects.Pod) -> resolver.Resolution:
        """What the pod requests, by this policy's profiles."""
        return self._trying.resolve(pod)

    def place(self, resolved: resolver.Resolution, names: Sequence[str]) -> None:
        """Put the pod on the best of these nodes, if any takes it here."""
        if isinstance(resolved, resolver.NotJudged) or resolved.by_node is not None:
            return
        cluster, asked = self._index, resolved.requests
        rows = np.unique(cluster.rows_of(names))
        rows = rows[rows >= 0]  # a node that came later is not in it
        enough = (cluster.cpu[rows] >= asked.cpu) & (cluster.memory[rows] >= asked.memory)
        rows = rows[enough & (cluster.state[rows] >= 0)].astype(np.int32)
        rows = self._some(rows)
        states = cluster.expected[rows]
        table = self._engine.table(resolved.question)
        self._engine.work.allow(candidate.TURN_UNITS)
        table.fill(states)
        fits = table.after[states] >= 0
        if not fits.any():
            self._refused += not bool((table.code[states] == evaluator.UNSEEN).any())
            return
        nodes = scorer.CandidateNodes(table, rows[fits], states[fits])
        costs = self._trying.scoring.total_cost(resolved, nodes)
        scores = scored_nodes.ranked(
            costs,
            np.zeros(len(nodes.rows), dtype=np.bool_),
            maximum=self._trying.policy.scores.maximum,
            order=cluster.order[nodes.rows],
        )
        best = int(np.argmax(scores))
        self._put(int(nodes.rows[best]), int(table.after[nodes.states[best]]), resolved)
        self._placed += 1
        self._locality += float(1 - table.locality[nodes.states[best]])

    def _some(self, rows: NDArray[np.int32]) -> NDArray[np.int32]:
        """As many of the rows as are looked at, beginning where the last pod's ended."""
        if len(rows) <= MOST_NODES:
            return rows
        began = self.met * MOST_NODES % len(rows)
        return np.roll(rows, -began)[:MOST_NODES]

    def _put(self, row: int, state: int, resolved: resolver.ResolvedPod) -> None:
        cluster = self._index
        cluster.state[row] = cluster.expected[row] = state
        cluster.cpu[row] -= resolved.requests.cpu
        cluster.memory[row] -= resolved.requests.memory
        cluster.writes += 1
        cluster.version[row] = cluster.writes

    def reported(self) -> Projected:
        """What it has come to so far."""
        inventory = self._trying.pricer.inventory
        free, total = inventory.totals()
        return Projected(
            placed=self._placed,
            refused=self._refused,
            gpus=total,
            allocated=total - free,
            locality_cost=self._locality / self._placed if self._placed else 0.0,
            headroom=tuple(inventory.whole_sets(SIZES).items()),
        )


# By the policy in force, and by the candidate.
_Resolved: TypeAlias = tuple[resolver.Resolution, resolver.Resolution]


@dataclasses.dataclass(frozen=True, slots=True)
class _WaitingPod:
    resolved: _Resolved
    names: Sequence[str]


class Projections:
    """The hypothetical clusters of the policy in force and of a candidate, pod by pod alike."""

    def __init__(self, judging: engine.Engine, policy: config.Policy) -> None:
        self._engine = judging
        self._policies = judging.policy, policy
        self._pair: tuple[Projection, Projection] | None = None
        # How the pair before stood when it was given up: (of the policy in force, of the candidate)
        self.last: tuple[Projected, Projected] | None = None
        self._kept: tuple[Projected, Projected] = Projected(), Projected()
        self._waiting: list[_WaitingPod] = []
        self._since_idle = 0  # pods that came since nobody waited
        self.left_out = 0  # pods of bursts that were too large, or of before the clusters began
        self._chance = np.random.default_rng(0)  # which pod of a burst is left out

    def settle(self, *, quiet: bool = True) -> None:
        """Begin, begin anew where that is due, learn a turn, or where it is `quiet` place a pod."""
        if self._pair is not None and not all(each.current for each in self._pair):
            self.last, self._pair = self._kept, None
            self.left_out += len(self._waiting)  # the clusters that come next have them already
            self._waiting.clear()
        if self._pair is None:
            active, tried = self._policies
            self._pair = Projection(self._engine, active), Projection(self._engine, tried)
            self._kept = Projected(), Projected()
        for each in self._pair:
            if not each.ready:
                each.settle()
                return
        if self._waiting and quiet:
            pod = self._waiting.pop(0)
            self._place(pod.resolved, pod.names)

    @property
    def ready(self) -> bool:
        return self._pair is not None and all(each.ready and each.current for each in self._pair)

    @property
    def waiting(self) -> int:
        """Pods that are still to be placed."""
        return len(self._waiting)

    def wait(self, pod: objects.Pod, names: Sequence[str]) -> None:
        """Let the pod wait to be placed; of too many some are left out, each as likely.

        What it requests is resolved now: once it is bound its claims are no question any more.
        """
        if self._pair is None or not self.ready:
            return
        self._since_idle = self._since_idle + 1 if self._waiting else 1
        if len(self._waiting) >= MOST_WAITING:
            self.left_out += 1
            at = int(self._chance.integers(self._since_idle))
            if at >= MOST_WAITING:
                return
            del self._waiting[at]
        some = _some_names(names, self._since_idle * _MOST_NAMES)
        self._waiting.append(_WaitingPod(self._resolved(self._pair, pod), some))

    def place(self, pod: objects.Pod, names: Sequence[str]) -> None:
        """Place the pod in both clusters, once both have learnt the demand."""
        if self._pair is not None and self.ready:
            self._place(self._resolved(self._pair, pod), names)

    def _resolved(self, pair: tuple[Projection, Projection], pod: objects.Pod) -> _Resolved:
        active, tried = pair
        return active.resolve(pod), tried.resolve(pod)

    def _place(self, resolved: _Resolved, names: Sequence[str]) -> None:
        if self._pair is None:
            return
        for each, request in zip(self._pair, resolved, strict=True):
            each.place(request, names)
        if self._pair[0].met % _KEPT_EVERY == 0 or not self._pair[0].current:
            self._keep()

    def _keep(self) -> None:
        """Note how both stand: of states that are numbered anew nobody can tell any more."""
        if self._pair is not None:
            first, second = self._pair
            self._kept = first.reported(), second.reported()

    def figures(self) -> dict[str, dict[str, float]]:
        """By policy, the figures for metrics."""
        if self.ready:
            self._keep()
        return {
            name: each.figures()
            for name, each in zip(("active", "candidate"), self._kept, strict=True)
        }

    def as_json(self) -> dict[str, Any]:
        """Both clusters now, and how the pair before them stood at its end."""
        if self.ready:
            self._keep()
        active, tried = self._kept
        last = self.last
        return {
            "mostPods": MOST_PLACED,
            "learning": not self.ready,
            "waiting": self.waiting,
            "leftOut": self.left_out,
            "active": active.as_json(),
            "candidate": tried.as_json(),
            "last": None
            if last is None
            else {"active": last[0].as_json(), "candidate": last[1].as_json()},
        }


def _some_names(names: Sequence[str], began: int) -> Sequence[str]:
    """As many names as are kept: those from `began` on, and then the first."""
    if len(names) <= _MOST_NAMES:
        return names
    began %= len(names)
    found = names[began : began + _MOST_NAMES]
    return [*found, *names[: _MOST_NAMES - len(found)]]


def _detached(live: index.TopologyIndex) -> index.TopologyIndex:
    """The index as it is now, none of whose columns moves with the live one."""
    found = live.frozen()
    found.version, found.order, found.read = (
        live.version.copy(), live.order.copy(), live.read.copy(),
    )  # fmt: skip
    found.changed = set()
    found.state = found.expected.copy()  # what is reserved is held, here
    return found
