"""Pods placed one after the other, as kube-scheduler would with Railyard."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extender.capacity import counting, pod_shape
from extender.kube.api import objects
from extender.simulation import in_tree, placer, workload
from tests.kit.builders import make_claim, make_class, make_node, make_pod
from tests.kit.generated import seeded
from tests.kit.worlds import GPU, H100, NIC, engine, feed, p4d


def placing(judging, seed=0, **rules):
    judging.settle()
    return placer.Placer(judging, np.random.default_rng(seed), placer.Rules(**rules))


def arrivals(shape, count):
    """Pods of a shape, each with claims of its own."""
    pods = [(0.0, None, shape.pod) for _ in range(count)]
    found, problems = workload.arrivals_of(
        pods, shape.extra.claims, lambda *key: shape.extra.templates.get(key)
    )
    assert not problems
    return found


def placed(placing, shape, most=400):
    """Place pods of the shape until one fits nowhere; the nodes they went to."""
    nodes = []
    for each in arrivals(shape, most):
        placing.arrive(each.pod, each.claims)
        found = placing.place(each.pod)
        if found is None:
            return nodes
        nodes.append(found.node)
    raise AssertionError("the cluster never fills")


SHAPES = (
    "nvidia.com/gpu=1,cpu=2",
    "nvidia.com/gpu=4,cpu=1",
    "nvidia.com/gpu=8,memory=20Gi",
    "cpu=9",
    f"{seeded.GPU}=1,{seeded.NIC}=1,cpu=3",
    f"{seeded.GPU}=3,cpu=1",
)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), shape=st.sampled_from(SHAPES))
def test_capacity_is_what_can_then_be_placed(seed, shape):
    judging = seeded.fresh()
    seeded.show(judging, seeded.generated(seed))
    chosen = pod_shape.parse(shape)

    reported = counting.count(judging, chosen)
    nodes = placed(placing(judging, seed), chosen)

    assert reported.fits == len(nodes)
    where = {node: count for pool in reported.pools for node, count in pool.fits_on.items()}
    assert where == {node: nodes.count(node) for node in nodes}
    assert reported.fits <= reported.defragmented <= reported.empty
    if reported.next_node:
        assert reported.next_node in nodes
    assert judging.index.verify() == []


def test_the_devices_are_those_that_the_allocator_takes_first():
    judging = engine()
    feed(judging, *p4d("a"), make_class(GPU), make_class(NIC))
    shape = pod_shape.parse(f"{GPU}=2,{NIC}=1")
    (first, *_) = arrivals(shape, 1)
    place = placing(judging)
    place.arrive(first.pod, first.claims)

    found = place.place(first.pod)

    (claim,) = [claim for claim in judging.store.claims.values() if claim.status.allocation]
    devices = [each.device for each in claim.status.allocation.devices.results]
    assert (found.node, found.gpus, devices) == ("a", 2.0, ["gpu-0", "gpu-1", "nic-0"])


def test_a_pod_that_leaves_gives_everything_back():
    judging = engine()
    feed(judging, *p4d("a"), make_class(GPU))
    place = placing(judging)
    pods = arrivals(pod_shape.parse(f"{GPU}=8,cpu=90"), 2)
    for each in pods:
        place.arrive(each.pod, each.claims)

    assert place.place(pods[0].pod) is not None
    assert place.place(pods[1].pod) is None
    place.leave(pods[0].pod.metadata.uid)
    assert place.place(pods[1].pod) is not None


@pytest.mark.parametrize(
    ("node", "pod"),
    [
        pytest.param(make_node("a").unschedulable(), make_pod("p"), id="a cordon"),
        pytest.param(
            make_node("a").allocatable(cpu="1"), make_pod("p").request("cpu", 2), id="CPU"
        ),
        pytest.param(make_node("a").allocatable(pods="0"), make_pod("p"), id="pods"),
        pytest.param(
            make_node("a"), make_pod("p").request("example.com/licence", 1), id="a resource"
        ),
    ],
)
def test_kube_schedulers_own_filters_are_heeded(node, pod):
    judging = engine()
    feed(judging, node)
    place = placing(judging)
    place.arrive(pod.obj())

    assert place.place(pod.obj()) is None


def test_in_tree_scores_decide_where_we_have_no_opinion():
    judging = engine()
    feed(
        judging, make_node("busy"), make_node("free"), make_pod("x").request("cpu", 50).node("busy")
    )
    pod = make_pod("p").request("cpu", 1).obj()
    place = placing(judging)
    place.arrive(pod)

    assert place.place(pod).node == "free"


def test_our_scores_outvote_in_tree_scores_by_the_weight():
    """Packing prefers the node in use, LeastAllocated the empty one."""
    chosen = {}
    for weight in (1, 100):
        judging = engine()
        feed(judging, make_node("used").gpus(H100, 8), make_node("whole").gpus(H100, 8))
        feed(judging, make_pod("x").gpus(7).request("cpu", 90).node("used"))
        pod = make_pod("p").gpus(1).request("cpu", 1).obj()
        place = placing(judging, weight=weight)
        place.arrive(pod)
        chosen[weight] = place.place(pod).node

    assert chosen[100] == "used"


def test_balance_counts_as_the_version_does():
    cpu = np.array([100, 100]), np.array([100, 50]), 10
    memory = np.array([100, 100]), np.array([100, 100]), 10

    old = in_tree.scores(cpu, memory, "1.35")
    new = in_tree.scores(cpu, memory, "1.36")

    assert old.tolist() == [90 + 100, 65 + 75]
    assert new.tolist() == [90 + 50 + 25, 65 + 50 + 25]
    assert in_tree.balance_of("v1.35.2") == "1.35"
    assert {in_tree.balance_of(text) for text in ("", "1.36", "1.37", "2.0", "odd")} == {"1.36"}


def test_a_pod_whose_claim_is_not_known_is_left_out_by_name():
    pods = [(0.0, None, make_pod("p", "ml").claim("gone").obj())]

    found, problems = workload.arrivals_of(pods, {}, lambda *_: None)

    assert found == []
    assert problems == [("pod ml/p", "claim gone is not known here")]


def test_pods_that_ask_for_the_same_are_of_one_kind():
    claims = {("default", "mine"): make_claim("mine").request("r", GPU, 2).obj()}
    pods = [
        (0.0, None, make_pod("a").claim("mine").obj()),
        (0.0, None, make_pod("b").claim("mine").obj()),
    ]
    pods.append((0.0, None, make_pod("b").gpus(1).obj()))

    found, _ = workload.arrivals_of(pods, claims, lambda *_: None)

    assert found[0].kind == found[1].kind != found[2].kind
    assert len({each.pod.metadata.name for each in found}) == 3
    assert isinstance(found[0].claims[0], objects.ResourceClaim)


def test_a_shuffle_keeps_pods_and_times():
    rng = random.Random(1)
    pods = [(float(rng.randrange(9)), None, make_pod(f"p{n}").obj()) for n in range(20)]
    found, _ = workload.arrivals_of(pods, {}, lambda *_: None)

    mixed = workload.shuffled(found, np.random.default_rng(2))

    assert [each.at for each in mixed] == [each.at for each in found]
    assert sorted(each.pod.metadata.name for each in mixed) == sorted(
        p.metadata.name for *_, p in pods
    )
    assert [each.pod for each in mixed] != [each.pod for each in found]
