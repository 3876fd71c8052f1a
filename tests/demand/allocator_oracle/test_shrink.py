"""Shrinking keeps what makes a case differ and drops the rest."""

from __future__ import annotations

import pytest

from tests.kit.allocator import allocator_cases
from tests.kit.generated import shrink


def holds_admin(case):
    return any(
        request.get("exactly", {}).get("adminAccess")
        for claim in case["input"]["claims"]
        for request in claim["spec"]["devices"]["requests"]
    )


def first_case(wanted, version=(1, 36)):
    for number in range(1000):
        case = allocator_cases.draw(7, number, version=version)
        if wanted(case):
            return case
    raise AssertionError("the generator never draws this")


def test_only_the_part_that_matters_is_left():
    small = shrink.shrink(first_case(holds_admin), holds_admin)
    assert holds_admin(small)
    assert small["input"]["slices"] == []
    [claim] = small["input"]["claims"]
    [request] = claim["spec"]["devices"]["requests"]
    assert set(request["exactly"]) == {"adminAccess", "allocationMode", "count", "deviceClassName"}
    assert request["exactly"]["count"] == 1


def test_a_pool_counts_its_slices_again_when_one_goes():
    def broken(case):
        return any(
            item["spec"]["pool"]["resourceSliceCount"] != len(slices)
            for slices in by_pool(case).values()
            for item in slices
        )

    def by_pool(case):
        pools = {}
        for item in case["input"]["slices"]:
            spec = item["spec"]
            pools.setdefault((spec["driver"], spec["pool"]["name"]), []).append(item)
        return pools

    def large_and_whole(case):
        return len(case["input"]["slices"]) >= 3 and not broken(case)

    small = shrink.shrink(
        first_case(lambda case: len(case["input"]["slices"]) > 4 and not broken(case)),
        large_and_whole,
    )
    assert len(small["input"]["slices"]) == 3


def test_the_number_of_tries_is_bounded():
    tries = []

    def counted(case):
        tries.append(case)
        return True

    shrink.shrink(first_case(holds_admin), counted, tries=9)
    assert len(tries) == 9


@pytest.mark.parametrize("number", range(5))
def test_a_case_that_never_fails_smaller_is_returned_as_it_is(number):
    case = allocator_cases.draw(3, number, version=(1, 36))
    assert shrink.shrink(case, lambda _: False, tries=100_000) is case
