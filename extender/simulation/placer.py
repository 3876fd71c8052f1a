"""Places pods one after the other as kube-scheduler would with Railyard as its extender.

Its filters and in-tree resource scores are modelled, filter and prioritize are the engine's own,
equal totals are drawn at random, devices are those that its allocator takes first. Preemption, pod
affinity, topology spread and volumes are not modelled; all nodes are scored
(percentageOfNodesToScore: 100).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from extender.decisions import engine
from extender.kube.api import objects
from extender.simulation import binding, in_tree, node_amounts
from extender.verdicts import resolver

_IN_TREE_TOP, _EXTENDER_TOP = 100, 10  # MaxNodeScore, MaxExtenderPriority


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """How totals are made: the extender's weight, and whose in-tree scores are added.

    `kubernetes` "" adds none. 15 is the weight of the configuration that ships.
    """

    weight: int = 15
    kubernetes: str = in_tree.NEWEST


@dataclasses.dataclass(frozen=True, slots=True)
class Placement:
    """Where a pod went: `gpus` it got, and the expected bandwidth factor, 1 the best."""

    node: str
    gpus: float
    rate: float | None


class Placer:
    """Places pods on an engine's own cluster, which nobody else must feed."""

    def __init__(
        self,
        judging: engine.Engine,
        draws: np.random.Generator,
        rules: Rules | None = None,
    ) -> None:
        self.engine = judging
        self._draws = draws
        self._rules = rules or Rules()
        self._amounts = node_amounts.NodeAmounts(judging.store)
        # pod uid → the pod and its claims, as last written
        self._held: dict[str, tuple[objects.Pod, list[objects.ResourceClaim]]] = {}

    def nodes_changed(self) -> None:
        """Read the nodes anew: some came, went or were cordoned."""
        self._amounts = node_amounts.NodeAmounts(self.engine.store)

    def arrive(self, pod: objects.Pod, claims: Sequence[objects.ResourceClaim] = ()) -> None:
        """Show a pod that has no node yet, and its claims."""
        for claim in claims:
            self._show("ResourceClaim", claim)
        self._show("Pod", pod)
        self._held[pod.metadata.uid] = pod, list(claims)

    def place(self, pod: objects.Pod) -> Placement | None:
        """Try to place a pod that has arrived; None where it fits nowhere now."""
        judging = self.engine
        judging.settle()
        asked = judging.resolver.resolve(pod, judging.policy)
        if not isinstance(asked, resolver.ResolvedPod):
            return None
        judged = {name for name, _ in asked.question.extended}
        rows = np.flatnonzero(self._amounts.admitted(pod, judged))
        names = self._amounts.names_of(rows)
        if names and judging.concerns(pod):
            found = judging.filter(pod, names)
            if found.failed or found.unresolvable:
                names = found.passing(names)
                refused = self._amounts.rows_of((*found.failed, *found.unresolvable))
                rows = rows[~np.isin(rows, refused)]
            ours = judging.prioritize(pod, names, found.ticket) if names else np.zeros(0)
        else:
            ours = judging.prioritize(pod, names) if names and judging.scores(pod) else np.zeros(0)
        if not names:
            return None
        total = np.zeros(len(names))
        if len(ours):
            total += np.asarray(ours, dtype=np.float64) * (
                self._rules.weight * _IN_TREE_TOP // _EXTENDER_TOP
            )
        if self._rules.kubernetes:
            total += self._amounts.scores(pod, rows, self._rules.kubernetes)
        best = np.flatnonzero(total == total.max())
        return self._bind(pod, asked, names[int(best[self._draws.integers(len(best))])])

    def leave(self, uid: str) -> None:
        """The pod ends, or is given up; its claims go with it."""
        pod, claims = self._held.pop(uid)
        if pod.spec.node_name:
            self._amounts.add(pod, pod.spec.node_name, -1)
        self._show("Pod", pod, "DELETED")
        for claim in claims:
            self._show("ResourceClaim", claim, "DELETED")

    def _bind(self, pod: objects.Pod, asked: resolver.ResolvedPod, name: str) -> Placement:
        judging = self.engine
        detail = judging.index.detail(name)
        if detail is None:
            raise KeyError(name)
        state = int(judging.index.state[judging.index.rows[name]])
        verdict = judging.verdicts.on(asked, name).verdict(state)
        claims = binding.claims_of(pod, asked, detail, verdict)
        placed = binding.bound(pod, name)
        for claim in claims:
            self._show("ResourceClaim", claim, "MODIFIED")
        self._show("Pod", placed, "MODIFIED")
        self._amounts.add(placed, name)
        written = {claim.metadata.name: claim for claim in self._held[pod.metadata.uid][1]}
        written |= {claim.metadata.name: claim for claim in claims}
        self._held[pod.metadata.uid] = placed, list(written.values())
        gpus = judging.pricer.gpus_asked(asked.question) if asked.question else 0.0
        return Placement(name, gpus, verdict.locality.rate if verdict.locality else None)

    def _show(self, kind: str, item: objects.Object, event: str = "ADDED") -> None:
        self.engine.store.apply(kind, event, item)
