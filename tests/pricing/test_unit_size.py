"""How many GPUs a unit of demand takes."""

import pytest

from extender.pricing.mix import unit_size
from extender.verdicts.query import single_unit
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, H100, NIC, engine, feed, p4d

MIG = "mig.nvidia.com"


def size(*objects, pod):
    judging = engine()
    feed(judging, *objects)
    judging.settle()
    unit, _ = single_unit(judging.resolver.resolve(pod.obj(), judging.policy).question)
    return unit_size.size(judging.table(unit), judging.index, judging.index.states.shapes)


def claim(device_class, count=1, **more):
    return make_claim("c").request("r", device_class, count, **more)


@pytest.mark.parametrize(
    ("objects", "pod", "expected"),
    [
        pytest.param([make_node("a").gpus(H100, 8)], make_pod("p").gpus(4), 1.0, id="plug-in"),
        pytest.param(
            [*p4d("a"), make_class(GPU), claim(GPU, 4)], make_pod("p").claim("c"), 1.0, id="claim"
        ),
        pytest.param(
            [*p4d("a"), make_class(NIC), claim(NIC)], make_pod("p").claim("c"), 0.0, id="a NIC"
        ),
        pytest.param(
            [*p4d("a"), make_class(GPU), claim(GPU, mode="All")],
            make_pod("p").claim("c"),
            8.0,
            id="all of them",
        ),
        pytest.param([make_node("a")], make_pod("p").gpus(1), 0.0, id="nobody has one"),
    ],
)
def test_a_unit_is_as_large_as_what_it_would_take(objects, pod, expected):
    assert size(*objects, pod=pod) == pytest.approx(expected)


def test_a_share_is_the_part_of_the_capacity_that_it_asks():
    shared = make_slice("s", GPU).on("a")
    shared.device("gpu-0", type="gpu", capacity={"memory": "80Gi"}, multi=True)
    asked = claim(GPU, capacity={"requests": {"memory": "20Gi"}})

    found = size(make_node("a"), shared, make_class(GPU), asked, pod=make_pod("p").claim("c"))

    assert found == pytest.approx(0.25)


def test_a_partition_is_the_largest_part_of_any_counter_that_it_draws():
    slices = make_slice("s", MIG).on("a").pool("a", slices=2)
    slices.device("mig-0", type="mig", consumes={"gpu": {"memory": "1", "slices": "2"}})
    counters = make_slice("k", MIG).on("a").pool("a", slices=2)
    counters.counters(gpu={"memory": "8", "slices": "7"})

    found = size(
        make_node("a"), slices, counters, make_class(MIG), claim(MIG),
        pod=make_pod("p").claim("c"),
    )  # fmt: skip

    assert found == pytest.approx(2 / 7)
