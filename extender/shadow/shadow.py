"""Follows an engine's decisions and has a candidate policy judge them while nobody waits.

      prioritize ──► the reply is written ──► the engine settles in the pause: `condense`
                                                 ├──► the budget is free: judged
                                                 ├──► else skipped, and counted
                                                 └──► waits for a quiet moment to be placed in
                                                      each policy's hypothetical cluster

While a request is judged two values are kept, and nothing else. What the candidate raises is
counted; after `MOST_FAULTS` errors in a row it is left alone until the policy changes, and at once
if it had to be stopped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from extender import errors
from extender.decisions import engine, recorder_interface, scored_nodes, verb_results
from extender.kube.api import objects
from extender.shadow import budget, candidate, comparison, projection, report

MOST_FAULTS = 10


@dataclasses.dataclass(frozen=True, slots=True)
class _OpenJudgement:
    pod: objects.Pod
    names: Sequence[str]
    scored: scored_nodes.ScoredNodes
    moment: object
    asked: Sequence[str]  # all nodes that filter was asked about


class Shadow:
    """A recorder before the engine's own; `wall` tells seconds since 1970.

    `halted` is called when the candidate had to be stopped: what it shares with the engine may be
    half-written then, and has to be built anew.
    """

    def __init__(
        self,
        judging: engine.Engine,
        trying: candidate.CandidatePolicy,
        *,
        wall: Callable[[], float],
        within: budget.Budget,
        halted: Callable[[], None] = lambda: None,
    ) -> None:
        self._halted = halted
        self.candidate = trying
        self.projections = projection.Projections(judging, trying.policy)
        self._asked: tuple[str, Sequence[str]] = "", ()  # UID, nodes asked about
        self.report = report.ShadowReport()
        self._budget = within
        self._engine = judging
        self._before = judging.recorder
        self._wall = wall
        self._open: _OpenJudgement | None = None
        self._called = self._quiet = False  # whether a call came; whether none came for a turn
        self._faults = 0  # in a row
        judging.recorder = self
        judging.store.listeners.append(self._observe)

    def detach(self) -> None:
        """Follow no more."""
        self._open = None
        if self._engine.recorder is self:
            self._engine.recorder = self._before
        if self._observe in self._engine.store.listeners:
            self._engine.store.listeners.remove(self._observe)

    @property
    def stopped(self) -> bool:
        """Whether the candidate failed so often that it is left alone."""
        return self._faults >= MOST_FAULTS

    # ------------------------------------------------------------ the request path

    def filtered(
        self,
        by: recorder_interface.Deciding,
        pod: objects.Pod,
        names: Sequence[str],
        found: verb_results.FilterResult,
    ) -> None:
        """Hand it on, and keep which nodes were asked about."""
        self._asked = pod.metadata.uid, names
        self._budget.called = self._called = True
        self._before.filtered(by, pod, names, found)

    def prioritized(
        self,
        by: recorder_interface.Deciding,
        pod: objects.Pod,
        names: Sequence[str],
        scored: scored_nodes.ScoredNodes,
    ) -> None:
        """Keep the decision, to be judged in the next pause; not one of the candidate's own."""
        self._before.prioritized(by, pod, names, scored)
        if scored.resolved.question and not self.stopped and by is self._engine:
            self._skip()
            self._open = _OpenJudgement(
                pod, names, scored, self._engine.moment, self._all_asked(pod, names)
            )

    def _all_asked(self, pod: objects.Pod, names: Sequence[str]) -> Sequence[str]:
        uid, asked = self._asked
        return asked if uid == pod.metadata.uid else names

    def condense(self, *, awaited: bool = True) -> None:
        """The engine settles: judge what is open, if there is time for it."""
        taken, self._open = self._open, None
        if taken is not None:
            self.projections.wait(taken.pod, taken.asked)
            if self._budget.free:
                self._guarded(lambda: self._caught_up(taken))
            else:
                self.report.skip()
        self._before.condense(awaited=awaited)

    def advance(self) -> None:
        """Hand it on: the candidate has turns of its own."""
        self._before.advance()

    def complete(self) -> None:
        """Hand it on; what is open here is judged when the engine settles."""
        self._before.complete()

    def _skip(self) -> None:
        if self._open is not None:
            self.projections.wait(self._open.pod, self._open.asked)
            self._open = None
            self.report.skip()

    @property
    def cpu_seconds(self) -> float:
        """Processor time that the candidate took, in all."""
        return self._budget.seconds

    # ------------------------------------------------------------ in a pause

    def settle(self) -> None:
        """Let the candidate take in what has happened, if there is time for it.

        Call it in even turns: it is quiet where no call came since the turn before.
        """
        self._quiet, self._called = not self._called, False
        if self._budget.free and not self.stopped:
            self._guarded(self._learn)

    def _learn(self) -> None:
        if self.candidate.ready:
            self.projections.settle(quiet=self._quiet)
        else:
            self.candidate.settle()

    @property
    def learning(self) -> bool:
        """Whether there is something to do that no decision comes for."""
        return not (
            self.candidate.ready and self.projections.ready and not self.projections.waiting
        )

    def _caught_up(self, taken: _OpenJudgement) -> None:
        self.candidate.settle()
        self._judge(taken)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            self._budget.charge(work)
        except errors.StoppedError as fault:
            self._faults = MOST_FAULTS
            self.report.failed(fault)
            self._halted()
        except Exception as fault:  # noqa: BLE001 - a candidate's fault must not reach the service
            self._faults += 1
            self.report.failed(fault)
        else:
            self._faults = 0

    def _judge(self, taken: _OpenJudgement) -> None:
        sums = self.report.sums
        if taken.moment != self._engine.moment or not self.candidate.ready:
            sums.unfinished += 1
            return
        scored = self.candidate.score(taken.pod, taken.scored)
        if scored is None:
            sums.unfinished += 1
            return
        unknown = taken.scored.candidates.rows < 0
        active_cost = np.where(unknown, np.nan, taken.scored.cost)
        found = comparison.compare(active_cost, taken.scored.scores, scored.cost, scored.scores)
        self.report.judge(agree=found.agree)
        sums.regret_active += found.regret_active
        sums.regret_candidate += found.regret_candidate
        self.report.correlate(found.rank_correlation)
        refused = self.candidate.refused(scored, taken.scored)
        sums.refused += refused
        sums.refusing += refused > 0
        sums.locality_active += _locality_cost(taken.scored, found.active)
        sums.locality_candidate += _locality_cost(scored, found.candidate)
        if not found.agree:
            self.report.differences.append(self._difference(taken, scored, found))

    def _difference(
        self, taken: _OpenJudgement, scored: scored_nodes.ScoredNodes, found: comparison.Comparison
    ) -> report.PolicyDifference:
        meta = taken.pod.metadata
        return report.PolicyDifference(
            when=self._wall(),
            pod=f"{meta.namespace or 'default'}/{meta.name}",
            active=taken.names[found.active],
            candidate=taken.names[found.candidate],
            regret_active=found.regret_active,
            regret_candidate=found.regret_candidate,
            parts={
                name: (float(part[found.candidate]), float(part[found.active]))
                for name, part in scored.parts.items()
            },
        )

    def _observe(self, kind: str, old: objects.Object | None, new: objects.Object | None) -> None:
        if kind == "Pod" and old is None and isinstance(new, objects.Pod):
            self.candidate.observe(new)
        elif isinstance(new, objects.ResourceClaim | objects.ResourceClaimTemplate) and old is None:
            self.candidate.appeared(kind, new.metadata.name)


def _locality_cost(scored: scored_nodes.ScoredNodes, position: int) -> float:
    state = int(scored.candidates.states[position])
    return float(1 - scored.candidates.table.locality[state])
