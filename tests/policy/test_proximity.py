import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.policy import proximity

LEVELS = ("clique", "rack", "block")


def distance(node, members):
    """The mean distance from one node's domains to the members'."""
    return proximity.distances([node], members)[0]


def test_a_place_is_the_values_of_the_levels_labels():
    assert proximity.domains({"rack": "r1", "other": "x"}, LEVELS) == (None, "r1", None)


@pytest.mark.parametrize(
    ("node", "member", "expected"),
    [
        pytest.param(("c", "r", "b"), ("c", "r", "b"), 0.0, id="same clique"),
        pytest.param(("c", "r", "b"), ("d", "r", "b"), 1 / 3, id="same rack"),
        pytest.param(("c", "r", "b"), ("d", "s", "b"), 2 / 3, id="same block"),
        pytest.param(("c", "r", "b"), ("d", "s", "e"), 1.0, id="nothing in common"),
        pytest.param((None, None, None), (None, None, None), 1.0, id="nothing is known"),
        pytest.param((None, "r", "b"), ("c", "r", "b"), 1 / 3, id="the nearest is not known"),
    ],
)
def test_distance_is_the_nearest_level_in_common(node, member, expected):
    assert distance(node, {member: 1}) == pytest.approx(expected)


def test_a_node_near_to_most_members_wins():
    members = {("c", "r", "b"): 3, ("d", "s", "b"): 1}

    near_most = distance(("c", "r", "b"), members)
    near_one = distance(("d", "s", "b"), members)

    assert near_most < near_one


def test_without_members_or_levels_every_node_is_as_good():
    assert distance(("c", "r", "b"), {}) == 0.0
    assert distance((), {(): 2}) == 0.0


PLACES = st.tuples(*[st.sampled_from([None, "a", "b", "c"])] * 3)
MEMBERS = st.dictionaries(PLACES, st.integers(1, 9), min_size=1, max_size=9)


@given(PLACES, MEMBERS)
def test_a_distance_is_between_0_and_1_and_the_same_in_any_order(node, members):
    found = distance(node, members)

    assert 0.0 <= found <= 1.0
    assert found == pytest.approx(distance(node, dict(reversed(members.items()))))


@pytest.mark.parametrize(
    ("mine", "expected"),
    [
        pytest.param({"3"}, 1, id="one has it, one does not"),
        pytest.param({"1", "3"}, 0, id="one in common is enough"),
        pytest.param({"5"}, 2, id="nobody has it"),
        pytest.param(set(), 0, id="not reported"),
    ],
)
def test_members_without_a_rail_in_common_are_counted(mine, expected):
    theirs = {frozenset({"3", "4"}): 1, frozenset({"1"}): 1}

    assert proximity.off_rail(frozenset(mine), theirs) == expected


@given(st.lists(PLACES, max_size=90), MEMBERS)
def test_many_distances_are_means_of_those_of_two_places(kinds, members):
    expected = [
        sum(count * proximity.between(each, there) for there, count in members.items())
        / sum(members.values())
        for each in kinds
    ]

    assert proximity.distances(kinds, members).tolist() == pytest.approx(expected)


# Two cliques in one rack, one in another: places by (clique, rack).
KINDS = [("x", "1"), ("y", "1"), ("z", "2")]


def rest(room, waiting, kinds=KINDS):
    kind = np.arange(len(room))
    return proximity.distance_of_waiting(
        kinds, kind, np.array(room, float), waiting=waiting
    ).tolist()


@pytest.mark.parametrize(
    ("room", "waiting", "expected"),
    [
        pytest.param([4, 4, 4], 3, [0.0, 0.0, 0.0], id="each has room for all"),
        pytest.param(
            [4, 1, 2], 3, [0.0, 0.5, 2 / 3], id="the next node of the rack, then anywhere"
        ),
        pytest.param([1, 1, 1], 1, [0.5, 0.5, 1.0], id="one seat each"),
    ],
)
def test_those_who_wait_go_as_near_as_there_is_room(room, waiting, expected):
    assert rest(room, waiting) == pytest.approx(expected)


def test_room_on_nodes_without_labels_is_near_to_nobody_else():
    assert rest([1, 9], 4, kinds=[(None, None), (None, None)]) == [1.0, 0.0]


@given(st.lists(st.integers(1, 9), min_size=3, max_size=3), st.integers(1, 9), st.integers(0, 2))
def test_more_room_on_a_node_never_moves_the_others_away_from_it(room, waiting, place):
    more = [seats + (number == place) for number, seats in enumerate(room)]
    before, after = rest(room, waiting), rest(more, waiting)
    assert after[place] <= before[place]
    assert all(0 <= one <= 1 for one in after)
