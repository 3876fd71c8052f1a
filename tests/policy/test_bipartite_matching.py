import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.policy import bipartite_matching

COSTS = st.integers(1, 4).flatmap(
    lambda rows: st.integers(rows, 5).flatmap(
        lambda columns: st.lists(
            st.lists(st.integers(0, 9), min_size=columns, max_size=columns),
            min_size=rows,
            max_size=rows,
        )
    )
)


def every(cost):
    """All assignments, by trying them."""
    return itertools.permutations(range(len(cost[0])), len(cost))


@given(COSTS)
def test_the_cheapest_assignment_is_as_cheap_as_any(cost):
    found = bipartite_matching.cheapest(cost)

    total = sum(row[column] for row, column in zip(cost, found, strict=True))
    assert len(set(found)) == len(cost)
    assert total == min(sum(r[c] for r, c in zip(cost, each, strict=True)) for each in every(cost))


@given(COSTS)
def test_the_fairest_has_the_least_worst_cost_and_then_the_least_sum(cost):
    def judged(columns):
        values = [row[column] for row, column in zip(cost, columns, strict=True)]
        return max(values), sum(values)

    found = bipartite_matching.fairest(cost, [float(value) for value in range(10)])

    assert len(set(found)) == len(cost)
    assert judged(found) == min(map(judged, every(cost)))


@given(
    st.lists(st.lists(st.integers(0, 3), unique=True), max_size=5),
    st.integers(1, 3),
)
def test_a_matching_seats_as_many_rows_as_can_be(near, room):
    seats = [column for column in range(4) for _ in range(room)]

    best = 0
    for chosen in itertools.product(*[[None, *columns] for columns in near]):
        used = [column for column in chosen if column is not None]
        if all(used.count(column) <= seats.count(column) for column in used):
            best = max(best, len(used))

    assert bipartite_matching.matching(near, 4, capacity=room) == best


@pytest.mark.parametrize(
    ("near", "expected"),
    [
        ([{0, 1}, {0, 1}, {2}], True),
        ([{0, 1}, {1, 2}], False),
        ([], True),
        ([set(), {0}], True),
    ],
)
def test_blocks_are_equal_or_apart(near, expected):
    assert bipartite_matching.blocks([frozenset(columns) for columns in near]) is expected
