"""Remembering dead ends saves steps and changes no answer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extender import errors
from extender.demand.allocator import claims_on_shape, outcome, search
from tests.kit import builders
from tests.kit.allocator import allocator_cases, allocator_draws, allocator_replay
from tests.kit.allocator.allocator_nodes import allocate, choice, claim, machine_of


@pytest.mark.parametrize("version", ["1.35", "1.36.2", "1.36.3", "1.37"])
def test_remembering_dead_ends_changes_no_answer(version):
    minor = tuple(int(part) for part in version.split(".")[:2])
    compared = 0
    for number in range(250):
        case = allocator_cases.draw(5, number, version=minor)["input"]
        features = allocator_replay.switches(case["features"], version)
        seen = allocator_draws.seen(allocator_draws.vector(case, features))
        if seen is None:
            continue
        machine, usage, claims, _ = seen
        judge = allocator_replay.judge(features)
        prepared = claims_on_shape.ClaimsOnShape(
            machine, claims, selectors=judge, features=features
        )
        answers = [_run(prepared, usage, after) for after in (None, 0)]
        if "budget" not in answers:
            assert answers[0] == answers[1], number
            compared += 1
    assert compared > 150


@settings(max_examples=150, deadline=None)
@given(allocator_draws.cases(), st.sampled_from(["1.35", "1.36.2", "1.36.3", "1.37"]))
def test_remembering_dead_ends_finds_the_same_first_solution(case, version):
    features = allocator_replay.switches(case["features"], version)
    machine, usage, claims, _ = allocator_draws.seen(allocator_draws.vector(case, features))
    judge = allocator_replay.judge(features)
    prepared = claims_on_shape.ClaimsOnShape(machine, claims, selectors=judge, features=features)
    assert _run(prepared, usage, None) == _run(prepared, usage, 0)


def _run(prepared, usage, remember_after):
    found = search.Search(prepared, usage, budget=20_000, remember_after=remember_after)
    try:
        found.prepare()
        return found.run()
    except search.OutOfBudgetError:
        return "budget"
    except (errors.ClaimError, errors.SelectorError, errors.UnknownSelectorError) as problem:
        return type(problem)


def test_what_takes_upstream_millions_of_steps_is_seen_at_once():
    gpus = builders.make_slice("gpu", "gpu").on("n1").pool(slices=2)
    for number in range(22):
        gpus.device(f"gpu-{number}", pcieRoot=f"p{number}", consumes={"c": {"m": "1"}})
    counters = (
        builders.make_slice("sets", "gpu").on("n1").pool("n1", slices=2).counters(c={"m": "9"})
    )
    demand = claim(*(choice(f"r{n}", count=count) for n, count in enumerate((2, 3, 3, 3))))
    answer = allocate(machine_of(gpus, counters), demand, budget=1_000)
    assert isinstance(answer, outcome.NoFit)
