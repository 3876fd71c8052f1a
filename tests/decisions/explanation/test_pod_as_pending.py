"""A bound pod is explained as if it came now: it asks for what it asked, and is in nobody's way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extender.decisions.explanation import explain
from tests.kit.builders import make_claim, make_class, make_node, make_pod
from tests.kit.worlds import GPU, H100, engine, feed, p4d


def claim_pod(name, node=None, *devices):
    """A pod with a claim for two GPUs, and its claim, allocated where it has a node."""
    claim = make_claim(f"{name}-c").request("r", GPU, 2)
    pod = make_pod(name).claim(f"{name}-c")
    if node:
        claim.allocated(node, *(("r", GPU, node, device) for device in devices))
        claim.body["status"]["reservedFor"] = [
            {"resource": "pods", "name": name, "uid": f"uid-{name}"}
        ]
        pod.node(node)
    return pod, claim


def answers(judging, pod):
    """All but the costs: the prices of the moment are those of the cluster with the pod."""
    return {
        node.node: (node.verdict, node.reason, [d.device for d in node.devices])
        for node in explain.explain(judging, pod).nodes
    }


def test_a_bound_pod_with_a_claim_still_asks_for_its_devices():
    judging = engine()
    pod, claim = claim_pod("p", "x", "gpu-0", "gpu-1")
    feed(judging, *p4d("x"), *p4d("y"), make_class(GPU), pod, claim)

    found = explain.explain(judging, pod.obj())

    assert found.demand == "2 GPUs"
    assert {node.verdict for node in found.nodes} == {"fits"}
    assert "the pod is on x" in found.notes[0]


def test_a_bound_pod_behind_a_plug_in_does_not_compete_with_itself():
    judging = engine()
    pod = make_pod("p").gpus(8).node("a")
    feed(judging, make_node("a").gpus(H100, 8), pod)

    (node,) = explain.explain(judging, pod.obj()).nodes

    assert node.verdict == "fits"
    assert len(node.devices) == 8


def test_a_claim_that_others_use_too_keeps_its_devices():
    judging = engine()
    pod, claim = claim_pod("p", "x", "gpu-0", "gpu-1")
    other = {"resource": "pods", "name": "o", "uid": "uid-o"}
    claim.body["status"]["reservedFor"].append(other)
    feed(judging, *p4d("x"), *p4d("y"), make_class(GPU), pod, claim)

    found = {node.node: node.verdict for node in explain.explain(judging, pod.obj()).nodes}

    assert found == {"x": "fits", "y": "refused for good"}


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 4)), max_size=4),
    st.integers(1, 8),
    st.sampled_from("ab"),
)
def test_a_bound_pod_is_answered_as_it_was_before_it_was_bound(others, gpus, node):
    held = [make_pod(f"h{n}").gpus(count).node(name) for n, (name, count) in enumerate(others)]
    nodes = [make_node(name).gpus(H100, 8) for name in "ab"]
    before, after = engine(), engine()
    pod = make_pod("p").gpus(gpus).request("cpu", 8)
    for judging in (before, after):
        feed(judging, *nodes, *held, pod)
        judging.settle()
    bound = make_pod("p").gpus(gpus).request("cpu", 8).node(node)
    feed(after, bound)

    assert answers(after, bound.obj()) == answers(before, pod.obj())
    assert after.index.verify() == []


@pytest.mark.parametrize("gpus", [1, 8])
def test_the_question_leaves_no_trace(gpus):
    judging = engine()
    pod = make_pod("p").gpus(gpus).node("a")
    feed(judging, make_node("a").gpus(H100, 8), make_node("b").gpus(H100, 8), pod)
    judging.settle()
    was = judging.index.describe("a")

    explain.explain(judging, pod.obj())

    assert judging.index.describe("a") == was
    assert judging.index.verify() == []
