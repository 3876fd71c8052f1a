"""Shares of GPUs, whole ones and other devices side by side, through the whole engine."""

import msgspec
import pytest

from extender.hardware import resource_names
from extender.pricing.mix import unit_size
from extender.verdicts.query import single_unit
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, NIC, engine, feed

H100 = "NVIDIA-H100-80GB-HBM3"


def ranked(judging, pod, *names):
    """The nodes, best first."""
    scores = judging.prioritize(pod.obj(), names)
    return sorted(names, key=lambda name: -scores[names.index(name)])


def sliced(name, replicas):
    """A node of eight linked GPUs that time-slices each of them."""
    node = make_node(name).gpus(H100, 8).label("nvidia.com/gpu.replicas", str(replicas))
    return node.resource("nvidia.com/gpu", 8 * replicas)


@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize("replicas", [2, 10])
def test_a_pod_that_asks_for_whole_gpus_goes_where_a_unit_is_one(count, replicas):
    judging = engine()
    feed(judging, sliced("shared", replicas), make_node("whole").gpus(H100, 8))

    assert ranked(judging, make_pod("p").gpus(count), "shared", "whole")[0] == "whole"


def test_the_size_of_a_unit_does_not_hang_on_which_machine_is_met_first():
    sizes = set()
    for nodes in (["shared", "whole"], ["whole", "shared"]):
        judging = engine()
        made = {"shared": sliced("shared", 10), "whole": make_node("whole").gpus(H100, 8)}
        feed(judging, *(made[name] for name in nodes))
        judging.settle()
        unit, _ = single_unit(
            judging.resolver.resolve(make_pod("p").gpus(1).obj(), judging.policy).question
        )
        sizes.add(unit_size.size(judging.table(unit), judging.index, judging.index.states.shapes))

    assert sizes == {1.0}


def test_free_parts_of_shared_nics_are_no_gpus():
    device = make_slice("gpus", GPU).on("a").device("gpu-0", type="gpu")
    nics = make_slice("nics", NIC).on("a")
    for number in range(4):
        nics.device(f"nic-{number}", capacity={"bandwidth": "100"}, multi=True)
    claim = make_claim("c").request("g", GPU)
    claim.request("n", NIC, capacity={"requests": {"bandwidth": "50"}})
    judging = engine()
    feed(judging, make_node("a"), device, nics, make_class(GPU), make_class(NIC), claim)
    judging.settle()
    pod = make_pod("p").claim("c").obj()
    unit, _ = single_unit(judging.resolver.resolve(pod, judging.policy).question)
    state = int(judging.index.state[judging.index.rows["a"]])

    assert unit_size.size(judging.table(unit), judging.index, judging.index.states.shapes) == 1.0
    assert unit_size.free(judging.table(unit), state, 1.0) == 1.0


def test_the_first_of_the_choices_is_preferred_whatever_nvlink_is_left_unused():
    devices = []
    for name, product, count in (("big", "NVIDIA H100 80GB HBM3", 8), ("small", "NVIDIA A10G", 4)):
        devices += [make_node(name), make_slice(f"s-{name}", GPU).on(name).pool(name)]
        for number in range(count):
            devices[-1].device(f"gpu-{number}", type="gpu", productName=product)
    claims = {}
    for name, order in (("linked", (8, 4)), ("plain", (4, 8))):
        product = {8: "NVIDIA H100 80GB HBM3", 4: "NVIDIA A10G"}
        subs = [
            {
                "name": f"c{place}",
                "deviceClassName": GPU,
                "allocationMode": "ExactCount",
                "count": 1,
                "selectors": [
                    {
                        "cel": {
                            "expression": f"device.attributes['{GPU}'].productName == "
                            f"'{product[size]}'"
                        }
                    }
                ],
            }
            for place, size in enumerate(order)
        ]
        claims[name] = make_claim(name)
        claims[name].body["spec"]["devices"]["requests"] = [{"name": "r", "firstAvailable": subs}]
    judging = engine()
    feed(judging, *devices, make_class(GPU), *claims.values())
    pods = {name: make_pod(f"p-{name}").claim(name) for name in claims}

    assert ranked(judging, pods["linked"], "big", "small")[0] == "big"
    assert ranked(judging, pods["plain"], "big", "small")[0] == "small"


def test_the_policys_own_resources_are_known_as_soon_as_it_is_in_force():
    judging = engine()
    feed(judging, make_node("a").resource("example.com/chip", 4))
    judging.settle()
    assert judging.pricer.inventory.totals() == (0.0, 0.0)

    own = (resource_names.Resource(name="example.com/chip", kind="GPU", share=0.5),)
    judging.use(msgspec.structs.replace(judging.policy, device_resources=own))
    judging.settle()

    assert judging.pricer.inventory.totals() == (2.0, 2.0)
    assert judging.index.verify() == []
