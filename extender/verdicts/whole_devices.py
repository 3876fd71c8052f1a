"""Verdicts on claims for whole devices: what they are on one state, they are on thousands.

Where an answer depends only on which devices are taken, the predictor knows the ways to satisfy the
claims on a shape, and a state asks for the first that is free. All that a verdict says of a way is
the same in every state: the devices, their locality, what speaks against them. Only what is in use
afterwards is the state's own. So a state costs a look-up, and its verdict is made when it is read.
"""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

from extender.demand.allocator.outcome import NoFit, Outcome
from extender.hardware.shape import Shape
from extender.hardware.usage import NodeState, Usage
from extender.verdicts import evaluator
from extender.verdicts.query import Query

# Units of work for a state that has an outcome in common with another.
STATE_WORK = 4
_MOST_OUTCOMES = 2048  # of a question on all shapes; a shape has at most 1,024 ways


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class SharedVerdict:
    """What equal outcomes of one question on one shape have in common.

    `taken` are the devices that it takes, as bits. `verdict` is that of the state judged first;
    None of a refusal.
    """

    code: evaluator.VerdictCode
    taken: int = 0
    locality: float = 1.0
    preference: float = 0.0
    verdict: evaluator.Verdict | None = None

    def after(self, hardware: Shape, usage: Usage) -> Usage:
        """What is in use once the pod is there."""
        held = usage.held or (0,) * len(hardware.resources)
        return Usage(usage.taken | self.taken, (), usage.drawn, held, usage.inferred)


_Known: TypeAlias = tuple[Outcome, SharedVerdict | None]


class WholeDevices:
    """The verdicts of one question, where they depend only on which devices are taken."""

    def __init__(self, question: Query, judge: evaluator.Evaluator) -> None:
        self._question = question
        self._judge = judge
        # identity of an outcome → itself, so that it stays, and what is in common; None: nothing
        self._known: dict[int, _Known] = {}

    def find(self, state: NodeState) -> tuple[Outcome | None, SharedVerdict | None]:
        """The state's outcome, and what is known of it: both None where more than that counts.

        Raises work.SpentError.
        """
        hardware, usage = state
        if usage.shared:
            return None, None
        judge = self._judge
        judge.work.check()
        outcome = judge.predictor.outcome_of_taken(hardware, self._question.claims, usage)
        if outcome is None:
            return None, None
        judge.work.spend(STATE_WORK)
        known = self._known.get(id(outcome))
        if known is not None:
            return known
        if isinstance(outcome, NoFit):
            code = judge.refusal(hardware, self._question.claims)
            return self._keep(outcome, SharedVerdict(code))
        return outcome, None

    def learn(
        self, outcome: Outcome, before: Usage, verdict: evaluator.Verdict, preference: float
    ) -> None:
        """Take what the evaluator said of the first state with this outcome."""
        shared = None
        if verdict.code is evaluator.VerdictCode.FITS:
            score = 1.0 if verdict.locality is None else verdict.locality.score
            taken = verdict.after.taken & ~before.taken
            shared = SharedVerdict(verdict.code, taken, score, preference, verdict)
        self._keep(outcome, shared)

    def verdict(self, shared: SharedVerdict, state: NodeState) -> evaluator.Verdict:
        """What the evaluator says of a state that has this outcome."""
        hardware, usage = state
        if shared.verdict is not None:
            return dataclasses.replace(shared.verdict, after=shared.after(hardware, usage))
        return self._judge.refused(self._question, state, shared.code)

    def _keep(self, outcome: Outcome, shared: SharedVerdict | None) -> _Known:
        if len(self._known) >= _MOST_OUTCOMES:
            self._known.clear()
        found = self._known[id(outcome)] = outcome, shared
        return found
