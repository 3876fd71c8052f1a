"""Constraints take devices in and let them go again, with and without their known defects."""

from __future__ import annotations

import dataclasses

import pytest

from extender.demand.allocator import constraints
from extender.hardware import allocator_features, shape

NEWEST = allocator_features.features_of("1.37")
LISTS = dataclasses.replace(NEWEST, list_attributes=True)
A, B, NUMBER = ("string", "a"), ("string", "b"), ("int", 1)


def rule(*, distinct=False, features=NEWEST):
    return constraints.rule(distinct=distinct, features=features)


def added(state, *values, request="r"):
    return [state.add(value, request) for value in values]


@pytest.mark.parametrize(
    ("values", "taken"),
    [
        pytest.param([A, A, B], [True, True, False], id="another value"),
        pytest.param([("int", 1), ("bool", True)], [True, False], id="another type"),
        pytest.param([None, A], [False, True], id="no value"),
        pytest.param([("strings", ("a",)), A], [True, False], id="a list, gate off"),
    ],
)
def test_match_attribute_takes_devices_of_one_value(values, taken):
    assert added(rule(), *values) == taken


def test_the_first_device_sets_the_value_anew_once_all_are_gone():
    state = rule()
    assert added(state, A, A) == [True, True]
    state.remove("r")
    state.remove("r")
    assert state.state() is None
    assert added(state, B) == [True]


@pytest.mark.parametrize(
    ("values", "taken"),
    [
        pytest.param([A, B, A], [True, True, False], id="a value twice"),
        pytest.param([None, NUMBER, A], [False, True, True], id="types differ"),
    ],
)
def test_distinct_attribute_takes_each_value_once(values, taken):
    assert added(rule(distinct=True), *values) == taken


def test_the_defect_remembers_one_value_per_request_and_undo_forgets_it():
    broken = dataclasses.replace(NEWEST, distinct=True)
    state = rule(distinct=True, features=broken)
    assert added(state, A, B, A) == [True, True, True]
    state.remove("r")
    assert added(state, B) == [True]


def test_lists_match_by_what_they_have_in_common():
    state = rule(features=LISTS)
    ab, bc, c = (("strings", tuple(text)) for text in ("ab", "bc", "c"))
    assert added(state, ab, bc, c) == [True, True, False]
    assert added(state, B) == [True]
    state.remove("r")
    state.remove("r")
    assert added(state, A) == [True]


def test_the_defect_of_lists_does_not_widen_on_undo():
    state = rule(features=dataclasses.replace(LISTS, list_undo=True))
    assert added(state, ("strings", ("a", "b")), B) == [True, True]
    state.remove("r")
    assert added(state, A) == [False]


def test_lists_are_distinct_when_they_have_nothing_in_common():
    state = rule(distinct=True, features=LISTS)
    assert added(state, ("ints", (1, 2)), ("ints", (2, 3)), ("int", 3), ("ints", ())) == [
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("name", "attribute", "found"),
    [
        pytest.param("x.io/a", "x.io/a", True, id="as written"),
        pytest.param("a", "gpu/a", True, id="bare, in the driver's domain"),
        pytest.param("a", "x.io/a", False, id="bare, in another domain"),
        pytest.param("gpu/a", "a", False, id="not qualified"),
    ],
)
def test_attributes_are_found_under_their_full_name_or_in_the_drivers_domain(
    name, attribute, found
):
    device = shape.Device("gpu", "gpu-0", {name: A}, {})
    assert (constraints.lookup(attribute, device) == A) is found
