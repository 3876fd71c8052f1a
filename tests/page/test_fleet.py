"""Pools, figures, the map and the charts, as plain values."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from extender.decisions import engine as engines
from extender.hardware import shape
from extender.hardware.usage import NOTHING, Usage
from extender.page.fleet import charts, cluster_map
from extender.pools import gpu_states, history, node_pools, pool_figures
from extender.pricing.mix import demand_mix
from tests.kit.builders import make_class, make_node, make_pod
from tests.kit.worlds import GPU, H100, engine, feed, held, p4d

TITLE = "NVIDIA H100 80GB HBM3"  # of the pool whose nodes are spelt H100


def run(turns):
    """What the turns come to."""
    while True:
        try:
            next(turns)
        except StopIteration as over:
            return over.value


def known(judging: engines.Engine) -> node_pools.NodePools:
    judging.settle()
    found = node_pools.NodePools(judging.index)
    run(found.refresh())
    return found


def pools(judging):
    return {each.pool.title: each for each in run(pool_figures.of_pools(judging, known(judging)))}


# ---------------------------------------------------------------- places


@pytest.mark.parametrize(
    ("labels", "pool", "group", "kind"),
    [
        pytest.param({}, "H100", "all nodes", "group", id="nothing but its product"),
        pytest.param(
            {"cloud.google.com/gke-nodepool": "a3"}, "a3", "all nodes", "group", id="a node pool"
        ),
        pytest.param(
            {"topology.kubernetes.io/zone": "z1"}, "H100", "z1", "zone", id="a zone alone"
        ),
        pytest.param(
            {"topology.kubernetes.io/zone": "z1", "nvidia.com/gpu.clique": "c.1"},
            "H100",
            "c.1",
            "NVLink domain",
            id="the nearest domain wins",
        ),
    ],
)
def test_a_node_is_where_its_labels_say(labels, pool, group, kind):
    node = make_node("n")
    for key, value in labels.items():
        node.label(key, value)

    found = node_pools.location_of(node.obj(), "H100")

    assert (found.pool, found.group, found.kind) == (pool, group, kind)


@pytest.mark.parametrize(
    ("node", "problems"),
    [
        pytest.param(make_node("n"), (), id="ready"),
        pytest.param(make_node("n").unschedulable(), ("cordoned",), id="cordoned"),
        pytest.param(make_node("n").condition("Ready", "False"), ("not ready",), id="not ready"),
        pytest.param(make_node("n").condition("Ready", "Unknown"), ("not heard of",), id="lost"),
    ],
)
def test_a_node_says_why_no_pod_goes_there(node, problems):
    assert node_pools.problems_of(node.obj()) == problems


def test_nodes_stand_in_the_order_of_their_numbers_in_blocks_of_64():
    judging = engine()
    feed(judging, *(make_node(f"n-{number}").gpus(H100, 8) for number in range(70, 0, -1)))

    (pool,) = known(judging).pools

    first, second = pool.blocks
    assert first.names[:3] == ("n-1", "n-2", "n-3")
    assert (len(first.names), len(second.names), second.page) == (64, 6, 2)


def test_a_node_that_moves_to_another_pool_is_seen_there_and_one_that_goes_is_gone():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8), make_node("b").gpus(H100, 8))
    found = known(judging)
    feed(judging, make_node("a").gpus(H100, 8).label("node-pool", "new"))
    judging.store.apply("Node", "DELETED", make_node("b").obj())
    judging.settle()

    run(found.refresh())

    assert [(each.title, each.rows.tolist()) for each in found.pools] == [
        ("new", [judging.index.rows["a"]])
    ]
    assert found.of("b") is None


def test_pools_whose_names_look_alike_have_addresses_of_their_own():
    judging = engine()
    for number, title in enumerate(("A/B", "a b", "<script>")):
        feed(judging, make_node(f"n-{number}").gpus(H100, 8).label("node-pool", title))

    slugs = [each.slug for each in known(judging).pools]

    assert sorted(slugs) == ["a-b", "a-b-2", "script"]


# ---------------------------------------------------------------- figures


def test_free_gpus_on_nodes_in_part_use_are_the_fragmented_ones():
    judging = engine()
    feed(judging, make_node("empty").gpus(H100, 8), make_node("half").gpus(H100, 8))
    feed(judging, make_pod("p").gpus(6).node("half"))

    found = pools(judging)[TITLE].figures

    assert (found.gpus, found.free, found.held, found.whole) == (16.0, 10.0, 6.0, 8.0)
    assert found.fragmented == pytest.approx(0.2)
    assert dict(found.sets) == {1: 10.0, 2: 10.0, 4: 8.0, 8: 8.0}


def test_what_is_free_on_a_closed_node_is_not_free():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8), make_node("b").gpus(H100, 8).unschedulable())

    found = pools(judging)[TITLE].figures

    assert (found.free, found.out, found.held, found.blocked) == (8.0, 8.0, 0.0, 1)


def test_free_gpus_without_cpu_on_their_own_node_are_stranded_whatever_others_have():
    judging = engine()
    feed(judging, make_node("full").gpus(H100, 8).allocatable(cpu="80"), make_node("idle"))
    feed(judging, make_pod("p").gpus(3).request("cpu", 64).node("full").phase("Running"))
    judging.settle()
    seen = demand_mix.MeanDemand(
        pods=200, gpus=1.0, cpu=16_000.0, memory=2.0**30, bare_cpu=0.0, bare_memory=0.0
    )
    rows = judging.index.rows_of(["full", "idle"])
    free = judging.pricer.inventory.left(judging.index.state[rows])

    stranded = judging.pricer.inventory.stranded_on(seen, rows, free)

    assert free.tolist() == [5, 0]
    assert stranded.tolist() == [4, 0]


def test_the_pool_with_the_largest_share_in_part_use_is_the_most_fragmented():
    judging = engine()
    for name, used in (("a", 4), ("b", 1)):
        feed(judging, make_node(name).gpus(H100, 8).label("node-pool", name))
        feed(judging, make_node(f"{name}-2").gpus(H100, 8).label("node-pool", name))
        feed(judging, make_pod(f"p-{name}").gpus(used).node(name))

    found = pool_figures.most_fragmented(list(pools(judging).values()))

    assert found.pool.title == "b"  # 7 of 15, before 4 of 12


def test_a_cluster_that_nobody_uses_has_no_most_fragmented_pool():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8))

    assert pool_figures.most_fragmented(list(pools(judging).values())) is None


@hypothesis.given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=6))
@hypothesis.settings(max_examples=25, deadline=None)
def test_every_gpu_is_counted_once(nodes):
    judging = engine()
    for number, (used, closed) in enumerate(nodes):
        node = make_node(f"n-{number}").gpus(H100, 8)
        feed(judging, node.unschedulable() if closed else node)
        if used:
            feed(judging, make_pod(f"p-{number}").gpus(used).node(f"n-{number}"))

    found = pools(judging)[TITLE].figures

    assert found.free + found.held + found.out == pytest.approx(found.gpus) == 8 * len(nodes)
    assert found.held == pytest.approx(sum(used for used, _ in nodes))
    assert 0 <= found.whole <= found.free


# ---------------------------------------------------------------- GPUs of a node


def test_a_gpu_that_a_claim_holds_is_held_and_the_others_are_free():
    judging = engine()
    feed(judging, *p4d("a"), make_class(GPU), held("a", "gpu-3"))
    judging.settle()
    detail = judging.index.detail("a")

    states = gpu_states.states(detail.machine.shape, detail.usage)

    assert states.count(gpu_states.HELD) == 1
    assert states.count(gpu_states.FREE) == 7


def mig_device(name, *slices):
    kind = shape.Kind.PARTITION if slices else shape.Kind.GPU
    counters = tuple((f"memory-slice-{slot}", 10**9) for slot in slices or range(8))
    return shape.Device("gpu.example.com", name, {}, {}, (("set", counters),), kind=kind)


def test_partitions_and_their_gpu_are_one_gpu_that_is_held_in_part():
    devices = mig_device("gpu-0"), mig_device("half", 0, 1, 2, 3), mig_device("small", 4)
    hardware = shape.Shape(devices=devices, numa=(0,) * 3, root=(None,) * 3)

    (gpu,) = gpu_states.of_shape(hardware)

    assert (gpu.devices, gpu.whole, gpu.slots) == ((0, 1, 2), (0,), 8)
    assert gpu_states.states(hardware, NOTHING) == (gpu_states.FREE,)
    assert gpu_states.states(hardware, Usage(taken=0b010)) == (gpu_states.PART,)
    assert gpu_states.fills(hardware, Usage(taken=0b010)) == (0.5,)
    assert gpu_states.states(hardware, Usage(taken=0b001)) == (gpu_states.HELD,)


# ---------------------------------------------------------------- drawings


def test_a_block_says_in_words_what_it_shows():
    left, total = np.array([8.0, 3.0, 0.0, 8.0, 0.0]), np.array([8.0, 8.0, 8.0, 8.0, 0.0])

    drawing = cluster_map.draw(left, total, np.array([0.0, 0.0, 0.0, 1.0, 0.0]))

    assert drawing.words == (
        "5 nodes: 1 free, 1 partly held, 1 full, 1 closed to pods, 1 without GPUs"
    )
    assert drawing.cells.count("M") == 5
    assert drawing.held.count("M") == 2
    assert drawing.shut


def test_one_gpu_of_sixteen_is_seen():
    drawing = cluster_map.draw(np.array([15.0]), np.array([16.0]), np.zeros(1))

    assert "v-1h" in drawing.held


def test_a_line_ends_where_no_sample_came_and_begins_again():
    drawn = charts.chart([("free", [(0.0, 1.0), (30.0, 2.0), (600.0, 3.0)])], every=30.0)

    assert drawn.lines[0].path.count("M") == 2
    assert drawn.up[-1][1] == "4"


@hypothesis.given(
    st.lists(st.tuples(st.floats(0, 2e9), st.floats(0, 1e5)), min_size=1, max_size=20)
)
def test_a_chart_of_anything_stays_in_its_frame(points):
    drawn = charts.chart([("free", sorted(points))], every=30.0)

    for step in drawn.lines[0].path.replace("M", "L").split("L")[1:]:
        x, y = map(float, step.split())
        assert 0 <= x <= charts.WIDTH
        assert 0 <= y <= charts.HEIGHT
    assert len(drawn.across) <= 7


def test_no_sample_is_no_chart():
    assert charts.chart([("free", [])], every=30.0) is None


def test_history_is_bounded_and_the_oldest_goes_first():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8))
    kept, found = history.History(), known(judging)

    for number in range(800):
        run(kept.sampling(judging, found, now=float(number)))

    assert len(kept.samples) == 720
    assert kept.samples[0].at == 80.0
    assert kept.samples[-1].cluster == history.Measured(8.0, 8.0, 0.0, 0.0)
