"""The last decisions, within a number, an age and an amount of memory.

The oldest go first. Before a decision goes for want of memory, what it says of every single node
goes: its five best nodes and the counts by reason stay.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Iterator

from extender.history import decision

# 1,500 decisions of pods with eight GPUs take 20 MB; one on pods with hundreds of devices more.
MOST_BYTES = 20 << 20
# Answers by node: 75 decisions of 5,000 nodes each.
MOST_ANSWER_BYTES = 6 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Bounds:
    """How many decisions are kept, and for how long; 0 decisions keep none."""

    decisions: int = 2000
    seconds: float = 3600.0


class DecisionHistory:
    """Decisions by number, the oldest first; `wall` is the time in seconds since 1970.

    `on_decision` hears of each decision once it is complete: scored, or refused everywhere.
    """

    def __init__(
        self,
        bounds: Bounds = Bounds(),
        *,
        wall: Callable[[], float],
        on_decision: Callable[[decision.Decision], None] = lambda _: None,
    ) -> None:
        self.bounds = bounds
        self.wall = wall
        self.bytes = 0  # of the decisions, without the answers by node
        self.answer_bytes = 0
        self.total = 0  # decisions made so far
        self._on_decision = on_decision
        self._kept: OrderedDict[int, decision.Decision] = OrderedDict()  # number → decision
        self._answered: OrderedDict[int, None] = OrderedDict()  # those that have their answers
        self._latest: dict[str, int] = {}  # pod uid → the number of its last decision

    def __len__(self) -> int:
        return len(self._kept)

    # ------------------------------------------------------------ keeping

    def add(self, made: decision.Decision) -> decision.Decision:
        """Keep a decision; one that again refuses the pod everywhere replaces the one before.

        So a pod that fits nowhere and is tried every few seconds pushes no other out.
        """
        self.total += 1
        before = self.latest(made.uid)
        if before is not None and before.everywhere_refused and made.everywhere_refused:
            made = dataclasses.replace(made, first=before.first, attempts=before.attempts + 1)
            self._drop(before.number)
        self._kept[made.number] = made
        self._latest[made.uid] = made.number
        self.bytes += made.bytes
        if made.answers is not None:
            self._answered[made.number] = None
            self.answer_bytes += made.answers.bytes
        self._prune()
        if made.everywhere_refused:
            self._on_decision(made)
        return made

    def scored(
        self, number: int, best: tuple[decision.BestNode, ...], answers: decision.NodeAnswers | None
    ) -> None:
        """Complete a decision by what prioritize answered."""
        kept = self._kept.get(number)
        if kept is None:
            return
        self.bytes -= kept.bytes
        self._forget_answers(kept)
        kept.best, kept.answers = best, answers
        self.bytes += kept.bytes
        if answers is not None:
            self._answered[number] = None
            self.answer_bytes += answers.bytes
        self._prune()
        self._on_decision(kept)

    def bound(self, uid: str, node: str, *, at: float) -> None:
        """The watch has shown the pod on a node."""
        kept = self.latest(uid)
        if kept is not None and kept.outcome.state == decision.WAITING:
            kept.outcome.state, kept.outcome.node = decision.BOUND, node
            kept.outcome.at = at

    def gone(self, uid: str, *, at: float) -> None:
        """The pod was deleted; one that had its node keeps it."""
        kept = self.latest(uid)
        if kept is not None and kept.outcome.state == decision.WAITING:
            kept.outcome.state, kept.outcome.at = decision.GONE, at

    def compared(self, uid: str, result: str) -> None:
        """A claim of the pod was allocated, and compared with what was predicted."""
        kept = self.latest(uid)
        if kept is not None:
            counts = kept.outcome.devices
            counts[result] = counts.get(result, 0) + 1

    # ------------------------------------------------------------ reading

    def latest(self, uid: str) -> decision.Decision | None:
        """The last decision on the pod of this uid."""
        number = self._latest.get(uid)
        return self._kept.get(number) if number is not None else None

    def latest_of(self, pod: str) -> decision.Decision | None:
        """The last decision on NAMESPACE/NAME."""
        return next((made for made in self.newest_first() if made.pod == pod), None)

    def newest_first(self) -> Iterator[decision.Decision]:
        """The decisions that are not too old; those that come meanwhile are left out."""
        self._prune()
        return iter([*reversed(self._kept.values())])

    # ------------------------------------------------------------ bounds

    def _prune(self) -> None:
        oldest = self.wall() - self.bounds.seconds
        while self.answer_bytes > MOST_ANSWER_BYTES and self._answered:
            self._forget_answers(self._kept[next(iter(self._answered))])
        while self._kept:
            number, kept = next(iter(self._kept.items()))
            too_many = len(self._kept) > self.bounds.decisions or self.bytes > MOST_BYTES
            if not too_many and kept.last >= oldest:
                return
            self._drop(number)

    def _drop(self, number: int) -> None:
        kept = self._kept[number]
        self._forget_answers(kept)
        del self._kept[number]
        self.bytes -= kept.bytes
        if self._latest.get(kept.uid) == number:
            del self._latest[kept.uid]

    def _forget_answers(self, kept: decision.Decision) -> None:
        if kept.answers is not None:
            self.answer_bytes -= kept.answers.bytes
            kept.answers = None
            self._answered.pop(kept.number, None)
