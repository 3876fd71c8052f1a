"""Two policies' costs of the same nodes for one pod: whether they agree, and what each loses."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """One decision under both policies.

    `active` and `candidate` are the positions of the winners. A regret is what the other policy's
    winner costs more than the own one, in the own policy's cost, never below 0.
    """

    active: int
    candidate: int
    agree: bool
    rank_correlation: float  # Spearman's, NaN where one policy takes all nodes for equal
    regret_active: float  # of the candidate's winner, in the cost of the policy in force
    regret_candidate: float  # of the active winner, in the candidate's cost


def compare(
    active_cost: Floats, active_scores: NDArray[np.int64], cost: Floats, scores: NDArray[np.int64]
) -> Comparison:
    """Compare two policies' costs and scores of the same nodes; arrays are parallel.

    They agree where kube-scheduler would have chosen the same node by these scores alone. A node
    that one of them does not judge (NaN) takes no part in the correlation.
    """
    active, candidate = int(np.argmax(active_scores)), int(np.argmax(scores))
    judged = ~(np.isnan(active_cost) | np.isnan(cost))
    return Comparison(
        active=active,
        candidate=candidate,
        agree=active == candidate,
        rank_correlation=rank_correlation(active_cost[judged], cost[judged]),
        regret_active=_excess(active_cost, candidate, active),
        regret_candidate=_excess(cost, active, candidate),
    )


def rank_correlation(first: Floats, second: Floats) -> float:
    """Spearman's correlation of two lists of costs, ties at their mean rank; NaN without order."""
    if len(first) < 2:
        return float("nan")
    ranks = _ranks(first), _ranks(second)
    deviations = [each - each.mean() for each in ranks]
    scale = float(np.sqrt((deviations[0] ** 2).sum() * (deviations[1] ** 2).sum()))
    return float((deviations[0] * deviations[1]).sum()) / scale if scale else float("nan")


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    found: Floats = (last - (counts - 1) / 2.0)[inverse]
    return found


def _excess(cost: Floats, chosen: int, best: int) -> float:
    found = float(cost[chosen] - cost[best])
    return max(found, 0.0) if np.isfinite(found) else 0.0
