import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.hardware import fabric
from extender.kube.api import objects

Attribute = objects.DeviceAttribute


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([], "", id="not reported"),
        pytest.param([Attribute(string="rail-3")], "rail-3", id="a name"),
        pytest.param([Attribute(int_=0)], "0", id="a number, the first is 0"),
        pytest.param([Attribute(string=""), Attribute(int_=2)], "2", id="the first that tells"),
        pytest.param([Attribute(bool_=True)], "", id="neither"),
    ],
)
def test_a_rail_is_a_name_or_a_number(values, expected):
    assert fabric.rail(values) == expected


def test_partitions_are_numbers_by_size():
    values = {"partition2": Attribute(int_=4), "partition8": Attribute(int_=1),
        "partition3": Attribute(int_=9), "partition4": Attribute(string="x")}  # fmt: skip

    assert fabric.partitions(values) == ((2, 4), (8, 1))


def hgx(number):
    """The partitions of Fabric Manager's table for eight GPUs: pairs, halves, all."""
    return ((1, 7 + number), (2, 3 + number // 2), (4, 1 + number // 4), (8, 0))


EIGHT = [hgx(number) for number in range(8)]


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        pytest.param([3], False, id="one"),
        pytest.param([0, 1], False, id="a pair"),
        pytest.param([1, 2], True, id="two of different pairs"),
        pytest.param([4, 5, 6, 7], False, id="a half"),
        pytest.param([2, 3, 4, 5], True, id="two of each half"),
        pytest.param([0, 1, 2], True, id="no partition has three"),
        pytest.param(list(range(8)), False, id="all"),
        pytest.param([], False, id="none"),
    ],
)
def test_only_whole_partitions_are_joined(gpus, expected):
    assert fabric.divided(EIGHT, gpus) is expected


@given(st.lists(st.integers(0, 7), min_size=1, unique=True))
def test_without_partitions_nothing_is_known_to_be_divided(gpus):
    assert not fabric.divided((), gpus)
    assert not fabric.divided([(), *EIGHT[1:]], [0, *gpus])
