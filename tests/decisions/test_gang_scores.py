"""Scores and their words of gangs, health, packing, end to end."""

import pytest

from extender.decisions.explanation import explain, explain_table
from tests.kit.builders import make_class, make_node, make_pod, make_slice, make_template
from tests.kit.rigs.scored_worlds import parts
from tests.kit.worlds import GPU, H100, NIC, engine, feed, held, p4d

CLIQUE = "nvidia.com/gpu.clique"


RACK = "fabric.topograph.run/tier-0"


GANG = ("jobset.sigs.k8s.io/jobset-name", "job")


# ---------------------------------------------------------------- in words, end to end


def explained(judging, pod, names=None):
    """Node → what explain says of it; also that the table for a terminal can be written."""
    found = explain.explain(judging, pod.obj(), names)
    assert len(list(explain_table.lines(found))) == len(found.nodes) + 2
    return {node.node: node for node in found.nodes}


def score(judging, pod, names):
    return dict(zip(names, judging.prioritize(pod.obj(), names).tolist(), strict=True))


def racks(judging):
    """`a` and `b` in one clique, `c` in their rack, `d` in another; a member of the job on `a`."""
    for name, clique, rack in (("a", "x", "1"), ("b", "x", "1"), ("c", "y", "1"), ("d", "z", "2")):
        feed(judging, make_node(name).gpus(H100, 8).label(CLIQUE, clique).label(RACK, rack))
    feed(judging, make_pod("first").gpus(8).label(*GANG).node("a"))


def test_the_second_member_goes_to_the_clique_of_the_first_then_to_its_rack():
    judging = engine()
    racks(judging)

    found = score(judging, make_pod("next").gpus(8).label(*GANG), ["d", "c", "b"])

    assert found["b"] > found["c"] > found["d"]


def test_explain_counts_the_members_by_what_they_have_in_common_with_the_node():
    judging = engine()
    racks(judging)
    feed(judging, make_pod("second").gpus(8).label(*GANG).node("d"))

    found = explained(judging, make_pod("next").gpus(8).label(*GANG), ["b", "c"])

    assert found["b"].grounds["proximity"] == (
        f"of 2 other members of its group: 1 with the same {CLIQUE}, 1 with no label in common"
    )
    assert f"1 with the same {RACK}" in found["c"].grounds["proximity"]


def test_the_node_of_the_other_members_is_the_nearest_also_without_labels():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8), make_node("b").gpus(H100, 8))
    feed(judging, make_pod("first").gpus(4).label(*GANG).node("a"))
    pod = make_pod("next").gpus(4).label(*GANG)

    assert parts(judging, pod, ["a", "b"])["proximity"].tolist() == [0.0, 10.0]
    assert explained(judging, pod)["a"].grounds["proximity"] == (
        "of 1 other member of its group: 1 on this node"
    )


def test_the_first_member_goes_where_there_is_room_for_the_others():
    judging = engine()
    feed(judging, make_node("tight").gpus(H100, 8), make_node("roomy").gpus(H100, 8))
    feed(judging, make_pod("holder").gpus(7).node("tight"))
    alone = score(judging, make_pod("alone").gpus(1), ["tight", "roomy"])
    members = [make_pod(f"member-{number}").gpus(1).label(*GANG) for number in range(4)]
    feed(judging, *members)

    together = score(judging, members[0], ["tight", "roomy"])

    assert alone["tight"] > alone["roomy"]
    assert together["roomy"] > together["tight"]
    words = explained(judging, members[1])["roomy"].grounds["proximity"]
    assert words == "of 3 other members of its group: 2 still to be placed, 1 on this node"


def test_the_first_member_goes_to_the_rack_that_can_hold_them_all():
    judging = engine()
    for name, rack in (("a", "1"), ("b", "2"), ("c", "2")):
        feed(judging, make_node(name).gpus(H100, 8).label(RACK, rack))
    members = [make_pod(f"member-{number}").gpus(8).label(*GANG) for number in range(2)]
    feed(judging, *members)

    found = parts(judging, members[0], ["a", "b", "c"])["proximity"]

    assert found[0] == 10.0
    assert found[1] == found[2] == pytest.approx(10 * 3 / 7)  # the fourth of seven levels


