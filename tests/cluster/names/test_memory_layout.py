"""Names laid out as requests list them are the same names on the same rows."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from extender.cluster.names import memory_layout
from tests.kit.builders import make_node
from tests.kit.worlds import engine

NAMES = [f"node-{number:03}" for number in range(300)]


def picture(names=NAMES):
    judging = engine()
    for name in names:
        judging.store.apply("Node", "ADDED", make_node(name).obj())
    judging.index.settle()
    return judging.index


def finished(layout):
    for turn in range(10_000):
        if not layout.unfinished:
            return turn
        layout.step()
    raise AssertionError("it does not end")


def ask(cluster, layout, names):
    rows = cluster.rows_of(names)
    layout.see(names, rows)
    return rows


def shuffled(seed):
    return random.Random(seed).sample(NAMES, len(NAMES))


def test_the_order_of_requests_becomes_the_order_in_memory():
    cluster = picture()
    layout = memory_layout.NameLayout(cluster)
    order, before = shuffled(1), dict(cluster.rows)

    for start in range(0, 300, 75):
        ask(cluster, layout, order[start : start + 75])
        finished(layout)

    assert list(cluster.rows) == order
    assert cluster.rows == before


def test_names_that_lie_as_they_are_asked_are_left_alone():
    cluster = picture()
    layout = memory_layout.NameLayout(cluster)
    order = shuffled(2)
    ask(cluster, layout, order)
    finished(layout)
    laid_out = cluster.rows

    for _ in range(5000):
        layout.see(order[100:200], cluster.rows_of(order[100:200]))
        finished(layout)

    assert cluster.rows is laid_out


def test_another_order_is_learnt_after_a_while():
    cluster = picture()
    layout = memory_layout.NameLayout(cluster)
    ask(cluster, layout, shuffled(3))
    finished(layout)
    other = shuffled(4)

    rows = cluster.rows_of(other)
    for _ in range(5000):
        layout.see(other, rows)
        finished(layout)

    assert list(cluster.rows) == other


def test_the_order_is_learnt_from_requests_that_leave_no_time_in_between():
    cluster = picture()
    layout = memory_layout.NameLayout(cluster)
    order = shuffled(6)

    for start in range(0, 300, 75):
        ask(cluster, layout, order[start : start + 75])
    finished(layout)

    assert list(cluster.rows) == order


def test_no_more_requests_wait_than_have_all_names_once():
    cluster = picture()
    layout = memory_layout.NameLayout(cluster)

    for _ in range(100):
        ask(cluster, layout, shuffled(7)[:200])

    assert finished(layout) < 10


def test_a_few_names_tell_nothing_of_the_order():
    cluster = picture()
    layout = memory_layout.NameLayout(cluster)

    ask(cluster, layout, shuffled(5)[:20])

    assert not layout.unfinished


CHANGES = st.lists(
    st.tuples(st.sampled_from(["ADDED", "DELETED", "ask", "step"]), st.integers(0, 299)),
    max_size=60,
)


@settings(max_examples=40)
@given(CHANGES, st.integers(0, 5))
def test_whatever_comes_and_goes_meanwhile_every_name_keeps_its_row(changes, seed):
    judging = engine()
    cluster = judging.index
    layout = memory_layout.NameLayout(cluster)
    for name in NAMES[:200]:
        judging.store.apply("Node", "ADDED", make_node(name).obj())
    cluster.settle()
    order = shuffled(seed)
    for what, number in changes:
        if what == "ask":
            ask(cluster, layout, [*order[number:], "unknown", *order[:number]])
        elif what == "step":
            layout.step()
        else:
            judging.store.apply("Node", what, make_node(NAMES[number]).obj())
            cluster.settle()
        there = {d.name: row for row, d in enumerate(cluster.details) if d is not None}
        assert cluster.rows == there
        assert cluster.in_use().tolist() == sorted(there.values())
    finished(layout)
    assert cluster.verify() == []
