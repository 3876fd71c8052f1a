import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.policy import ranking


def scores(costs, ties=None, maximum=10):
    second = np.zeros(len(costs)) if ties is None else np.array(ties, dtype=float)
    return ranking.scores_of(np.array(costs, dtype=float), second, maximum=maximum).tolist()


@pytest.mark.parametrize(
    ("costs", "ties", "expected"),
    [
        pytest.param([], [], [], id="no nodes"),
        pytest.param([0.5], [0], [10], id="one node"),
        pytest.param([0.2, 0.1, 0.3], [0, 0, 0], [9, 10, 8], id="smaller cost wins"),
        pytest.param([0.1, 0.1], [2, 1], [9, 10], id="the second key tells equal costs apart"),
        pytest.param([0.1, 0.1], [1, 1], [10, 10], id="equal nodes share a score"),
        pytest.param([0.1, 0.1 + 1e-11], [2, 1], [9, 10], id="float dust does not decide"),
        pytest.param([float("nan"), 5.0], [0, 0], [9, 10], id="not a number ranks last"),
    ],
)
def test_ranks(costs, ties, expected):
    assert scores(costs, ties) == expected


def test_the_floor_is_zero_and_only_the_best_get_the_maximum():
    assert scores(range(20)) == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1] + [0] * 10


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.randoms())
def test_the_order_of_nodes_changes_no_score(costs, random):
    shuffled = list(range(len(costs)))
    random.shuffle(shuffled)

    moved = scores([costs[i] for i in shuffled])

    assert [moved[shuffled.index(i)] for i in range(len(costs))] == scores(costs)


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3)), min_size=1, max_size=600),
    st.integers(1, 20),
)
def test_looking_at_contenders_only_changes_no_score(keys, maximum):
    distinct = sorted(set(keys))

    found = scores([key[0] for key in keys], [key[1] for key in keys], maximum)

    assert found == [max(maximum - distinct.index(key), 0) for key in keys]


def test_with_an_order_the_winner_is_one_node_and_its_equals_are_next():
    costs, ties = np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(4)

    found = ranking.scores_of(costs, ties, maximum=10, order=np.array([0, 7, 5, 6]))

    assert found.tolist() == [8, 9, 10, 9]


def test_an_order_changes_nothing_where_the_winner_stands_alone():
    costs, ties = np.array([1.0, 0.0, 1.0]), np.zeros(3)

    found = ranking.scores_of(costs, ties, maximum=10, order=np.array([3, 2, 1]))

    assert found.tolist() == [9, 10, 9]


def test_of_thousands_of_equal_costs_the_second_key_picks_the_same_as_sorting_all():
    rng = np.random.default_rng(7)
    costs, ties = rng.integers(0, 3, 4000).astype(float), rng.integers(0, 500, 4000).astype(float)
    distinct = sorted(set(zip(costs.tolist(), ties.tolist(), strict=True)))
    place = {key: number for number, key in enumerate(distinct)}

    found = ranking.scores_of(costs, ties, maximum=10).tolist()

    keys = zip(costs.tolist(), ties.tolist(), strict=True)
    assert found == [max(10 - place[key], 0) for key in keys]


def test_nothing_but_unknown_costs_is_ranked_without_a_fault():
    assert ranking.scores_of(np.full(400, np.nan), np.zeros(400), maximum=10).max() == 10
