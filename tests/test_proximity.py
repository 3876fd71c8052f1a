import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.policy import proximity

LEVELS = ("clique", "rack", "block")


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
    assert proximity.distance(node, [(member, 1)]) == pytest.approx(expected)


def test_a_node_near_to_most_members_wins():
    members = [(("c", "r", "b"), 3), (("d", "s", "b"), 1)]

    near_most = proximity.distance(("c", "r", "b"), members)
    near_one = proximity.distance(("d", "s", "b"), members)

    assert near_most < near_one


def test_without_members_or_levels_every_node_is_as_good():
    assert proximity.distance(("c", "r", "b"), []) == 0.0
    assert proximity.distance((), [((), 2)]) == 0.0


PLACES = st.tuples(*[st.sampled_from(["a", "b", None])] * 3)


@given(PLACES, st.lists(st.tuples(PLACES, st.integers(1, 9)), min_size=1))
def test_a_distance_is_between_0_and_1_and_the_same_in_any_order(node, members):
    found = proximity.distance(node, members)

    assert 0.0 <= found <= 1.0
    assert found == pytest.approx(proximity.distance(node, members[::-1]))
