"""The replay gives upstream's answers, and the planner gives the replay's."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extender import errors
from extender.demand import allocator, hints, options, outcome, requests, search
from extender.hardware import shape, slices, versions
from extender.hardware.usage import NOTHING, NodeState, Usage
from extender.kube import objects
from tests import allocator_cases, allocator_replay, allocator_validity, allocator_vectors, builders

GOLDEN = pathlib.Path(__file__).parent / "golden" / "allocator"
ROOT = "resource.kubernetes.io/pcieRoot"
NEWEST = versions.features_of("1.37")
# Those of 1.36.2 that `resultDependsOnBug` tells of.
DEFECTS = ("leak", "key", "distinct", "list_undo")
# These depend on one too: the real 1.36.3 answers them as we do without defects.
UNLABELLED = {"fuzz-02420", "fuzz-02562"}
FUZZ = "fuzz_v1.36.2_incubating.jsonl.gz"


# ---------------------------------------------------------------- upstream's own cases


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


def test_a_search_that_remembers_nothing_takes_as_many_steps_as_upstream():
    judges = allocator_vectors.Judges()
    for vector in itertools.islice(allocator_vectors.read(GOLDEN / FUZZ), 400):
        seen = _seen(vector)
        if seen is None or vector.expected.get("error"):
            continue
        machine, usage, claims, _ = seen
        prepared = options.Prepared(
            machine, claims, selectors=judges.of(vector.features), features=vector.features
        )
        found = search.Search(prepared, usage, budget=10**6, remember_after=None)
        found.prepare()
        found.run()
        assert (vector.name, found.steps) == (vector.name, vector.expected["numAllocateOne"])


def test_the_planner_answers_upstreams_cases_like_the_search():
    judges = allocator_vectors.Judges()
    for vector in itertools.islice(allocator_vectors.read(GOLDEN / FUZZ), 400):
        seen = _seen(vector)
        if seen is None:
            continue
        machine, usage, claims, surroundings = seen
        planner = allocator.Planner(
            selectors=judges.of(vector.features), features=vector.features, budget=100_000
        )
        answer = planner.allocate(NodeState(machine, usage), claims, surroundings=surroundings)
        assert _plain(answer) == _plain(_searched(vector, judges)), vector.name


def _seen(vector):
    """The shape, usage and claims of a vector; None where the claims are refused as such."""
    node = vector.case["node"]["metadata"]
    found = slices.inventory(
        node["name"],
        node.get("labels") or {},
        _decoded(vector.case["slices"], objects.ResourceSlice),
        features=vector.features,
        interner=slices.Interner(),
    )
    classes = {c.metadata.name: c for c in _decoded(vector.case["classes"], objects.DeviceClass)}
    try:
        claims = tuple(
            requests.claim_demand(claim.spec, classes, features=vector.features)
            for claim in _decoded(vector.case["claims"], objects.ResourceClaim)
        )
    except errors.ClaimError:
        return None
    in_use = [_result(item) for item in vector.case["allocatedDevices"] or ()]
    in_use += [_result(i, share_id="s") for i in vector.case["allocatedSharedDeviceIDs"] or ()]
    in_use += [
        _result(item, share_id="c", consumed_capacity=item["Capacity"])
        for item in vector.case["allocatedCapacity"] or ()
    ]
    usage = slices.used(found, in_use, features=vector.features)
    machine = shape.Shape(devices=found.devices, pools=found.pools)
    return machine, usage, claims, found.broken_foreign


def _result(item, **more):
    return objects.DeviceRequestAllocationResult(
        driver=item["Driver"], pool=item["Pool"], device=item["Device"], **more
    )


def _searched(vector, judges):
    seen = _seen(vector)
    if seen is None:
        return None
    machine, usage, claims, surroundings = seen
    return allocator.allocate(
        machine,
        usage,
        claims,
        selectors=judges.of(vector.features),
        features=vector.features,
        surroundings=surroundings,
        budget=100_000,
    )


def _decoded(items, kind):
    return [objects.upgraded(msgspec.convert(item, kind, strict=False)) for item in items or ()]


def _plain(answer):
    """The answer without what may differ between searching and remembering."""
    if isinstance(answer, outcome.Allocated):
        return answer.picks
    return type(answer), getattr(answer, "whole_pod", None)


# ---------------------------------------------------------------- the planner, and brute force

DRIVERS = ("gpu.x.io", "nic.x.io")


@st.composite
def cases(draw):
    """A vector's input: one node, plain devices, one or two claims; nothing that can fail."""
    pools = []
    for driver in DRIVERS:
        roots = draw(st.lists(st.sampled_from(["p0", "p1", "p2", None]), max_size=4))
        pools.append(
            builders.make_slice(driver, driver).on("n1").body
            | {"metadata": {"name": driver}, "spec": _slice_spec(driver, roots, draw)}
        )
    claims = draw(st.lists(_claims(), min_size=1, max_size=2))
    taken = [
        {"Driver": s["spec"]["driver"], "Pool": "n1", "Device": d["name"]}
        for s in pools
        for d in s["spec"]["devices"]
        if draw(st.integers(0, 3)) == 0
    ]
    return {
        "features": ["DRAConsumableCapacity", "DRADeviceTaints", "DRAPrioritizedList"],
        "node": {"metadata": {"name": "n1", "labels": {}}},
        "classes": [_class(driver) for driver in DRIVERS]
        + [{"metadata": {"name": "any"}, "spec": {}}],
        "slices": pools,
        "claims": claims,
        "allocatedDevices": taken,
        "allocatedSharedDeviceIDs": [],
        "allocatedCapacity": [],
    }


