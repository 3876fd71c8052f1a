"""What a candidate policy would have changed so far: sums, and the last decisions that differ."""

from __future__ import annotations

import collections
import dataclasses
import math
from typing import Any

MOST_DIFFERENCES = 50  # decisions that are shown one by one, the latest
_MOST_WORDS = 300  # characters of a fault


@dataclasses.dataclass(frozen=True, slots=True)
class PolicyDifference:
    """A decision in which the candidate would have chosen another node."""

    when: float  # seconds since 1970
    pod: str  # namespace/name
    active: str  # node names
    candidate: str
    regret_active: float
    regret_candidate: float
    parts: dict[str, tuple[float, float]]  # part of the candidate's cost → on its node, on ours

    def as_json(self) -> dict[str, Any]:
        return {
            "time": self.when,
            "pod": self.pod,
            "active": self.active,
            "candidate": self.candidate,
            "regretActive": self.regret_active,
            "regretCandidate": self.regret_candidate,
            "parts": {
                name: {"candidate": mine, "active": theirs}
                for name, (mine, theirs) in self.parts.items()
            },
        }


@dataclasses.dataclass(slots=True)
class ShadowSums:
    """Over all decisions that were judged; counts unless said otherwise."""

    judged: int = 0
    agreed: int = 0
    stood_for: int = 0  # decisions judged, each with those skipped since the one before it
    stood_for_agreed: int = 0  # of these, those for which a decision stands that agreed
    skipped: int = 0  # decisions that the budget, or the next request, left no time for
    unfinished: int = 0  # the candidate had no verdicts or no prices yet
    failed: int = 0  # the candidate raised an error
    refusing: int = 0  # decisions in which it would refuse a node that passed
    refused: int = 0  # such nodes, in all
    correlated: int = 0  # decisions with a rank correlation
    correlation: float = 0.0  # their sum
    regret_active: float = 0.0  # sum, in the cost of the policy in force
    regret_candidate: float = 0.0
    # Sum of 1 - locality (0 is the best) of the winner's devices, by policy.
    locality_active: float = 0.0
    locality_candidate: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The sums as operators read them: means where means say more."""
        judged = max(self.judged, 1)
        return {
            "judged": self.judged,
            "agreed": self.agreed,
            "agreement": self.agreed / self.judged if self.judged else None,
            # Time for a candidate is there most of all while little is decided. Counted so, a
            # decision out of a burst weighs as much as the burst.
            "agreementOfAll": self.stood_for_agreed / self.stood_for if self.stood_for else None,
            "rankCorrelation": self.correlation / self.correlated if self.correlated else None,
            "meanRegretActive": self.regret_active / judged,
            "meanRegretCandidate": self.regret_candidate / judged,
            "meanLocalityCostActive": self.locality_active / judged,
            "meanLocalityCostCandidate": self.locality_candidate / judged,
            "decisionsWithNodesItRefuses": self.refusing,
            "nodesItRefuses": self.refused,
            "skipped": self.skipped,
            "unfinished": self.unfinished,
            "failed": self.failed,
        }


class ShadowReport:
    """Bounded: numbers, and the last `MOST_DIFFERENCES` decisions that differ."""

    def __init__(self) -> None:
        self.sums = ShadowSums()
        self.differences: collections.deque[PolicyDifference] = collections.deque(
            maxlen=MOST_DIFFERENCES
        )
        self.fault = ""  # the last error of the candidate
        self._skipped = 0  # since a decision was judged

    def skip(self) -> None:
        """Count a decision that there was no time for."""
        self.sums.skipped += 1
        self._skipped += 1

    def judge(self, *, agree: bool) -> None:
        """Count a decision that was judged, and for how many it stands."""
        sums, stands_for = self.sums, 1 + self._skipped
        self._skipped = 0
        sums.judged += 1
        sums.agreed += agree
        sums.stood_for += stands_for
        sums.stood_for_agreed += stands_for * agree

    def correlate(self, value: float) -> None:
        """Add one decision's rank correlation, where it has one."""
        if not math.isnan(value):
            self.sums.correlated += 1
            self.sums.correlation += value

    def failed(self, fault: BaseException) -> None:
        """Count an error of the candidate."""
        self.sums.failed += 1
        self.fault = f"{type(fault).__name__}: {fault}"[:_MOST_WORDS]
