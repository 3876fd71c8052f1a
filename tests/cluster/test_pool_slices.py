"""Where the slices of a pool are published, and which nodes a change of them touches."""

from __future__ import annotations

import pytest

from extender.cluster import store
from tests.kit.builders import make_slice

COUNTERS = {"set": {"memory": "1"}}


@pytest.fixture
def picture():
    return store.ClusterStore()


def part(place, *, name="", pool="spread", generation=1, device="gpu", consumes=None):
    made = make_slice(name or f"{pool}-{place}")
    made = made.on(place) if place else made.everywhere()
    made.pool(pool, generation=generation, slices=2)
    return made.device(device, consumes=consumes).obj()


def feed(picture, *items):
    for item in items:
        picture.apply("ResourceSlice", "ADDED", item)


def seen(picture, node):
    return sorted(item.metadata.name for item in picture.slices_of(node))


def settle(picture):
    picture.marked.dirty_shapes.clear()
    picture.marked.due.clear()
    picture.marked.everything_due = False


def test_a_node_sees_its_own_slices_and_those_of_no_node(picture):
    feed(picture, part("a", pool="a"), part("b", pool="b"), part("", pool="far"))
    assert seen(picture, "a") == ["a-a", "far-"]
    assert picture.slices_elsewhere("a") == {}


def test_a_node_sees_the_whole_of_a_pool_that_shares_counters(picture):
    feed(picture, part("a"), part("b", consumes=COUNTERS))
    assert seen(picture, "a") == ["spread-a", "spread-b"]
    assert picture.slices_elsewhere("a") == {}


def test_of_a_pool_without_counters_a_node_knows_how_many_slices_others_have(picture):
    feed(picture, part("a"), part("b"), part("c"), part("d", generation=2), part(""))
    assert seen(picture, "a") == ["spread-", "spread-a"]
    assert picture.slices_elsewhere("a") == {("gpu.example.com", "spread"): {1: 2, 2: 1}}


def test_a_node_without_a_part_does_not_see_what_other_nodes_share(picture):
    feed(picture, part("a", consumes=COUNTERS), part("b"))
    assert seen(picture, "c") == []
    assert picture.slices_elsewhere("c") == {}


def test_a_pool_is_no_longer_spread_once_its_other_part_is_gone(picture):
    feed(picture, part("a", consumes=COUNTERS), part("b"))
    picture.apply("ResourceSlice", "DELETED", part("b"))
    assert seen(picture, "a") == ["spread-a"]
    assert picture.slices_elsewhere("a") == {}


def test_a_pool_that_draws_counters_no_longer_is_counted_again(picture):
    feed(picture, part("a"), part("b", consumes=COUNTERS))
    picture.apply("ResourceSlice", "MODIFIED", part("b"))
    assert seen(picture, "a") == ["spread-a"]
    assert picture.slices_elsewhere("a") == {("gpu.example.com", "spread"): {1: 1}}


@pytest.mark.parametrize(
    ("event", "changed", "touched"),
    [
        pytest.param("DELETED", part("b"), {"a", "b"}, id="a part goes"),
        pytest.param("MODIFIED", part("b", generation=2), {"a", "b"}, id="a new generation"),
        pytest.param("MODIFIED", part("c", name="spread-b"), {"a", "b", "c"}, id="a part moves"),
        pytest.param("MODIFIED", part("b", consumes=COUNTERS), {"a", "b"}, id="counters come"),
        pytest.param("MODIFIED", part("b", device="other"), {"b"}, id="only its devices change"),
    ],
)
def test_a_change_touches_the_nodes_that_the_pool_is_judged_on(picture, event, changed, touched):
    feed(picture, part("a"), part("b"))
    settle(picture)
    picture.apply("ResourceSlice", event, changed)
    assert picture.marked.dirty_shapes | picture.marked.due == touched
    assert not picture.marked.everything_due


def test_a_part_of_a_pool_that_is_published_for_all_touches_every_node(picture):
    feed(picture, part("a"), part(""))
    settle(picture)
    picture.apply("ResourceSlice", "MODIFIED", part("a", generation=2))
    assert picture.marked.everything_due
