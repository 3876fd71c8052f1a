"""The replay gives upstream's answers, case by case and rule by rule."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest

from extender.demand import requests
from extender.demand.allocator import allocator, outcome
from extender.hardware import allocator_features, shape
from extender.hardware.usage import NOTHING, Usage
from tests.kit import builders
from tests.kit.allocator import allocator_vectors
from tests.kit.allocator.allocator_nodes import (
    ROOT,
    Drivers,
    allocate,
    choice,
    claim,
    devices,
    eight,
    first_of,
    machine_of,
)

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "allocator"
FUZZ = "fuzz_v1.36.2_incubating.jsonl.gz"
# Those of 1.36.2 that `resultDependsOnBug` tells of.
DEFECTS = ("leak", "key", "distinct", "list_undo")
# These depend on one too: the real 1.36.3 answers them as we do without defects.
UNLABELLED = {"fuzz-02420", "fuzz-02562"}


@pytest.mark.parametrize(
    ("name", "count"),
    [
        pytest.param("allocator_v1.36_incubating", 198, id="1.36 incubating, devices and order"),
        pytest.param("allocator_v1.36_stable", 140, id="1.36 stable, verdict and validity"),
        pytest.param("allocator_v1.36_experimental", 219, id="1.36 experimental"),
        pytest.param("allocator_v1.35_stable", 74, id="1.35 stable"),
        pytest.param("allocator_v1.35_incubating", 129, id="1.35 incubating"),
        pytest.param("allocator_v1.35_experimental", 180, id="1.35 experimental"),
        pytest.param("allocator_v1.34_stable", 64, id="1.34 stable"),
        pytest.param("allocator_v1.34_incubating", 110, id="1.34 incubating"),
        pytest.param("allocator_v1.34_experimental", 151, id="1.34 experimental"),
        pytest.param("fuzz_v1.36.2_incubating", 2000, id="random cases with 1.36.2's defects"),
    ],
)
def test_every_case_of_upstream_gets_upstreams_answer(name, count):
    judges = allocator_vectors.Judges()
    vectors = list(allocator_vectors.read(GOLDEN / f"{name}.jsonl.gz"))
    found = {v.name: allocator_vectors.difference(v, judges) for v in vectors}
    assert len(vectors) == count
    assert {name: text for name, text in found.items() if text} == {}


def test_without_defects_only_the_cases_that_depend_on_one_change():
    judges = allocator_vectors.Judges()
    changed = set()
    dependent = set()
    for vector in allocator_vectors.read(GOLDEN / FUZZ):
        sound = dataclasses.replace(vector.features, **dict.fromkeys(DEFECTS, False))
        if allocator_vectors.difference(dataclasses.replace(vector, features=sound), judges):
            changed.add(vector.name)
        if vector.depends_on:
            dependent.add(vector.name)
    assert changed - dependent == UNLABELLED
    assert len(changed) >= 20


def test_devices_are_taken_first_fit():
    answer = allocate(
        machine_of(eight()),
        claim(choice(count=3)),
        usage=Usage(taken=0b1010),
    )
    assert devices(answer) == [0, 2, 4]


def test_match_attribute_passes_over_devices_that_leave_no_partner():
    same_root = requests.Constraint((), ROOT)
    answer = allocate(
        machine_of(eight()),
        claim(choice(count=2), constraints=[same_root]),
        usage=Usage(taken=0b0101),
    )
    assert devices(answer) == [4, 5]


def test_an_earlier_requests_first_choice_beats_all_later_wishes():
    wishes = requests.ClaimDemand(
        (
            first_of(
                "a",
                choice("a/big", count=8),
                choice("a/small", count=1),
            ),
            first_of(
                "b",
                choice("b/big", count=4),
                choice("b/small", count=1),
            ),
        )
    )
    answer = allocate(machine_of(eight()), wishes)
    assert {pick.request for pick in answer.picks} == {"a/small", "b/big"}


def test_a_selector_that_would_fail_behind_the_solution_is_never_asked():
    machine = machine_of(eight("agpu"), eight("zgpu"))
    judge = Drivers()
    answer = allocate(machine, claim(choice(selectors=("agpu",))), selectors=judge)
    assert devices(answer) == [0]
    assert judge.asked == [("agpu", "agpu-0")]


def test_a_failing_selector_fails_the_whole_pod():
    answer = allocate(
        machine_of(eight()),
        claim(choice(selectors=("gpu", "broken"))),
    )
    assert isinstance(answer, outcome.Failed)
    assert answer.whole_pod


def test_a_selector_beyond_us_makes_the_answer_unknown():
    answer = allocate(
        machine_of(eight()),
        claim(choice(selectors=("beyond",))),
    )
    assert isinstance(answer, outcome.Unknown)


def test_all_fails_the_pod_while_any_pool_anywhere_is_being_updated():
    every = claim(choice(mode=requests.ALL))
    machine = machine_of(eight())
    assert len(devices(allocate(machine, every))) == 8
    answer = allocate(machine, every, surroundings=shape.Broken.INCOMPLETE)
    assert isinstance(answer, outcome.Failed)
    assert answer.whole_pod


def test_an_invalid_pool_elsewhere_turns_a_plain_no_into_a_failure_of_the_node():
    too_many = claim(choice(count=9))
    machine = machine_of(eight())
    assert isinstance(allocate(machine, too_many), outcome.NoFit)
    answer = allocate(machine, too_many, surroundings=shape.Broken.INVALID)
    assert isinstance(answer, outcome.Failed)
    assert not answer.whole_pod


def test_more_devices_than_a_claim_may_have_fail_the_pod():
    answer = allocate(
        machine_of(eight()),
        claim(choice(count=33)),
    )
    assert isinstance(answer, outcome.Failed)


def test_shares_of_a_device_add_up_and_are_left_in_the_usage():
    shared = builders.make_slice("gpu", "gpu").on("n1")
    shared.device("gpu-0", capacity={"memory": "10"}, multi=True)
    machine = machine_of(shared)
    demand = claim(choice(capacity=(("memory", 4 * 10**9),)))
    usage = NOTHING
    for _ in range(2):
        answer = allocate(machine, demand, usage=usage)
        assert [(p.device, p.shared) for p in answer.picks] == [(0, True)]
        usage = allocator.after(machine, usage, answer.picks)
    assert usage.shared == ((0, (("memory", 8 * 10**9),)),)
    assert usage.taken == 0
    assert isinstance(allocate(machine, demand, usage=usage), outcome.NoFit)


def test_admin_access_takes_devices_in_use_and_leaves_nothing_behind():
    machine = machine_of(eight())
    usage = Usage(taken=0b11111111)
    answer = allocate(machine, claim(choice(admin_access=True)), usage=usage)
    assert devices(answer) == [0]
    assert allocator.after(machine, usage, answer.picks) == usage


@pytest.mark.parametrize(
    ("machine", "wish", "certain"),
    [
        pytest.param([eight()], choice(), True, id="one slice"),
        pytest.param([eight(), eight("nic")], choice(selectors=()), False, id="two pools that fit"),
        pytest.param(
            [eight(), eight("nic")], choice(selectors=("gpu",)), True, id="two, of which one fits"
        ),
        pytest.param(
            [eight(), eight("nic")], choice(selectors=("broken",)), None, id="a failing selector"
        ),
    ],
)
def test_a_pick_is_uncertain_where_the_random_order_of_pools_matters(machine, wish, certain):
    old = allocator_features.features_of("1.35")
    answer = allocate(machine_of(*machine, features=old), claim(wish), features=old)
    assert getattr(answer, "certain", None) is certain
