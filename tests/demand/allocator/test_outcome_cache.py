"""The predictor remembers, and answers as the search does."""

from __future__ import annotations

import itertools
import pathlib

from hypothesis import given, settings
from hypothesis import strategies as st

from extender.demand import requests
from extender.demand.allocator import allocator, outcome
from extender.hardware import shape
from extender.hardware.usage import NOTHING, NodeState, Usage
from tests.kit.allocator import allocator_draws, allocator_replay, allocator_vectors
from tests.kit.allocator.allocator_nodes import (
    NEWEST,
    Drivers,
    choice,
    claim,
    devices,
    eight,
    machine_of,
)

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "allocator"
FUZZ = "fuzz_v1.36.2_incubating.jsonl.gz"


def test_the_planner_answers_upstreams_cases_like_the_search():
    judges = allocator_vectors.Judges()
    for vector in itertools.islice(allocator_vectors.read(GOLDEN / FUZZ), 400):
        seen = allocator_draws.seen(vector)
        if seen is None:
            continue
        machine, usage, claims, surroundings = seen
        predictor = allocator.Predictor(
            selectors=judges.of(vector.features), features=vector.features, budget=100_000
        )
        answer = predictor.allocate(NodeState(machine, usage), claims, surroundings=surroundings)
        assert allocator_draws.plain(answer) == allocator_draws.plain(
            allocator_draws.searched(vector, judges)
        ), vector.name


@settings(max_examples=150, deadline=None)
@given(allocator_draws.cases(), st.sampled_from(["1.35", "1.36.2", "1.36.3", "1.37"]), st.data())
def test_the_planner_gives_the_searchs_answer_for_every_usage(case, version, data):
    features = allocator_replay.switches(case["features"], version)
    judges = allocator_vectors.Judges()
    machine, _, claims, _ = allocator_draws.seen(allocator_draws.vector(case, features))
    predictor = allocator.Predictor(selectors=judges.of(features), features=features, budget=10**6)
    for taken in data.draw(st.lists(st.integers(0, 2 ** len(machine.devices) - 1), max_size=12)):
        usage = Usage(taken=taken)
        around = data.draw(st.sampled_from([None, *shape.Broken]))
        remembered = predictor.allocate(NodeState(machine, usage), claims, surroundings=around)
        fresh = allocator.allocate(
            machine,
            usage,
            claims,
            selectors=judges.of(features),
            features=features,
            surroundings=around,
            budget=10**6,
        )
        assert allocator_draws.plain(remembered) == allocator_draws.plain(fresh)
        if isinstance(remembered, outcome.NoFit):
            assert (remembered.why, remembered.request) == (fresh.why, fresh.request)


def test_the_predictor_forgets_on_request():
    judge = Drivers()
    predictor = allocator.Predictor(selectors=judge, features=NEWEST)
    state = NodeState(machine_of(eight()), NOTHING)
    demand = (claim(choice(selectors=("not gpu-0",))),)
    assert devices(predictor.allocate(state, demand)) == [1]
    asked = len(judge.asked)
    assert devices(predictor.allocate(state, demand)) == [1]
    assert len(judge.asked) == asked
    predictor.forget()
    assert devices(predictor.allocate(state, demand)) == [1]
    assert len(judge.asked) == 2 * asked


class Counting(Drivers):
    """Says yes to everything, and keeps what it was asked."""

    def matches(self, expression, device):
        self.asked.append((expression, device.name))
        return True


def test_a_claim_of_thousands_of_selectors_ends_within_its_budget():
    every = tuple(
        choice(f"r{n}", selectors=tuple(f"{n}/{m}" for m in range(32)), mode=requests.ALL)
        for n in range(32)
    )
    judge = Counting()
    state = NodeState(machine_of(eight()), NOTHING)
    predictor = allocator.Predictor(selectors=judge, features=NEWEST, budget=1_000)
    answer = predictor.allocate(state, (claim(*every),))
    assert isinstance(answer, outcome.Unknown)
    assert len(judge.asked) < 1_000