def _slice_spec(driver, roots, draw):
    devices = []
    for number, root in enumerate(roots):
        device = {"name": f"d{number}", "attributes": {"n": {"int": draw(st.integers(0, 1))}}}
        if root:
            device["attributes"][ROOT] = {"string": root}
        if draw(st.integers(0, 5)) == 0:
            device["taints"] = [{"key": "k", "value": "v", "effect": "NoSchedule"}]
        device["capacity"] = {"memory": {"value": draw(st.sampled_from(["10Gi", "20Gi"]))}}
        devices.append(device)
    pool = {"name": "n1", "generation": 1, "resourceSliceCount": 1}
    return {"driver": driver, "nodeName": "n1", "pool": pool, "devices": devices}


def _class(driver):
    expression = f'device.driver == "{driver}"'
    return {
        "metadata": {"name": driver},
        "spec": {"selectors": [{"cel": {"expression": expression}}]},
    }


@st.composite
def _claims(draw):
    asked = []
    for number in range(draw(st.integers(1, 2))):
        name = f"r{number}"
        if draw(st.integers(0, 3)) == 0:
            choices = [{"name": f"s{i}", **draw(_choices())} for i in range(2)]
            asked.append({"name": name, "firstAvailable": choices})
        else:
            asked.append({"name": name, "exactly": draw(_choices())})
    constraints = draw(
        st.lists(
            st.sampled_from(
                [
                    {"matchAttribute": ROOT},
                    {"distinctAttribute": ROOT},
                    {"matchAttribute": "x.io/n"},
                ]
            ),
            max_size=1,
        )
    )
    return {"spec": {"devices": {"requests": asked, "constraints": constraints}}}


@st.composite
def _choices(draw):
    choice = {
        "deviceClassName": draw(st.sampled_from([*DRIVERS, "any"])),
        "allocationMode": "ExactCount",
        "count": draw(st.integers(1, 2)),
    }
    if draw(st.booleans()):
        choice["tolerations"] = [{"operator": "Exists"}]
    if draw(st.integers(0, 3)) == 0:
        choice["capacity"] = {"requests": {"memory": "15Gi"}}
    return choice


def _vector(case, features):
    return allocator_vectors.Vector("drawn", "incubating", case, {}, features)


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from(["1.35", "1.36.2", "1.36.3", "1.37"]), st.data())
def test_the_planner_gives_the_searchs_answer_for_every_usage(case, version, data):
    features = allocator_replay.switches(case["features"], version)
    judges = allocator_vectors.Judges()
    machine, _, claims, _ = _seen(_vector(case, features))
    planner = allocator.Planner(selectors=judges.of(features), features=features, budget=10**6)
    for taken in data.draw(st.lists(st.integers(0, 2 ** len(machine.devices) - 1), max_size=12)):
        usage = Usage(taken=taken)
        around = data.draw(st.sampled_from([None, *shape.Broken]))
        remembered = planner.allocate(NodeState(machine, usage), claims, surroundings=around)
        fresh = allocator.allocate(
            machine,
            usage,
            claims,
            selectors=judges.of(features),
            features=features,
            surroundings=around,
            budget=10**6,
        )
        assert _plain(remembered) == _plain(fresh)
        if isinstance(remembered, outcome.NoFit):
            assert (remembered.why, remembered.request) == (fresh.why, fresh.request)


