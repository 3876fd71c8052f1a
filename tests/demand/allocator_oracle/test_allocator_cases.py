"""The generator of allocation cases: the same seed draws the same, and draws everything."""

from __future__ import annotations

import json

import pytest

from tests.kit.allocator import allocator_cases, allocator_flavours

CASES = 600


@pytest.fixture(scope="module")
def cases():
    return [allocator_cases.draw(11, number, version=(1, 36)) for number in range(CASES)]


def test_the_same_seed_and_number_draw_the_same_case(cases):
    again = [allocator_cases.draw(11, number, version=(1, 36)) for number in range(CASES)]
    assert again == cases


def test_another_seed_draws_other_cases(cases):
    other = [allocator_cases.draw(12, number, version=(1, 36)) for number in range(CASES)]
    assert sum(a["input"] == b["input"] for a, b in zip(cases, other, strict=True)) < CASES / 20


@pytest.mark.parametrize(
    "part",
    [
        '"adminAccess": true', '"All"', '"firstAvailable"', '"matchAttribute"',
        '"distinctAttribute"', '"sharedCounters"', '"perDeviceNodeSelection"', '"nodeSelector"',
        '"allNodes"', '"bindingConditions"', '"NoExecute"', '"tolerations"', '"validRange"',
        '"validValues"', '"allowMultipleAllocations": true', '"ShareID"', '"strings"',
        '"generation": 3', '"gpu-0-1g-',
    ],
)  # fmt: skip
def test_every_feature_is_drawn_often(cases, part):
    assert sum(part in json.dumps(case) for case in cases) >= CASES / 60


def test_names_of_slices_are_unique_and_not_in_list_order(cases):
    unsorted = 0
    for case in cases:
        names = [item["metadata"]["name"] for item in case["input"]["slices"]]
        assert len(set(names)) == len(names)
        unsorted += names != sorted(names)
    assert unsorted > CASES / 2


@pytest.mark.parametrize(("version", "often"), [((1, 34), True), ((1, 35), False)])
def test_devices_and_counters_share_a_slice_often_only_where_the_api_allows_it(version, often):
    slices = [
        item["spec"]
        for number in range(CASES)
        for item in allocator_cases.draw(5, number, version=version)["input"]["slices"]
    ]
    counting = [spec for spec in slices if "sharedCounters" in spec and "devices" not in spec]
    mixed = [spec for spec in slices if "sharedCounters" in spec and "devices" in spec]
    assert mixed
    assert (len(mixed) > len(counting) / 5) == often


def test_kube_scheduler_would_not_take_its_stable_variant(cases):
    for case in cases:
        assert set(case["input"]["features"]) & set(allocator_cases.BEYOND_STABLE)


def test_flavours_are_probabilities():
    assert all(0 < share < 1 for share in allocator_flavours.SHARES.values())


def test_recipes_are_made_of_flavours():
    assert {name for recipe in allocator_flavours.RECIPES for name in recipe} <= set(
        allocator_flavours.SHARES
    )
