"""Rows found by runs of the order are those that each name has."""

from hypothesis import given, settings
from hypothesis import strategies as st

from extender.cluster.names import name_order

COUNT = 900
NAMES = [f"node-{number:03}" for number in range(COUNT)]
ROWS = {name: (number * 7) % COUNT for number, name in enumerate(NAMES)}


def in_order(rows, names):
    return name_order.NameOrder(rows).rows_of(names, rows).tolist()


def one_by_one(rows, names):
    return [rows.get(name, -1) for name in names]


def test_a_window_that_wraps_around_the_end_of_the_order():
    window = [*NAMES[700:], *NAMES[:600]]

    assert in_order(ROWS, window) == one_by_one(ROWS, window)


def test_a_run_of_the_order_takes_one_look_up_in_hundreds():
    looked_up = []

    class Rows(dict):
        def get(self, name, default=None):
            looked_up.append(name)
            return super().get(name, default)

    rows = Rows(ROWS)
    assert in_order(rows, NAMES) == one_by_one(ROWS, NAMES)
    assert len(looked_up) < COUNT / 100


def test_a_name_that_lost_its_row_has_none_and_may_get_another_one():
    rows = dict(ROWS)
    order = name_order.NameOrder(rows)
    order.drop(rows.pop("node-005"))
    assert order.rows_of(NAMES, rows).tolist() == one_by_one(rows, NAMES)

    rows["node-005"] = COUNT + 4
    assert order.rows_of(NAMES, rows).tolist() == one_by_one(rows, NAMES)
    order.drop(COUNT + 4)
    order.drop(-1)
    assert order.rows_of(NAMES, rows).tolist() == one_by_one(rows, NAMES)


def test_no_order_and_no_names():
    assert name_order.NameOrder().rows_of(NAMES, ROWS).tolist() == one_by_one(ROWS, NAMES)
    assert in_order(ROWS, []) == []
    assert in_order(ROWS, tuple(NAMES)) == one_by_one(ROWS, NAMES)  # not a list


PARTS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, COUNT), st.integers(0, COUNT), st.integers(1, 3)),
        st.just("unknown"),
    ),
    max_size=8,
)


@settings(max_examples=200)
@given(PARTS, st.sets(st.integers(0, COUNT - 1), max_size=20))
def test_whatever_is_listed_in_whatever_order(parts, dropped):
    names = []
    for part in parts:
        names += [part] if part == "unknown" else NAMES[part[0] : part[1] : part[2]]
    rows = dict(ROWS)
    order = name_order.NameOrder(rows)
    for number in dropped:
        order.drop(rows.pop(NAMES[number]))

    assert order.rows_of(names, rows).tolist() == one_by_one(rows, names)
