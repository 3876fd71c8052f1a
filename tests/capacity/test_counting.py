"""How many more pods of a shape fit, where, and what blocks the next one."""

import pytest

from extender import errors
from extender.capacity import counting, pod_shape
from extender.policy import config
from tests.kit.builders import (
    make_claim,
    make_class,
    make_node,
    make_pod,
    make_slice,
    make_template,
)
from tests.kit.worlds import GPU, H100, NIC, engine, feed, held, p4d

EIGHT = "nvidia.com/gpu=8"


def count(shape, *items, policy=config.DEFAULT):
    judging = engine(policy)
    feed(judging, *items)
    chosen = pod_shape.parse(shape) if isinstance(shape, str) else shape
    return counting.count(judging, chosen)


def gains(found):
    return {blocker.kind: blocker.gain for blocker in found.blockers}


def nodes(count, **amounts):
    return [make_node(f"n{number}").gpus(H100, 8).allocatable(**amounts) for number in range(count)]


def holder(node, gpus, name=None, namespace="default"):
    return make_pod(name or f"on-{node}", namespace).gpus(gpus).node(node)


CASES = {
    "empty nodes": ("nvidia.com/gpu=8", nodes(2), 2),
    "several on a node": ("nvidia.com/gpu=2", nodes(1), 4),
    "held by another": (EIGHT, [*nodes(2), holder("n0", 1)], 1),
    "a finished pod holds nothing": (EIGHT, [*nodes(1), holder("n0", 8).phase("Succeeded")], 1),
    "CPU is the limit": ("nvidia.com/gpu=1,cpu=40", nodes(1), 2),
    "memory is the limit": ("nvidia.com/gpu=1,memory=200Gi", nodes(1), 2),
    "pods are the limit": ("nvidia.com/gpu=1", nodes(1, pods="3"), 3),
    "a cordon": (EIGHT, [*nodes(1), make_node("c").gpus(H100, 8).unschedulable()], 1),
    "no device asked": ("cpu=32", nodes(2), 6),
    "nobody offers it": ("example.com/licence=1", nodes(2), 0),
    "a kind that no node has": ("amd.com/gpu=1", nodes(2), 0),
}


@pytest.mark.parametrize(("shape", "items", "fits"), CASES.values(), ids=CASES.keys())
def test_as_many_fit_as_would_be_placed(shape, items, fits):
    assert count(shape, *items).fits == fits


def test_devices_of_a_class_are_counted_by_the_allocator():
    found = count(f"{GPU}=2,{NIC}=1", *p4d("a"), *p4d("b"), make_class(GPU), make_class(NIC))

    # four NICs a node bind, and so do eight GPUs
    assert found.fits == 8
    assert found.pools[0].fits_on == {"a": 4, "b": 4}


def test_a_claim_with_a_constraint_is_counted_with_it_and_reported_without():
    pair = make_template("pair").request("g", GPU, 1).request("n", NIC, 1)
    pair.match("resource.kubernetes.io/pcieRoot", "g", "n")
    shape = pod_shape.like(make_pod("p").template("pair").obj(), [pair.obj()])
    taken = held("a", "gpu-0", "gpu-1")  # both of the first root: its NIC has no partner

    found = count(shape, *p4d("a"), taken, make_class(GPU), make_class(NIC))

    assert found.fits == 3
    assert gains(found)["constraint"] == 1


def test_required_locality_is_reported_with_what_it_costs():
    strict = config.Policy(
        profiles=(
            config.Profile(name="default", locality=config.Locality(mode="Required", level="PHB")),
        )
    )
    taken = held("a", "gpu-0", "gpu-1")

    found = count(
        f"{GPU}=1,{NIC}=1", *p4d("a"), taken, make_class(GPU), make_class(NIC), policy=strict
    )

    assert found.fits + gains(found)["locality"] == 4


def test_what_one_model_takes_is_not_added_to_what_another_does():
    other = make_node("amd").resource("amd.com/gpu", 8).label("amd.com/gpu.product-name", "MI300X")
    a100 = make_node("a100").gpus("NVIDIA-A100-SXM4-80GB", 8)

    found = count("nvidia.com/gpu=4", *nodes(2), other, a100)

    assert {(pool.model, pool.fits) for pool in found.pools} == {
        ("NVIDIA-H100-80GB-HBM3", 4),
        ("NVIDIA-A100-SXM4-80GB", 2),
    }
    assert sum(pool.nodes for pool in found.pools) == 3


