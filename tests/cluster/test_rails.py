"""Rails of gangs, from claims and reservations to the score."""

import pytest

from extender.cluster.pods import rails
from extender.decisions.explanation import explain
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, NIC, engine, feed

JOB = ("jobset.sigs.k8s.io/jobset-name", "job")
RACK = "fabric.topograph.run/tier-0"


def machine(name, *, free=range(4), attribute="rail"):
    """Four GPUs and four NICs, pairs behind a root each, NIC n on rail n; some are taken."""
    gpus, nics = make_slice(f"{name}-gpu", GPU).on(name), make_slice(f"{name}-nic", NIC).on(name)
    for number in range(4):
        root = f"pci000{number}:00"
        gpus.device(f"gpu-{number}", type="gpu", pcieRoot=root)
        nics.device(f"nic-{number}", pcieRoot=root, **{attribute: number})
    found = [make_node(name).label(RACK, "r"), gpus, nics]
    taken = [number for number in range(4) if number not in free]
    results = [("r", d, name, f"{k}-{n}") for n in taken for d, k in ((GPU, "gpu"), (NIC, "nic"))]
    return [*found, make_claim(f"held-{name}").allocated(name, *results)] if taken else found


def claim(name):
    return make_claim(name).request("gpu", GPU).request("nic", NIC)


def member(name, node="", *, number=0):
    """A pod of the job with a claim of its own; on a node it holds GPU and NIC of that number."""
    pod, own = make_pod(name).claim(f"{name}-claim").label(*JOB), claim(f"{name}-claim")
    if node:
        pod.node(node)
        own.allocated(
            node, ("gpu", GPU, node, f"gpu-{number}"), ("nic", NIC, node, f"nic-{number}")
        )
    return pod, own


@pytest.fixture
def judging():
    """A member on `first`, rail 2; the next free pair is on rail 2 of `same` and rail 1 of `other`.

    All three nodes hang off one leaf by their labels.
    """
    found = engine()
    feed(found, make_class(GPU), make_class(NIC))
    feed(found, *machine("first", free=(2,)), *machine("same", free=(2, 3)))
    feed(found, *machine("other", free=(1, 3)))
    feed(found, *member("one", "first", number=2), *member("two"))
    return found


def scored(judging, name="two"):
    pod = judging.store.pods["default", name]
    return dict(zip(("same", "other"), judging.prioritize(pod, ["same", "other"]), strict=True))


def test_a_member_goes_where_its_nic_is_on_the_rail_of_the_others(judging):
    found = scored(judging)

    assert found["same"] > found["other"]


def test_explain_says_who_is_on_another_rail(judging):
    found = explain.explain(judging, judging.store.pods["default", "two"])
    words = {node.node: node.grounds.get("proximity") for node in found.nodes}

    assert words["same"] == f"of 1 other member of its group: 1 with the same {RACK}"
    assert words["other"] == f"{words['same']}; 1 on other rails than its NICs here"


def test_a_pod_decided_and_not_yet_seen_is_on_the_rail_that_was_predicted(judging):
    feed(judging, *member("three"))
    assert scored(judging)["same"] == 10
    judging.settle()

    found = list(rails.of_members(judging.index, judging.gangs, "default/job"))

    rows = judging.index.rows
    assert sorted(found) == sorted([(rows["first"], {"2"}), (rows["same"], {"2"})])


def test_a_member_on_the_node_itself_is_reached_without_the_network(judging):
    feed(judging, *member("near", "other", number=0))

    parts = judging.score(judging.store.pods["default", "two"], ["same", "other"]).parts

    # Both have one member on the leaf and off-rail or none; `other` has one on the node, and saves.
    assert parts["proximity"][1] < parts["proximity"][0]


def test_nics_that_tell_no_rail_change_nothing():
    judging = engine()
    feed(judging, make_class(GPU), make_class(NIC))
    for name, free in (("first", (2,)), ("same", (2, 3)), ("other", (1, 3))):
        feed(judging, *machine(name, free=free, attribute="colour"))
    feed(judging, *member("one", "first", number=2), *member("two"))

    parts = judging.score(judging.store.pods["default", "two"], ["same", "other"]).parts

    assert parts["proximity"][0] == parts["proximity"][1]
