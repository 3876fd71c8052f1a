"""The search walks as upstream does, finds the first solution, and ends within its budget."""

from __future__ import annotations

import itertools
import pathlib

from hypothesis import given, settings

from extender import errors
from extender.demand import requests, work
from extender.demand.allocator import claims_on_shape, outcome, search
from tests.kit import builders
from tests.kit.allocator import allocator_draws, allocator_replay, allocator_vectors
from tests.kit.allocator.allocator_nodes import ROOT, allocate, choice, claim, machine_of
from tests.kit.allocator.validity import allocator_validity

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "allocator"
FUZZ = "fuzz_v1.36.2_incubating.jsonl.gz"


def test_a_search_that_remembers_nothing_takes_as_many_steps_as_upstream():
    judges = allocator_vectors.Judges()
    for vector in itertools.islice(allocator_vectors.read(GOLDEN / FUZZ), 400):
        seen = allocator_draws.seen(vector)
        if seen is None or vector.expected.get("error"):
            continue
        machine, usage, claims, _ = seen
        prepared = claims_on_shape.ClaimsOnShape(
            machine, claims, selectors=judges.of(vector.features), features=vector.features
        )
        found = search.Search(prepared, usage, budget=10**6, remember_after=None)
        found.prepare()
        found.run()
        assert (vector.name, found.steps) == (vector.name, vector.expected["numAllocateOne"])


def test_a_search_that_goes_on_over_many_calls_ends_as_one_without_a_limit():
    judges = allocator_vectors.Judges()
    interrupted = 0
    for vector in itertools.islice(allocator_vectors.read(GOLDEN / FUZZ), 300):
        seen = allocator_draws.seen(vector)
        if seen is None:
            continue
        judge = judges.of(vector.features)
        (expected, _), (found, calls) = (
            searched(seen, vector.features, judge, units=units) for units in (None, 1)
        )
        assert (vector.name, found) == (vector.name, expected)
        interrupted += calls > 1
    assert interrupted > 100


def searched(seen, features, judge, *, units):
    """What a search finds, and in how many calls of so many units it does."""
    machine, usage, claims, _ = seen
    spending = work.Work(patient=units is None)
    spending.allow(10**6)
    prepared = claims_on_shape.ClaimsOnShape(
        machine, claims, selectors=judge, features=features, spending=spending
    )
    walk = search.Search(prepared, usage, budget=2_000)
    for call in itertools.count(1):
        spending.allow(units or 0)
        try:
            if not walk.begun:
                walk.prepare()
            return (walk.run(), walk.steps, walk.work), call
        except work.SpentError:
            assert units is not None
        except (errors.ClaimError, errors.SelectorError, errors.UnknownSelectorError) as problem:
            return (str(problem), walk.steps), call
        except search.OutOfBudgetError:
            return ("no answer",), call
    raise AssertionError


@settings(max_examples=100, deadline=None)
@given(allocator_draws.cases())
def test_the_pick_is_the_first_allocation_that_keeps_every_rule(case):
    features = allocator_replay.switches(case["features"], "1.37")
    judge = allocator_replay.judge(features)
    found = allocator_replay.predict(case, features=features, judge=judge)
    matches = allocator_vectors.matches(judge)
    first = next(
        (
            results
            for results in _assignments(case)
            if not allocator_validity.violations(case, results, matches=matches)
        ),
        None,
    )
    if first is None:
        assert found.verdict == allocator_replay.NO_FIT
    else:
        ours = allocator_replay.as_results(found)
        assert [_names(claim) for claim in ours] == [_names(claim) for claim in first]


def _names(result):
    fields = ("request", "driver", "device")
    return [tuple(pick[f] for f in fields) for pick in result["devices"]["results"]]


def _assignments(case):
    """Every way to hand out free devices, in the order of the API's search."""
    in_use = {(item["Driver"], item["Device"]) for item in case["allocatedDevices"]}
    devices = [
        (item["spec"]["driver"], device)
        for item in sorted(case["slices"], key=lambda item: item["spec"]["driver"])
        for device in item["spec"]["devices"]
        if (item["spec"]["driver"], device["name"]) not in in_use
    ]
    per_request = [
        [
            (number, name, combination)
            for name, choice in _named_choices(request)
            for combination in itertools.combinations(devices, choice["count"])
            if choice["deviceClassName"] in {"any", *(driver for driver, _ in combination)}
        ]
        for number, claim in enumerate(case["claims"])
        for request in claim["spec"]["devices"]["requests"]
    ]
    for ways in itertools.product(*per_request):
        chosen = [(d, body["name"]) for _, _, picks in ways for d, body in picks]
        if len(set(chosen)) < len(chosen):
            continue
        results = [{"devices": {"results": []}} for _ in case["claims"]]
        for number, name, picks in ways:
            results[number]["devices"]["results"] += [
                {"request": name, "driver": driver, "pool": "n1", "device": body["name"]}
                for driver, body in picks
            ]
        yield results


def _named_choices(request):
    if "exactly" in request:
        return [(request["name"], request["exactly"])]
    return [(f"{request['name']}/{sub['name']}", sub) for sub in request["firstAvailable"]]


def test_a_hostile_claim_ends_within_its_budget():
    gpus = builders.make_slice("gpu", "gpu").on("n1").pool(slices=2)
    for number in range(24):
        gpus.device(f"gpu-{number}", pcieRoot=f"p{number}", consumes={"c": {"m": "1"}})
    counters = (
        builders.make_slice("sets", "gpu").on("n1").pool("n1", slices=2).counters(c={"m": "9"})
    )
    every = requests.Constraint((), ROOT, distinct=True)
    demand = claim(
        *(choice(f"r{n}", count=count) for n, count in enumerate((2, 3, 3, 3))),
        constraints=[every],
    )
    answer = allocate(machine_of(gpus, counters), demand, budget=2_000)
    assert isinstance(answer, outcome.Unknown)
    assert answer.steps <= 2_000
