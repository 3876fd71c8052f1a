"""What a prioritize found: the costs of the candidate nodes, their parts, and the scores."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from extender.decisions import scorer
from extender.policy import ranking
from extender.verdicts import resolver, verdict_table


@dataclasses.dataclass(frozen=True, slots=True)
class ScoredNodes:
    """One prioritize, with what explain and the prediction log need; arrays by name."""

    resolved: resolver.ResolvedPod
    candidates: scorer.CandidateNodes  # the state of an unknown node means nothing
    scores: NDArray[np.int64]
    cost: NDArray[np.float64]
    parts: dict[str, NDArray[np.float64]]  # part of the cost → its contribution
    tie: NDArray[np.float64]  # what ranks equal costs, the least first
    priced: dict[str, NDArray[np.float64]]  # of the parts those that rest on prices

    def some(self, positions: list[int]) -> ScoredNodes:
        """The nodes at these positions, alone."""
        candidates = self.candidates
        chosen = scorer.CandidateNodes(
            candidates.table, candidates.rows[positions], candidates.states[positions]
        )
        return ScoredNodes(
            self.resolved,
            chosen,
            self.scores[positions],
            self.cost[positions],
            {name: values[positions] for name, values in self.parts.items()},
            self.tie[positions],
            {name: values[positions] for name, values in self.priced.items()},
        )

    def by_numbers_of(self, table: verdict_table.VerdictTable) -> ScoredNodes:
        """The same nodes by the numbers of the question's table of now.

        States may have been numbered anew since these were scored.
        """
        then = self.candidates
        if table.states is then.table.states:
            return self
        states = table.states.renumbered(then.states, by=then.table.states)
        candidates = scorer.CandidateNodes(table, then.rows, states)
        return dataclasses.replace(self, candidates=candidates)


def of(
    resolved: resolver.ResolvedPod,
    candidates: scorer.CandidateNodes,
    costs: scorer.NodeCosts,
    *,
    maximum: int,
    order: NDArray[np.int64],
) -> ScoredNodes:
    """The candidates ranked by these costs; `order` ranks what costs the same."""
    scores = ranked(costs, candidates.rows < 0, maximum=maximum, order=order)
    return ScoredNodes(
        resolved, candidates, scores, costs.total, costs.parts, costs.tie, costs.priced
    )


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
