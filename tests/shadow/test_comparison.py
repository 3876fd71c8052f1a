"""Agreement, rank correlation and regret of two policies' costs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.policy import ranking
from extender.shadow import comparison

COSTS = st.lists(st.integers(0, 6).map(float), min_size=2, max_size=12)


def compared(first, second):
    costs = [np.array(each, dtype=np.float64) for each in (first, second)]
    scores = [
        ranking.scores_of(cost, np.zeros(len(cost)), maximum=10, order=np.arange(len(cost)))
        for cost in costs
    ]
    return comparison.compare(costs[0], scores[0], costs[1], scores[1])


@pytest.mark.parametrize(
    ("first", "second", "agree", "correlation", "regrets"),
    [
        pytest.param([1, 2, 3], [1, 2, 3], True, 1.0, (0, 0), id="the same order"),
        pytest.param([1, 2, 3], [30, 20, 10], False, -1.0, (2, 20), id="the other way round"),
        pytest.param([1, 1, 1], [3, 2, 1], False, math.nan, (0, 2), id="all alike for one"),
        pytest.param([1, math.nan], [1, 2], True, math.nan, (0, 0), id="one is not judged"),
    ],
)
def test_two_costs_are_compared(first, second, agree, correlation, regrets):
    found = compared(first, second)

    assert found.agree is agree
    assert found.rank_correlation == pytest.approx(correlation, nan_ok=True)
    assert (found.regret_active, found.regret_candidate) == regrets


@given(COSTS)
def test_a_policy_agrees_with_itself_and_regrets_nothing(costs):
    found = compared(costs, costs)

    assert found.agree
    assert (found.regret_active, found.regret_candidate) == (0.0, 0.0)
    if len(set(costs)) > 1:
        assert found.rank_correlation == pytest.approx(1.0)


@given(COSTS, st.randoms())
def test_a_regret_is_what_the_others_winner_costs_more(costs, random):
    others = random.sample(costs, len(costs))

    found = compared(costs, others)

    assert found.regret_active == costs[found.candidate] - min(costs)
    assert found.regret_candidate == others[found.active] - min(others)