@settings(max_examples=100, deadline=None)
@given(cases())
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


# ---------------------------------------------------------------- single rules


class Drivers:
    """Judges `device.driver == "…"`; "broken" fails, "beyond" is beyond us."""

    def __init__(self):
        self.asked = []

    def matches(self, expression, device):
        self.asked.append((expression, device.name))
        if expression == "broken":
            raise errors.SelectorError("no such key")
        if expression == "beyond":
            raise errors.UnknownSelectorError("too costly")
        if expression.startswith("not "):
            return device.name != expression[4:]
        return expression == device.driver


def machine_of(*builders_, features=NEWEST):
    found = slices.inventory(
        "n1", {}, [b.obj() for b in builders_], features=features, interner=slices.Interner()
    )
    return shape.Shape(devices=found.devices, pools=found.pools)


def eight(driver="gpu", **more):
    slice_ = builders.make_slice(driver, driver).on("n1")
    for number in range(8):
        slice_.device(f"{driver}-{number}", pcieRoot=f"p{number // 2}", **more)
    return slice_


def choice(name="r", *, count=1, selectors=("gpu",), **more):
    return requests.DeviceChoice(name, "class", selectors, count=count, **more)


def claim(*choices, constraints=()):
    asked = tuple(requests.Request(c.name, (c,)) for c in choices)
    return requests.ClaimDemand(asked, tuple(constraints))


def first_of(name, *choices):
    return requests.Request(name, choices, prioritized=True)


def allocate(machine, *claims, usage=NOTHING, features=NEWEST, selectors=None, **more):
    return allocator.allocate(
        machine,
        usage,
        claims,
        selectors=selectors or Drivers(),
        features=features,
        **{"budget": 10_000} | more,
    )


def devices(answer):
    return [pick.device for pick in answer.picks]


def test_devices_are_taken_first_fit():
    answer = allocate(machine_of(eight()), claim(choice(count=3)), usage=Usage(taken=0b1010))
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
            first_of("a", choice("a/big", count=8), choice("a/small", count=1)),
            first_of("b", choice("b/big", count=4), choice("b/small", count=1)),
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
    answer = allocate(machine_of(eight()), claim(choice(selectors=("gpu", "broken"))))
    assert isinstance(answer, outcome.Failed)
    assert answer.whole_pod


def test_a_selector_beyond_us_makes_the_answer_unknown():
    answer = allocate(machine_of(eight()), claim(choice(selectors=("beyond",))))
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
    answer = allocate(machine_of(eight()), claim(choice(count=33)))
    assert isinstance(answer, outcome.Failed)


def test_a_hostile_claim_ends_within_its_budget():
    gpus = builders.make_slice("gpu", "gpu").on("n1").pool(slices=2)
    for number in range(24):
        gpus.device(f"gpu-{number}", pcieRoot=f"p{number}", consumes={"c": {"m": "1"}})
    counters = (
        builders.make_slice("sets", "gpu").on("n1").pool("n1", slices=2).counters(c={"m": "9"})
    )
    every = requests.Constraint((), ROOT, distinct=True)
    demand = claim(
        *(choice(f"r{n}", count=count) for n, count in enumerate((2, 3, 3, 3))), constraints=[every]
    )
    answer = allocate(machine_of(gpus, counters), demand, budget=2_000)
    assert isinstance(answer, outcome.Unknown)
    assert answer.steps <= 2_000


