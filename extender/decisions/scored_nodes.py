"""What a prioritize found, and one that was worked out before it was asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from extender.decisions import scorer
from extender.kube.api import objects
from extender.policy import ranking
from extender.verdicts import resolver


@dataclasses.dataclass(frozen=True, slots=True)
class ScoredNodes:
    """One prioritize, with what explain and the journal need; arrays are parallel to `names`."""

    asked: resolver.ResolvedPod
    among: scorer.CandidateNodes  # the state of an unknown node means nothing
    scores: NDArray[np.int64]
    cost: NDArray[np.float64]
    parts: dict[str, NDArray[np.float64]]  # part of the cost → its contribution
    tie: NDArray[np.float64]  # what ranks equal costs, the least first


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """A prioritize worked out before it was asked for, and what it rests on."""

    pod: objects.Pod
    names: Sequence[str]
    moment: tuple[int, int, int]
    scored: ScoredNodes


def ranked(
    costs: scorer.NodeCosts, unknown: NDArray[np.bool_], *, maximum: int, order: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The scores of these costs; an unknown node is not judged.

    It cannot win, and gets what the middle of the others got.
    """
    if not unknown.any():
        return ranking.scores_of(costs.total, costs.tie, maximum=maximum, order=order)
    total = np.where(unknown, np.nan, costs.total)
    scores = ranking.scores_of(total, costs.tie, maximum=maximum, order=order)
    scores[unknown] = int(np.median(scores[~unknown]))
    return scores
