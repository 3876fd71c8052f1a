"""Scores by a candidate policy what an engine has decided, on the same index and verdicts.

Verdicts are shared: they do not depend on weights. Prices are shared, too, where the candidate has
the packing of the policy in force; else it learns and prices by itself, in turns. What needs
another engine (the Kubernetes version, more device resources, another step budget) stays that of
the policy in force, and the report says so.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from extender.decisions import engine, scored_nodes, scorer
from extender.demand import work
from extender.kube.api import objects
from extender.policy import config
from extender.pricing import headroom
from extender.pricing.mix import observer
from extender.verdicts import evaluator, resolver

# Fields that need another engine → as operators write them.
_NOT_TRIED = {
    "kubernetes_version": "kubernetesVersion",
    "device_resources": "deviceResources",
    "step_budget": "stepBudget",
}


class CandidatePolicy:
    """Another policy over an engine's cluster; leaves nothing behind in the engine."""

    def __init__(self, judging: engine.Engine, policy: config.Policy) -> None:
        self.policy = policy
        self.engine = judging
        self.beside = judging.policy  # what it was made to be compared with
        self._resolver = resolver.Resolver(
            judging.store,
            judging.index.builder.features,
            lambda: judging.index.builder.hardware.resources,
            judging.verdicts.single.splitter,
        )
        self._work = work.Work(patient=False)
        self._seen = 0  # the index's writes up to which rows were read
        self.prices_itself = (
            policy.packing != judging.policy.packing or policy.cpu_pods != judging.policy.cpu_pods
        )
        self._pricer = self._own_prices() if self.prices_itself else judging.pricer
        self._learning = observer.DemandObserver(self._resolver, self._pricer, self._work)
        self._scoring = scorer.Scorer(judging.index, self._pricer, judging.gangs)
        self._scoring.configure(tuple(dict.fromkeys(policy.avoid_conditions)))
        if self.prices_itself:
            for pod in judging.store.pods.values():
                self._learning.observe(pod)

    def _own_prices(self) -> headroom.HeadroomPricer:
        judging = self.engine
        found = headroom.HeadroomPricer(
            judging.index,
            judging.table,
            judging.judge.matches,
            judges=self._resolver.judges,
            patient=False,
            spending=self._work,
        )
        found.configure(self.policy.packing, cpu_pods_scored=self.policy.cpu_pods == "Score")
        return found

    @property
    def ready(self) -> bool:
        """Whether its own prices rest on all pods that there are."""
        return not self.prices_itself or not (len(self._learning) or self._pricer.unfinished)

    def observe(self, pod: objects.Pod) -> None:
        """Take a pod that the watch shows for the first time."""
        if self.prices_itself:
            self._learning.observe(pod)

    def settle(self) -> None:
        """Go on with what has happened since, as far as one turn goes."""
        index = self.engine.index
        changed = np.flatnonzero(index.version > self._seen).tolist()
        self._seen = index.writes
        self._scoring.refresh(changed)
        if self.prices_itself:
            self._work.allow(work.IDLE)
            self._learning.learn(self.policy)
            self._pricer.settle(len(changed))

    def score(
        self, pod: objects.Pod, decided: scored_nodes.ScoredNodes
    ) -> scored_nodes.ScoredNodes | None:
        """What the candidate's prioritize had answered in the decision's place.

        None where it has no answer yet: the pod is not judged, or verdicts are missing.
        """
        resolved = self._resolver.resolve(pod, self.policy)
        if isinstance(resolved, resolver.NotJudged) or not resolved.question or resolved.by_node:
            return None
        table = self.engine.table(resolved.question)
        rows, states = decided.candidates.rows, decided.candidates.states
        self.engine.work.allow(work.IDLE)
        table.fill(states)
        if bool((table.code[states] == evaluator.UNSEEN).any()):
            return None
        candidates = scorer.CandidateNodes(table, rows, states)
        costs = self._scoring.cost_by_part(resolved, candidates)
        order, maximum = self.engine.index.order[rows], self.policy.scores.maximum
        found = scored_nodes.of(resolved, candidates, costs, maximum=maximum, order=order)
        return dataclasses.replace(found, cost=np.where(rows < 0, np.nan, found.cost))

    def refused(self, scored: scored_nodes.ScoredNodes) -> int:
        """How many of the nodes that the policy in force let pass the candidate would refuse."""
        codes = scored.candidates.table.code[scored.candidates.states]
        known = scored.candidates.rows >= 0
        return int(np.count_nonzero(known & (codes >= evaluator.REFUSED_FROM)))

    def not_tried(self) -> tuple[str, ...]:
        """Fields in which it differs and that stay those of the policy in force."""
        return tuple(
            text
            for name, text in _NOT_TRIED.items()
            if getattr(self.policy, name) != getattr(self.beside, name)
        )
