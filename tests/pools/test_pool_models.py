"""Pools by GPU model, as metrics tell them: against numbers worked out by hand, and by force."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from extender.pools import node_headroom, node_pools, pool_models, topology_domains
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, H100, engine, feed, held, p4d

L4 = "NVIDIA-L4"
CLIQUE, RACK = "nvidia.com/gpu.clique", "topology.kubernetes.io/rack"


def run(turns):
    """What the turns come to."""
    while True:
        try:
            next(turns)
        except StopIteration as over:
            return over.value


def measured(judging):
    judging.settle(rest=True)
    known = node_pools.NodePools(judging.index)
    run(known.refresh())
    return {(each.pool, each.model): each for each in run(pool_models.measured(judging, known))}


def node(name, product=H100, count=8, pool="a"):
    return make_node(name).gpus(product, count).label("node-pool", pool)


# ---------------------------------------------------------------- what is free


def test_models_of_one_pool_and_pools_of_one_model_are_distinguished():
    judging = engine()
    feed(judging, node("n-1"), node("n-2", L4, 4), node("n-3", pool="b"), make_node("bare"))

    found = measured(judging)

    assert {key: (each.nodes, each.gpus) for key, each in found.items()} == {
        ("a", H100): (1, 8.0),
        ("b", H100): (1, 8.0),
        ("a", L4): (1, 4.0),
    }


def test_room_counts_whole_pods_per_node_and_closed_nodes_have_none():
    judging = engine()
    feed(judging, node("n-1"), node("n-2"), node("n-3").unschedulable())
    feed(judging, make_pod("p").gpus(3).node("n-1"))

    found = measured(judging)["a", H100]

    assert (found.gpus, found.free, found.closed) == (24.0, 13.0, 8.0)
    assert found.headroom == {1: 13, 2: 6, 4: 3, 8: 1}


def test_halves_of_two_gpus_are_no_room_for_a_pod_of_one():
    judging = engine()
    feed(judging, make_class(GPU), make_node("n").label("node-pool", "a"))
    sets = make_slice("sets", GPU).on("n").pool("n", slices=2)
    sets.counters(**{f"set-{number}": {"memory": "8"} for number in range(2)})
    devices = make_slice("devices", GPU).on("n").pool("n", slices=2)
    for number in range(2):
        gpu = f"set-{number}"
        devices.device(f"gpu-{number}", type="gpu", consumes={gpu: {"memory": "8"}})
        for half in range(2):
            name = f"gpu-{number}-half-{half}"
            part = {gpu: {"memory": "4"}}
            devices.device(name, type="mig", profile="3g.40gb", consumes=part)
    feed(judging, sets, devices, held("n", "gpu-0-half-0"), held("n", "gpu-1-half-1"))

    (found,) = measured(judging).values()

    assert (found.gpus, found.free, found.headroom[1]) == (2.0, 1.0, 0)
    assert found.partition == node_headroom.Partition("3g.40gb", 0.5, 2)


def test_a_gpu_that_is_tainted_is_no_room():
    judging = engine()
    taint = [{"key": "broken", "effect": "NoSchedule"}]
    feed(judging, make_node("n"), make_slice("s", GPU).on("n").device("g-0", type="gpu").device(
        "g-1", type="gpu", taints=taint
    ))  # fmt: skip

    (found,) = measured(judging).values()

    assert found.headroom == {1: 1, 2: 0, 4: 0, 8: 0}


@hypothesis.given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from([(H100, 8), (L4, 4)]),
            st.integers(0, 4),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
    )
)
@hypothesis.settings(max_examples=25, deadline=None)
def test_the_parts_are_the_whole(nodes):
    judging = engine()
    expected = {}
    for number, (pool, (product, count), used, closed) in enumerate(nodes):
        made = node(f"n-{number}", product, count, pool)
        feed(judging, made.unschedulable() if closed else made)
        if used:
            feed(judging, make_pod(f"p-{number}").gpus(used).node(f"n-{number}"))
        free = 0 if closed else count - used
        sums = expected.setdefault((pool, product), [0, 0, *[0] * 4])
        sums[0] += count
        sums[1] += free
        for place, size in enumerate((1, 2, 4, 8), start=2):
            sums[place] += free // size

    found = measured(judging)

    assert {
        key: [each.gpus, each.free, *each.headroom.values()] for key, each in found.items()
    } == expected
    for each in found.values():
        assert 0 <= each.fragmented <= each.free
        assert 0 <= each.stranded <= each.free


# ---------------------------------------------------------------- fragmentation


def test_what_no_pod_seen_so_far_could_use_is_fragmented():
    """Half of the pods ask for 8 GPUs: seven are lost to them, and none to those that ask for 1."""
    judging = engine()
    feed(judging, node("n-1"), node("n-2"))
    feed(judging, make_pod("large").gpus(8).node("n-2"), make_pod("small").gpus(1).node("n-1"))
    feed(judging, *(make_pod(f"l-{n}").gpus(8) for n in range(9)))
    feed(judging, *(make_pod(f"s-{n}").gpus(1) for n in range(9)))

    found = measured(judging)["a", H100]

    assert found.free == 7.0
    assert found.fragmented == pytest.approx(3.5, rel=0.01)  # the newest weigh more


def test_nothing_is_fragmented_before_any_pod_was_seen():
    judging = engine()
    feed(judging, node("n-1"))

    assert measured(judging)["a", H100].fragmented == 0.0


def test_gpus_without_cpu_for_the_pods_seen_are_fragmented():
    judging = engine()
    feed(judging, node("n-1"), make_pod("eater").request("cpu", 90).node("n-1"))
    feed(judging, *(make_pod(f"p-{n}").gpus(1).request("cpu", 8) for n in range(4)))

    assert measured(judging)["a", H100].fragmented == pytest.approx(8.0)


# ---------------------------------------------------------------- pairs


def test_a_pair_is_a_free_gpu_with_a_free_nic_behind_its_own_root():
    judging = engine()
    feed(judging, *p4d("n"), make_class(GPU), held("n", "gpu-0", "gpu-1"), held("n", "nic-3"))

    (found,) = measured(judging).values()

    assert found.pairs == 2  # of the roots 20 and 90


def test_machines_that_publish_no_locality_have_no_pairs_to_tell():
    judging = engine()
    feed(judging, node("n-1"))

    assert measured(judging)["a", H100].pairs is None


@hypothesis.given(st.sets(st.integers(0, 7)), st.sets(st.integers(0, 3)))
@hypothesis.settings(max_examples=25, deadline=None)
def test_pairs_are_as_many_as_each_root_has_of_both(gpus, nics):
    judging = engine()
    names = [*(f"gpu-{number}" for number in gpus), *(f"nic-{number}" for number in nics)]
    feed(judging, *p4d("n"), *([held("n", *sorted(names))] if names else []))

    (found,) = measured(judging).values()

    roots = ({2 * root, 2 * root + 1} - gpus for root in range(4))
    assert found.pairs == sum(bool(free) and root not in nics for root, free in enumerate(roots))


# ---------------------------------------------------------------- racks and NVLink domains


def test_a_domain_is_whole_if_nothing_of_it_is_held_and_all_of_it_is_open():
    judging = engine()
    for number in range(6):
        where = node(f"n-{number}").label(CLIQUE, f"c.{number // 2}").label(RACK, "r")
        feed(judging, where.unschedulable() if number == 5 else where)
    feed(judging, make_pod("p").gpus(1).node("n-0"))

    found = measured(judging)["a", H100]

    assert found.domains == {topology_domains.NVLINK_DOMAIN: (1, 3), topology_domains.RACK: (0, 1)}


def test_a_rack_across_two_pools_counts_where_most_of_its_nodes_are():
    judging = engine()
    for number, pool in enumerate(("a", "b", "b")):
        feed(judging, node(f"n-{number}", pool=pool).label(RACK, "r"))

    found = measured(judging)

    assert found["b", H100].domains == {topology_domains.RACK: (1, 1)}
    assert found["a", H100].domains == {}


# ---------------------------------------------------------------- bounds


def test_beyond_32_pools_the_smallest_are_one():
    judging = engine()
    for number in range(40):
        feed(judging, node(f"n-{number}", count=8 if number < 30 else 4, pool=f"p-{number:02}"))

    found = measured(judging)

    assert len(found) == 33
    other = found[pool_models.OTHER, pool_models.OTHER]
    assert (other.nodes, other.gpus, other.headroom[4]) == (8, 32.0, 8)


def test_a_pool_of_that_name_is_not_the_sum_of_the_others():
    judging = engine()
    feed(judging, *(node(f"n-{number}", pool=f"p-{number:02}") for number in range(40)))
    feed(judging, node("mine", count=16, pool="other"))

    found = measured(judging)

    assert found["other", H100].gpus == 16.0
    assert found[pool_models.OTHER, pool_models.OTHER].gpus == 9 * 8.0


def test_the_sum_of_what_is_left_over_keeps_partitions_pairs_and_domains():
    parts = [
        pool_models.PoolModel(
            pool=f"p-{number}", model="m", gpus=1.0, pairs=number,
            partition=node_headroom.Partition("1g.10gb", 0.125, 1),
            domains={topology_domains.RACK: (1, 2)},
        )
        for number in range(34)
    ]  # fmt: skip

    *_, other = pool_models.bounded(parts)

    assert (other.pairs, other.domains) == (8 + 9, {topology_domains.RACK: (2, 4)})
    assert other.partition == node_headroom.Partition("1g.10gb", 0.125, 2)


def test_nodes_that_go_while_a_sample_is_taken_are_left_out():
    judging = engine()
    feed(judging, *(node(f"n-{number}") for number in range(70)))
    judging.settle()
    known = node_pools.NodePools(judging.index)
    run(known.refresh())
    turns = pool_models.measured(judging, known)
    next(turns)
    for number in range(70):
        judging.store.apply("Node", "DELETED", node(f"n-{number}").obj())
    judging.settle()

    (found,) = run(turns)

    assert found.nodes == 16  # those of the first turn


# ---------------------------------------------------------------- partitions


def test_units_of_a_cut_gpu_count_by_what_is_left_of_the_largest():
    judging = engine()
    cut = make_node("n").label("nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3")
    cut.resource("nvidia.com/mig-3g.40gb", 2).resource("nvidia.com/mig-1g.10gb", 2)
    feed(judging, cut, make_pod("p").request("nvidia.com/mig-3g.40gb", 1).node("n"))

    (found,) = measured(judging).values()

    assert found.partition is not None
    assert (found.partition.profile, found.partition.gpus) == ("3g.40gb", 1)
    assert 0 < found.partition.size < 1


def test_with_every_partition_held_none_can_be_placed():
    judging = engine()
    cut = make_node("n").resource("nvidia.com/mig-1g.10gb", 1)
    feed(judging, cut, make_pod("p").request("nvidia.com/mig-1g.10gb", 1).node("n"))

    (found,) = measured(judging).values()

    assert found.partition == node_headroom.Partition("none", 0.0, 0)


def test_a_nic_of_a_claim_is_not_counted_twice():
    judging = engine()
    feed(judging, *p4d("n"), make_claim("c").allocated("n", ("r", "dra.net", "n", "nic-0")))

    (found,) = measured(judging).values()

    assert found.pairs == 3
    assert np.isfinite(found.fragmented)