@pytest.mark.parametrize(
    ("demand", "usage", "why", "request_"),
    [
        pytest.param(
            claim(choice(selectors=("tpu",))), NOTHING, hints.NO_DEVICE, "r", id="no such device"
        ),
        pytest.param(claim(choice(count=9)), NOTHING, hints.NO_DEVICE, "r", id="too few devices"),
        pytest.param(
            claim(choice("a"), choice("b", count=8)), Usage(1), hints.IN_USE, "b", id="taken"
        ),
        pytest.param(
            claim(choice(capacity=(("memory", 10**9),))),
            NOTHING,
            hints.CAPACITY,
            "r",
            id="capacity",
        ),
        pytest.param(
            claim(choice("a", count=5), choice("b", count=5)),
            NOTHING,
            hints.TOGETHER,
            "",
            id="both",
        ),
        pytest.param(
            claim(choice(count=3), constraints=[requests.Constraint((), ROOT)]),
            NOTHING,
            hints.CONSTRAINT,
            "",
            id="constraint",
        ),
    ],
)
def test_a_no_says_what_stands_in_the_way(demand, usage, why, request_):
    answer = allocate(machine_of(eight()), demand, usage=usage)
    assert (answer.why, answer.request) == (why, request_)


def test_a_no_tells_of_taints_and_counters():
    repels = [{"key": "k", "value": "v", "effect": "NoSchedule"}]
    assert allocate(machine_of(eight(taints=repels)), claim(choice())).why == hints.TAINTED
    gpus = eight(consumes={"c": {"m": "2"}}).pool("n1", slices=2)
    counters = (
        builders.make_slice("sets", "gpu").on("n1").pool("n1", slices=2).counters(c={"m": "3"})
    )
    assert allocate(machine_of(gpus, counters), claim(choice(count=2))).why == hints.COUNTERS


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


def test_the_planner_forgets_when_told():
    judge = Drivers()
    planner = allocator.Planner(selectors=judge, features=NEWEST)
    state = NodeState(machine_of(eight()), NOTHING)
    demand = (claim(choice(selectors=("not gpu-0",))),)
    assert devices(planner.allocate(state, demand)) == [1]
    asked = len(judge.asked)
    assert devices(planner.allocate(state, demand)) == [1]
    assert len(judge.asked) == asked
    planner.forget()
    assert devices(planner.allocate(state, demand)) == [1]
    assert len(judge.asked) == 2 * asked


def test_a_pick_is_uncertain_where_the_order_of_pools_is_random():
    old = versions.features_of("1.35")
    one = machine_of(eight(), features=old)
    two = machine_of(eight(), eight("nic"), features=old)
    assert allocate(one, claim(choice()), features=old).certain
    assert not allocate(two, claim(choice()), features=old).certain


# ---------------------------------------------------------------- dead ends


@pytest.mark.parametrize("version", ["1.35", "1.36.2", "1.36.3", "1.37"])
def test_remembering_dead_ends_changes_no_answer(version):
    minor = tuple(int(part) for part in version.split(".")[:2])
    compared = 0
    for number in range(250):
        case = allocator_cases.draw(5, number, version=minor)["input"]
        features = allocator_replay.switches(case["features"], version)
        seen = _seen(_vector(case, features))
        if seen is None:
            continue
        machine, usage, claims, _ = seen
        judge = allocator_replay.judge(features)
        prepared = options.Prepared(machine, claims, selectors=judge, features=features)
        answers = [_run(prepared, usage, after) for after in (None, 0)]
        if "budget" not in answers:
            assert answers[0] == answers[1], number
            compared += 1
    assert compared > 150


def _run(prepared, usage, remember_after):
    found = search.Search(prepared, usage, budget=20_000, remember_after=remember_after)
    try:
        found.prepare()
        return found.run()
    except search.OutOfBudgetError:
        return "budget"
    except (errors.ClaimError, errors.SelectorError, errors.UnknownSelectorError) as problem:
        return type(problem)


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from(["1.35", "1.36.2", "1.36.3", "1.37"]))
def test_remembering_dead_ends_finds_the_same_first_solution(case, version):
    features = allocator_replay.switches(case["features"], version)
    machine, usage, claims, _ = _seen(_vector(case, features))
    judge = allocator_replay.judge(features)
    prepared = options.Prepared(machine, claims, selectors=judge, features=features)
    assert _run(prepared, usage, None) == _run(prepared, usage, 0)


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
    planner = allocator.Planner(selectors=judge, features=NEWEST, budget=1_000)
    answer = planner.allocate(state, (claim(*every),))
    assert isinstance(answer, outcome.Unknown)
    assert len(judge.asked) < 1_000
