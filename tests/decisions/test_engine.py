"""The engine: what it refuses, lets pass and predicts."""

import pytest

from extender.decisions.explanation import explain
from extender.hardware import allocator_features
from tests.kit.builders import (
    make_claim,
    make_class,
    make_node,
    make_pod,
    make_slice,
    make_template,
)
from tests.kit.worlds import GPU, H100, NIC, engine, feed

NODES = ["aligned", "apart", "full"]


def test_a_pick_that_shares_a_pcie_root_is_preferred(judging):
    pod = make_pod("p").template("gpu-nic").obj()

    scores = dict(zip(NODES, judging.prioritize(pod, NODES), strict=True))

    assert scores["aligned"] == 10
    assert scores["aligned"] > scores["apart"]


def test_explain_says_why_in_the_words_of_the_attribute(judging):
    found = explain.explain(judging, make_pod("p").template("gpu-nic").obj())

    why = {node.node: node.near for node in found.nodes}
    assert why["aligned"].startswith("GPU and NIC share a PCIe root")
    assert why["apart"].startswith("GPU and NIC do not share a PCIe root")
    assert [device.device for device in found.nodes[0].devices] == ["gpu-0", "nic-0"]


def test_required_locality_refuses_the_misaligned_pick_with_its_reason(judging):
    pod = make_pod("p").template("gpu-nic").annotation("railyard.dev/locality", "required").obj()

    found = judging.filter(pod, NODES)

    assert found.failed["apart"] == (
        "needs GPU and NIC behind one PCIe root (PHB); "
        "a pair it would get does not share a PCIe root"
    )
    assert found.passing(NODES) == ["aligned"]
    assert found.unresolvable == {}


def test_hardware_that_can_never_align_is_refused_for_good(judging):
    node = make_node("never")
    gpus = (
        make_slice("never-gpu", GPU).on("never").device("gpu-0", type="gpu", pcieRoot="pci0000:01")
    )
    nics = make_slice("never-nic", NIC).on("never").device("nic-0", pcieRoot="pci0000:02")
    feed(judging, node, gpus, nics)
    pod = make_pod("p").template("gpu-nic").annotation("railyard.dev/locality", "required").obj()

    found = judging.filter(pod, [*NODES, "never"])

    assert found.unresolvable == {
        "never": "needs GPU and NIC behind one PCIe root (PHB); "
        "nearest pair does not share a PCIe root"
    }


def test_busy_and_missing_devices_are_distinguished(judging):
    feed(judging, make_node("bare"))

    found = judging.filter(make_pod("p").template("gpu-nic").obj(), [*NODES, "bare"])

    assert found.failed == {"full": "needs 1 GPU + 1 NIC; 0 of 8 GPUs are free"}
    assert found.unresolvable == {"bare": "needs 1 GPU + 1 NIC; node has none"}


def test_a_name_the_cluster_does_not_know_passes_and_is_counted(judging):
    found = judging.filter(make_pod("p").template("gpu-nic").obj(), ["full", "stranger"])

    assert found.passing(["full", "stranger"]) == ["stranger"]
    assert found.unknown == 1


def test_a_pod_whose_claim_is_not_known_passes_unjudged(judging):
    found = judging.filter(make_pod("p").claim("late").obj(), NODES)

    assert found.passing(NODES) == NODES
    assert list(judging.prioritize(make_pod("p").claim("late").obj(), NODES)) == []
    assert judging.unjudged["ResourceClaim"] == 1


@pytest.mark.parametrize("kind", ["ResourceSlice", "ResourceClaim", "DeviceClass"])
def test_a_kind_that_may_not_be_read_takes_away_only_what_needs_it(kind):
    judging = engine()
    feed(
        judging,
        make_node("plugin").gpus(H100, 2),
        make_node("dra"),
        make_template("t").request("r", GPU),
    )
    judging.store.lost(kind, "403")
    claiming, extended = make_pod("c").template("t").obj(), make_pod("e").gpus(4).obj()
    names = ["plugin", "dra"]

    assert judging.filter(claiming, names).passing(names) == names
    assert judging.filter(extended, names).unresolvable == {
        "plugin": "needs 4 GPUs; node has 2 GPUs"
    }

    judging.store.replace(kind, [], "1")
    assert judging.filter(extended, names).passing(names) == []


def test_a_pod_with_an_allocated_claim_stays_where_the_claim_is(judging):
    feed(
        judging,
        make_claim("mine").request("r", GPU).allocated("apart", ("r", GPU, "apart", "gpu-3")),
    )

    found = judging.filter(make_pod("p").claim("mine").obj(), NODES)

    assert found.passing(NODES) == ["apart"]
    assert found.unresolvable["aligned"] == "claim is allocated on another node"


def test_a_device_plugin_pod_is_judged_by_units(judging):
    feed(judging, make_node("a").gpus(H100, 8), make_node("b").gpus(H100, 2), make_node("c"))
    feed(judging, make_pod("holder").gpus(6).node("a"))

    found = judging.filter(make_pod("p").gpus(4).obj(), ["a", "b", "c"])

    assert found.failed == {"a": "needs 4 GPUs; 2 of 8 GPUs are free"}
    assert found.unresolvable == {
        "b": "needs 4 GPUs; node has 2 GPUs",
        "c": "needs 4 GPUs; node has none",
    }


@pytest.mark.parametrize(
    ("shared", "refused"),
    [
        pytest.param(False, {"a", "b"}, id="one node's pool fails mode All on every node"),
        pytest.param(True, set(), id="a pool of two nodes may be whole to both"),
    ],
)
def test_a_broken_pool_of_counters_fails_mode_all_on_nodes_that_see_it_broken(shared, refused):
    judging = engine(features=allocator_features.features_of("1.36"))
    template = make_template("t").request("r", GPU, mode="All")
    feed(judging, make_class(GPU), template, *(make_node(name) for name in "abc"))
    # Of the pool's two slices each node sees the counters and its own: for the others there are
    # three, one too many.
    feed(judging, make_slice("s0", GPU).on("a").pool("p", slices=2).counters(all={"memory": "8"}))
    for name in "ab":
        feed(
            judging,
            make_slice(name, GPU)
            .on(name)
            .pool("p" if shared else name, slices=2 if shared else 1)
            .device("gpu-0"),
        )
    pod = make_pod("p").template("t").obj()

    found = judging.filter(pod, ["a", "b"])

    assert found.failed.keys() | found.unresolvable.keys() == refused


def test_an_extended_resource_is_served_by_dra_where_no_plugin_offers_it(judging):
    feed(
        judging,
        make_class("by-name", f'device.driver == "{GPU}"').extended_resource("nvidia.com/gpu"),
    )
    feed(judging, make_node("plugin").gpus(H100, 8))

    found = explain.explain(judging, make_pod("p").gpus(2).obj(), ["aligned", "plugin", "full"])

    verdicts = {node.node: node for node in found.nodes}
    assert [d.request for d in verdicts["aligned"].devices] == ["container-0-request-0"] * 2
    assert [d.request for d in verdicts["plugin"].devices] == ["nvidia.com/gpu"] * 2
    assert verdicts["full"].score is None