def test_a_gang_is_learnt_as_one_demand_for_what_a_node_can_hold():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8), make_node("b").gpus(H100, 8))
    for number in range(12):
        feed(judging, make_pod(f"member-{number}").gpus(1).label(*GANG))

    judging.settle()

    learnt = judging.pricer.classes.weight > 0.0  # of whole machines enough was seen
    assert judging.pricer.classes.count[learnt].tolist() == [8.0]
    assert judging.pricer.mix.seen == 12


def test_opening_a_node_is_charged_to_all_members_that_wait():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8))
    for number in range(4):
        feed(judging, make_pod(f"seen-{number}").gpus(8))
    members = [make_pod(f"member-{number}").gpus(1).label(*GANG) for number in range(4)]
    feed(judging, *members)

    alone = parts(judging, make_pod("alone").gpus(1), ["a"])["packing"][0]
    together = parts(judging, members[0], ["a"])["packing"][0]

    assert together == pytest.approx(alone / 4)


def test_a_single_gpu_pod_leaves_the_linked_node_to_others():
    judging = engine()
    feed(judging, make_node("linked").gpus(H100, 8), make_node("plain").gpus("NVIDIA-L40S", 8))
    pod = make_pod("p").gpus(1)

    assert score(judging, pod, ["linked", "plain"]) == {"plain": 10, "linked": 9}
    found = explained(judging, pod)
    assert found["linked"].grounds["preference"] == "uses 1 of 8 linked GPUs"
    assert found["plain"].grounds["preference"] == "nothing speaks against it"


def test_unhealthy_and_cordoned_nodes_are_tried_last_and_say_why():
    judging = engine()
    feed(judging, make_node("good").gpus(H100, 8))
    feed(judging, make_node("hot").gpus(H100, 8).condition("GpuThermalWatch"))
    feed(judging, make_node("shut").gpus(H100, 8).unschedulable())
    pod = make_pod("p").gpus(8)

    found = score(judging, pod, ["hot", "shut", "good"])

    assert found["good"] > found["hot"] == found["shut"]
    words = {name: node.grounds["preference"] for name, node in explained(judging, pod).items()}
    assert words["hot"] == "condition GpuThermalWatch is true"
    assert words["shut"] == "the node is cordoned"


def test_a_tolerated_taint_of_a_device_is_named():
    judging = engine()
    taint = {"key": "example.com/hot", "effect": "NoSchedule"}
    for name, taints in (("sound", None), ("hot", [taint])):
        one = make_slice(f"{name}-gpu", GPU).on(name).device("gpu-0", type="gpu", taints=taints)
        feed(judging, make_node(name), one)
    tolerations = [{"key": "example.com/hot", "operator": "Exists"}]
    feed(judging, make_class(GPU))
    feed(judging, make_template("any").request("gpu", GPU, tolerations=tolerations))
    pod = make_pod("p").template("any")

    found = explained(judging, pod)

    assert score(judging, pod, ["hot", "sound"]) == {"sound": 10, "hot": 9}
    assert found["hot"].grounds["preference"] == "gpu-0 is tainted (example.com/hot)"


def test_pods_in_virtual_machines_go_where_gpus_are_passed_through_and_others_do_not():
    judging = engine()
    config_label = "nvidia.com/gpu.workload.config"
    feed(judging, make_node("vm").gpus(H100, 8).label(config_label, "vm-passthrough"))
    feed(judging, make_node("plain").gpus(H100, 8))
    sandboxed, usual = make_pod("kata").gpus(8), make_pod("usual").gpus(8)
    sandboxed.body["spec"]["runtimeClassName"] = "kata-qemu-nvidia-gpu"

    inside, outside = (score(judging, pod, ["vm", "plain"]) for pod in (sandboxed, usual))

    assert inside["vm"] > inside["plain"]
    assert outside["plain"] > outside["vm"]
    assert explained(judging, sandboxed)["plain"].grounds["preference"] == (
        "the pod needs a node that can pass GPUs through to virtual machines, this one is not set"
        " up for it"
    )
    assert explained(judging, usual)["vm"].grounds["preference"] == (
        "the node is set up to pass GPUs through to virtual machines, the pod has no use of it"
    )


def test_a_degraded_node_stands_behind_one_whose_devices_are_far_apart():
    judging = engine()
    for name in ("near", "far"):
        feed(judging, *p4d(name))
    feed(judging, make_class(GPU), make_class(NIC), held("far", "nic-0"))
    feed(judging, make_node("near").condition("GpuNvlinkWatch"))
    feed(judging, make_template("pair").request("gpu", GPU).request("nic", NIC))

    found = score(judging, make_pod("p").template("pair"), ["near", "far"])

    assert found["far"] > found["near"]


