"""From a pod to its question."""

import pytest

from extender.cluster import store
from extender.hardware import allocator_features, resource_names
from extender.policy import config
from extender.verdicts import resolver
from tests.kit.builders import make_claim, make_class, make_pod, make_template

GPU = "gpu.example.com"
OTHER = config.Profile("special", match=config.Match(device_class_names=(GPU,)))
POLICY = config.Policy(profiles=(OTHER, config.Profile("default")))


@pytest.fixture
def known():
    found = store.ClusterStore()
    add(found, make_class(GPU), make_template("one").request("r", GPU))
    return found


def add(known, *builders):
    for builder in builders:
        known.apply(builder.kind, "ADDED", builder.obj())


def versioned(claim, version):
    claim.body["metadata"]["resourceVersion"] = version
    return claim


def resolve(known, pod, resolving=None):
    return (
        resolving
        or resolver.Resolver(known, allocator_features.AllocatorFeatures(), resource_names.Table)
    ).resolve(pod.obj(), POLICY)


def test_the_profile_is_chosen_by_the_classes_that_are_asked_for(known):
    assert resolve(known, make_pod("p").template("one")).profile.name == "special"
    assert resolve(known, make_pod("p").gpus(1)).profile.name == "default"


def test_allocated_claims_bind_and_open_ones_are_asked_about(known):
    done = make_claim("done").request("r", GPU).allocated("a", ("r", GPU, "a", "gpu-0"))
    add(known, done, make_claim("open").request("r", GPU))

    found = resolve(known, make_pod("p").claim("done").claim("open"))

    assert [claim.claim_name for claim in found.claims] == ["open"]
    assert len(found.bound_to) == 1
    assert len(found.question.claims) == 1


@pytest.mark.parametrize(
    ("pod", "why"),
    [
        pytest.param(make_pod("p").claim("late"), "ResourceClaim late", id="an unknown claim"),
        pytest.param(make_pod("p").template("late"), "ResourceClaimTemplate", id="a template"),
        pytest.param(make_pod("p").claim("odd"), "could not retrieve device class", id="a class"),
        pytest.param(make_pod("p").request("cpu", "many"), "not a quantity", id="a quantity"),
    ],
)
def test_what_cannot_be_read_is_not_judged_and_says_why(known, pod, why):
    add(known, make_claim("odd").request("r", "no-such-class"))

    found = resolve(known, pod)

    assert isinstance(found, resolver.NotJudged)
    assert why in found.why


def test_equal_demands_are_one_question_so_that_tables_are_found_at_once(known):
    resolving = resolver.Resolver(
        known, allocator_features.AllocatorFeatures(), resource_names.Table
    )

    first = resolve(known, make_pod("p").template("one"), resolving)
    second = resolve(known, make_pod("q").template("one"), resolving)

    assert first.question is second.question


def test_a_changed_claim_is_read_again(known):
    resolving = resolver.Resolver(
        known, allocator_features.AllocatorFeatures(), resource_names.Table
    )
    add(known, versioned(make_claim("c").request("r", GPU, 1), "1"))
    before = resolve(known, make_pod("p").claim("c"), resolving)

    add(known, versioned(make_claim("c").request("r", GPU, 2), "2"))
    after = resolve(known, make_pod("p").claim("c"), resolving)

    counts = [a.question.claims[0].requests[0].choices[0].count for a in (before, after)]
    assert counts == [1, 2]


def test_a_changed_class_is_read_again(known):
    resolving = resolver.Resolver(
        known, allocator_features.AllocatorFeatures(), resource_names.Table
    )
    add(known, versioned(make_claim("c").request("r", GPU), "1"))
    before = resolve(known, make_pod("p").claim("c"), resolving)

    add(known, make_class(GPU, 'device.driver == "other"'))
    after = resolve(known, make_pod("p").claim("c"), resolving)

    assert before.question != after.question


def test_another_policy_is_another_answer(known):
    resolving = resolver.Resolver(
        known, allocator_features.AllocatorFeatures(), resource_names.Table
    )
    pod = make_pod("p").template("one").obj()

    first = resolving.resolve(pod, POLICY)
    second = resolving.resolve(pod, config.DEFAULT)

    assert (first.profile.name, second.profile.name) == ("special", "default")


def test_the_answer_on_a_waiting_pod_is_at_hand_until_the_pod_is_another_or_forgotten(known):
    resolving = resolver.Resolver(
        known, allocator_features.AllocatorFeatures(), resource_names.Table
    )

    first = resolve(known, make_pod("p").gpus(1), resolving)

    assert resolve(known, make_pod("q").gpus(2), resolving) is not first
    assert resolve(known, make_pod("p").gpus(1), resolving) is first
    assert resolve(known, make_pod("p").gpus(2), resolving) is not first
    resolving.forget(make_pod("p").obj().metadata.uid)
    assert resolve(known, make_pod("p").gpus(1), resolving) is not first
