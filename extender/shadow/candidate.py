"""Scores by a candidate policy what an engine has decided, on the same index and verdicts.

Verdicts are shared: they do not depend on weights. Prices are shared, too, where the candidate has
the packing of the policy in force; else it learns and prices by itself, in turns. What needs
another engine (the Kubernetes version, more device resources, another step budget) stays that of
the policy in force, and the report says so.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools

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

# Of each, in one turn: half a millisecond together.
_ROWS_A_TURN = 32
# Of work in one turn (`demand.work`): more than reading one pod takes, else it never learnt any.
TURN_UNITS = 320
_PODS_A_TURN = 64
# Pods that it may have still to learn from when it judges: so many, or a tenth of those learnt.
# Where pods keep coming it would else never judge.
_FEW = 8


class CandidatePolicy:
    """Another policy over an engine's cluster; leaves nothing behind in the engine.

    It is made at once and learns in turns (`settle`): first what the nodes say of themselves, then,
    where it prices by itself, the pods, the oldest first.
    """

    def __init__(
        self, judging: engine.Engine, policy: config.Policy, *, prices_itself: bool = False
    ) -> None:
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
        self._seen = 0  # the index's writes up to which rows were noted
        self._unread: dict[int, None] = {}  # rows that changed and are still to be read
        self._unsorted: list[objects.Pod] = []
        # A heap: the oldest pod is first; a number tells those of equal age apart.
        self._pods: list[tuple[tuple[str, ...], int, objects.Pod]] = []
        self._numbers = itertools.count()
        self._changed = 0  # rows that changed since the prices were settled
        self.prices_itself = prices_itself or (
            policy.packing != judging.policy.packing or policy.cpu_pods != judging.policy.cpu_pods
        )
        self.pricer = self._own_prices() if self.prices_itself else judging.pricer
        self._learning = observer.DemandObserver(self._resolver, self.pricer, self._work)
        self.scoring = scorer.Scorer(judging.index, self.pricer, judging.gangs)
        self.scoring.configure(tuple(dict.fromkeys(policy.avoid_conditions)), at_once=False)
        if self.prices_itself:
            self._unsorted = list(judging.store.pods.values())
        self._observed = len(self._unsorted)
        self._priced = False  # whether its prices were finished once

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
        """Whether it has read all rows, and its own prices rest on nearly all pods."""
        if self._unread or (not self._seen and self.engine.index.writes):
            return False
        left = len(self._unsorted) + len(self._pods) + len(self._learning)
        few = max(_FEW, (self._observed - left) // 10)
        return not self.prices_itself or (self._priced and left <= few)

    def resolve(self, pod: objects.Pod) -> resolver.Resolution:
        """What the pod requests, by this policy's profiles."""
        return self._resolver.resolve(pod, self.policy)

    def observe(self, pod: objects.Pod) -> None:
        """Take a pod that the watch shows for the first time."""
        if self.prices_itself:
            self._unsorted.append(pod)
            self._observed += 1

    def appeared(self, kind: str, name: str) -> None:
        """A claim or a template has arrived: pods that waited for it can be learnt from."""
        self._learning.appeared(kind, name)

    def settle(self, *, whole: bool = False) -> None:
        """Go on with what has happened since, as far as one turn goes; `whole` reads all rows."""
        index = self.engine.index
        if self._seen != index.writes:
            changed = np.flatnonzero(index.version > self._seen).tolist()
            self._seen = index.writes
            # Each decision changes what is reserved on some rows: more than a turn reads.
            self._unread.update(dict.fromkeys(self.scoring.unread(changed)))
            self._changed += len(changed)
        turn = list(itertools.islice(self._unread, None if whole else _ROWS_A_TURN))
        for row in turn:
            del self._unread[row]
        self.scoring.refresh(turn)
        if self.prices_itself and not self._unread:
            self._learn()

    def _learn(self) -> None:
        """Learn from some of the pods, and renew the prices once there are no more."""
        self._work.allow(TURN_UNITS)
        for pod in self._unsorted[-_PODS_A_TURN:]:
            heapq.heappush(self._pods, (observer.age_of(pod), next(self._numbers), pod))
        del self._unsorted[-_PODS_A_TURN:]
        while not self._unsorted and self._pods and len(self._learning) < _PODS_A_TURN:
            self._learning.observe(heapq.heappop(self._pods)[-1])
        self._learning.learn(self.policy)
        if not (self._unsorted or self._pods):
            self.pricer.settle(self._changed)
            self._changed = 0
            self._priced = self._priced or not (self.pricer.unfinished or len(self._learning))

    def score(
        self, pod: objects.Pod, decided: scored_nodes.ScoredNodes
    ) -> scored_nodes.ScoredNodes | None:
        """What the candidate's prioritize had answered in the decision's place.

        None where it has no answer yet: the pod is not judged, or verdicts are missing.
        """
        resolved = self.resolve(pod)
        if isinstance(resolved, resolver.NotJudged) or not resolved.question or resolved.by_node:
            return None
        table = self.engine.table(resolved.question)
        rows, states = decided.candidates.rows, decided.candidates.states
        self.engine.work.allow(TURN_UNITS)
        table.fill(states)
        if bool((table.code[states] == evaluator.UNSEEN).any()):
            return None
        candidates = scorer.CandidateNodes(table, rows, states)
        costs = self.scoring.cost_by_part(resolved, candidates)
        order, maximum = self.engine.index.order[rows], self.policy.scores.maximum
        found = scored_nodes.of(resolved, candidates, costs, maximum=maximum, order=order)
        return dataclasses.replace(found, cost=np.where(rows < 0, np.nan, found.cost))

    def refused(self, scored: scored_nodes.ScoredNodes, decided: scored_nodes.ScoredNodes) -> int:
        """How many nodes the candidate would refuse that the policy in force did not.

        A node passes filter by what the API shows and may be full by what is reserved: that is no
        difference between the two.
        """
        codes, before = (
            each.candidates.table.code[each.candidates.states] for each in (scored, decided)
        )
        first = evaluator.REFUSED_FROM
        known = scored.candidates.rows >= 0
        return int(np.count_nonzero(known & (codes >= first) & (before < first)))

    def not_tried(self) -> tuple[str, ...]:
        """Fields in which it differs and that stay those of the policy in force."""
        return tuple(
            text
            for name, text in _NOT_TRIED.items()
            if getattr(self.policy, name) != getattr(self.beside, name)
        )