def test_packing_names_the_size_of_pods_that_loses_room():
    judging = engine()
    feed(judging, make_node("whole").gpus(H100, 8), make_node("broken").gpus(H100, 8))
    feed(judging, make_pod("holder").gpus(4).node("broken"))
    for number in range(30):
        feed(judging, make_pod(f"seen-{number}").gpus(8 if number % 2 else 1))

    found = explained(judging, make_pod("p").gpus(1))

    assert found["broken"].cost < found["whole"].cost
    assert "from pods of 8 GPUs" in found["whole"].grounds["packing"]
    assert found["broken"].grounds["packing"].startswith("takes headroom from pods of 1 GPU (")
    assert found["whole"].parts["packing"] > found["broken"].parts["packing"]


def test_packing_says_when_there_is_too_little_cpu_for_the_free_gpus():
    judging = engine()
    feed(judging, *(make_node(name).gpus(H100, 8).allocatable(cpu="40") for name in "ab"))
    for number in range(200):
        feed(judging, make_pod(f"seen-{number}").gpus(1).request("cpu", 10))

    found = explained(judging, make_pod("p").gpus(1).request("cpu", 10))

    assert (
        found["a"].grounds["packing"].endswith("; free CPU and memory cover 50% of the free GPUs")
    )


def test_a_pod_without_devices_prefers_no_gpus_then_those_that_starve_fewest():
    judging = engine()
    feed(judging, make_node("plain"))
    feed(judging, make_node("busy").gpus(H100, 8), make_node("idle").gpus(H100, 8))
    feed(judging, make_pod("holder").gpus(8).request("cpu", 8).node("busy"))
    feed(judging, make_pod("seen").gpus(8).request("cpu", 88))
    pod = make_pod("web").request("cpu", 40)

    found = score(judging, pod, ["idle", "busy", "plain"])

    assert found["plain"] > found["busy"] > found["idle"]
    words = {name: node.grounds["packing"] for name, node in explained(judging, pod).items()}
    assert "from pods of 8 GPUs" in words["idle"]
    assert words["plain"] == words["busy"] == "takes no headroom that other pods could use"


def test_every_part_of_every_score_has_its_reasons():
    judging = engine()
    racks(judging)
    judging.filter(make_pod("soon").gpus(8).obj(), ["b"])

    for pod in (make_pod("next").gpus(8).label(*GANG), make_pod("web").request("cpu", 4)):
        for node in explained(judging, pod).values():
            assert set(node.grounds) == set(node.parts)
            assert all(node.grounds.values())
    full = explained(judging, make_pod("next").gpus(8))["b"]
    assert full.grounds["expected full"] == "taken by pods decided and not yet seen"


def test_the_sum_that_a_request_needs_is_the_sum_of_the_parts():
    judging = engine()
    feed(judging, make_node("plain").gpus(H100, 8), make_node("small").gpus(H100, 4))
    feed(judging, make_node("bad").gpus(H100, 8).condition("GpuMemWatch"))
    feed(judging, make_node("vm").gpus(H100, 8).label("nvidia.com/gpu.workload.config", "vm-vgpu"))
    feed(judging, make_node("busy").gpus(H100, 8), make_pod("holder").gpus(7).node("busy"))
    feed(judging, *(make_pod(f"seen-{count}").gpus(count) for count in (1, 2, 8)))
    feed(judging, make_pod("member").gpus(1).label(*GANG).node("small"))
    names = ["plain", "small", "bad", "vm", "busy", "unknown"]
    judging.prioritize(make_pod("first").gpus(8).obj(), ["plain", "bad"])
    kata = make_pod("kata").gpus(1)
    kata.body["spec"]["runtimeClassName"] = "kata-qemu-nvidia-gpu"
    for pod in (
        make_pod("one").gpus(1),
        make_pod("two").gpus(2).request("cpu", 4),
        make_pod("all").gpus(8),
        kata,
        make_pod("of-a-gang").gpus(1).label(*GANG),
    ):
        reported, quick = (
            judging.score(pod.obj(), names, with_parts=each) for each in (True, False)
        )
        assert quick.cost == pytest.approx(reported.cost, abs=1e-12)
        assert (quick.scores.tolist(), quick.tie.tolist()) == (
            reported.scores.tolist(),
            reported.tie.tolist(),
        )
        assert reported.cost == pytest.approx(sum(reported.parts.values()), abs=1e-12)