def test_whole_gpus_and_shares_stand_in_rows_of_their_own():
    shared = make_node("s").gpus(H100, 8).resource("nvidia.com/gpu", 32)
    shared.label("nvidia.com/gpu.replicas", "4").label(
        "nvidia.com/gpu.sharing-strategy", "time-slicing"
    )

    found = count("nvidia.com/gpu=1", *nodes(1), shared)

    assert sorted(pool.fits for pool in found.pools) == [8, 32]
    assert any("shared by 4" in pool.model for pool in found.pools)


def test_what_is_scattered_is_reported_as_a_bound():
    found = count(EIGHT, *nodes(4), *(holder(f"n{number}", 4) for number in range(4)))

    assert (found.fits, found.defragmented, found.empty) == (0, 2, 4)
    assert gains(found)["fragmentation"] == 2


def test_the_bound_heeds_cpu_too():
    busy = [holder(f"n{n}", 4).request("cpu", 90) for n in range(4)]

    found = count("nvidia.com/gpu=8,cpu=20", *nodes(4), *busy)

    # 16 GPUs are free, but 24 CPUs
    assert found.defragmented == 1


def test_holders_are_named_the_largest_first():
    found = count(
        EIGHT,
        *nodes(3),
        holder("n0", 1, "a", "small"),
        holder("n1", 6, "b", "ml"),
        holder("n2", 2, "c", "ml"),
    )

    blocker = next(each for each in found.blockers if each.kind == "held")
    assert [(each.namespace, each.pods, each.devices) for each in blocker.holders] == [
        ("ml", 2, 8),
        ("small", 1, 1),
    ]


def test_a_blocker_gains_what_lifting_it_alone_would():
    found = count(
        "nvidia.com/gpu=1,cpu=48", *nodes(1), make_node("c").gpus(H100, 8).unschedulable()
    )

    assert found.fits == 2
    assert gains(found)["cpu"] == 6
    assert gains(found)["node"] == 2
    assert [each.gain for each in found.blockers] == sorted(
        (each.gain for each in found.blockers), reverse=True
    )


def test_the_next_node_is_the_one_that_is_ranked_first():
    # packing keeps the empty node whole
    found = count("nvidia.com/gpu=1", *nodes(2), holder("n1", 7))

    assert found.next_node == "n1"


def test_pods_like_one_that_runs_are_counted_beside_it():
    running = make_pod("p").claim("mine").node("a")
    claim = (
        make_claim("mine")
        .request("r", GPU, 4)
        .allocated("a", *(("r", GPU, "a", f"gpu-{n}") for n in range(4)))
    )

    found = count(
        pod_shape.like(running.obj()), *p4d("a"), *p4d("b"), make_class(GPU), claim, running
    )

    assert found.fits == 3
    assert "a claim of its own like mine" in found.notes[0]


def test_a_shape_that_selects_by_uuid_is_counted_node_by_node():
    first = make_slice("a-s", GPU).on("a").device("gpu-0", uuid="u0").device("gpu-1", uuid="u1")
    other = make_slice("b-s", GPU).on("b").device("gpu-0", uuid="u2").device("gpu-1", uuid="u3")
    template = make_template("one").request(
        "g", GPU, selectors=[f'device.attributes["{GPU}"].uuid in ["u1", "u3"]']
    )
    shape = pod_shape.like(make_pod("p").template("one").obj(), [template.obj()])

    found = count(shape, make_node("a"), first, make_node("b"), other, make_class(GPU))

    assert found.fits == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a shape is NAME=COUNT"),
        ("nvidia.com/gpu", "a shape is NAME=COUNT"),
        ("nvidia.com/gpu=0", "no whole number from 1"),
        ("nvidia.com/gpu=1.5", "no whole number from 1"),
        ("nvidia.com/gpu=-1", "no whole number from 1"),
        ("nvidia.com/gpu=1000000000000", "no whole number from 1"),
        ("cpu=lots", "is not a quantity"),
        ("cpu=-4", "is not above 0"),
        ("memory=0", "is not above 0"),
        ("cpu=1,cpu=2", "twice"),
        ("Not A Class=1", "neither a resource nor a DeviceClass"),
    ],
)
def test_a_shape_that_cannot_be_read_says_why(text, why):
    with pytest.raises(errors.ConfigError, match=why):
        pod_shape.parse(text)


def test_a_class_that_is_not_there_is_an_error():
    with pytest.raises(errors.ConfigError, match=r"could not retrieve device class nope\.example"):
        count("nope.example=1", *nodes(1))


def test_counting_leaves_the_cluster_as_it_was():
    judging = engine()
    feed(judging, *nodes(3), holder("n0", 3))
    judging.settle()
    before = judging.moment, len(judging.index.reservations)

    counting.count(judging, pod_shape.parse("nvidia.com/gpu=1"))

    assert (judging.moment, len(judging.index.reservations)) == before
    assert judging.index.verify() == []
