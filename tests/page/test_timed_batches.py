"""Lists in parts: all of it, in order, and smaller where an item costs more."""

import hypothesis
import pytest
from hypothesis import strategies as st

from extender.page import timed_batches


@hypothesis.given(st.integers(0, 5000), st.lists(st.floats(0, 0.01), min_size=1, max_size=20))
@hypothesis.settings(max_examples=50, deadline=None)
def test_the_parts_are_the_list_whatever_they_cost(count, costs):
    now, items = [0.0], list(range(count))
    sliced, found = timed_batches.TimedBatches(count, spent=lambda: now[0]), []

    for number, part in enumerate(sliced):
        with sliced:
            found += items[part]
            now[0] += costs[number % len(costs)]

    assert found == items


@pytest.mark.parametrize(
    ("cost", "least", "most"),
    [
        pytest.param(0.0, 400, 512, id="free items come by hundreds"),
        pytest.param(0.00001, 20, 60, id="ten microseconds each, and tens of them"),
        pytest.param(0.001, 6, 6, id="dear ones come by six"),
    ],
)
def test_a_part_is_as_large_as_its_items_are_cheap(cost, least, most):
    now, sizes = [0.0], []
    sliced = timed_batches.TimedBatches(3000, spent=lambda: now[0])

    for part in sliced:
        with sliced:
            sizes.append(part.stop - part.start)
            now[0] += cost * sizes[-1]

    assert least <= max(sizes[-3:]) <= most


def test_no_part_is_larger_than_was_said_however_cheap_its_items_were():
    now, sizes = [0.0], []
    sliced = timed_batches.TimedBatches(100, spent=lambda: now[0], least=32, most=32)

    for part in sliced:
        with sliced:
            sizes.append(part.stop - part.start)

    assert sizes == [32, 32, 32, 4]


def test_what_was_used_is_added_up_also_where_an_item_fails():
    now = [0.0]
    sliced = timed_batches.TimedBatches(10, spent=lambda: now[0])

    def fails():
        with sliced:
            now[0] += 1.0
            raise ValueError("an item")

    for _ in range(2):
        with pytest.raises(ValueError, match="an item"):
            fails()
    assert sliced.used == 2.0
