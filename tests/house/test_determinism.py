"""The same answer everywhere: whatever the hash seed, and in whatever order things were shown."""

import concurrent.futures
import os
import pathlib
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.builders import make_node, make_pod
from tests.kit.generated import seeded

FOLDER = pathlib.Path(__file__).parents[1]
# 32 hash seeds, few at a time: each takes a process, and so a second of processor time.
FIRST, BATCHES = 1, (range(2, 9), range(9, 17), range(17, 25), range(25, 33))
# No thread pool for linear algebra: to start one costs more than what is computed.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def under(seed):
    """What a process of its own answers under this hash seed."""
    own = {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(FOLDER.parent)}
    script = [sys.executable, "-W", "error", str(FOLDER / "kit" / "generated" / "seeded.py")]
    environment = os.environ | ONE_THREAD | own
    return subprocess.run(script, env=environment, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def first():
    return under(FIRST)


@pytest.mark.parametrize("seeds", BATCHES, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_no_order_of_a_set_or_a_dict_reaches_an_answer(first, seeds):
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        found = dict(zip(seeds, pool.map(under, seeds), strict=True))

    assert len(first) > 10_000
    assert [seed for seed, each in found.items() if each != first] == []


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 5), st.randoms(use_true_random=False))
def test_replicas_that_were_shown_the_same_in_any_order_answer_the_same(cluster, rng):
    items = seeded.generated(cluster)
    one, other = seeded.fresh(), seeded.fresh()
    seeded.show(one, items)
    rng.shuffle(items)
    for item in items:
        seeded.show(other, [item])
        if rng.random() < 0.3:
            other.settle(rest=rng.random() < 0.5)

    assert seeded.answers(other) == seeded.answers(one)


def cluster(*pods):
    """Eight nodes, some pods that ask for GPUs in two namespaces, and these."""
    judging = seeded.fresh()
    nodes = [
        make_node(f"n{n}").allocatable(cpu=64, memory="512Gi").gpus(seeded.MODELS[0], 8)
        for n in range(8)
    ]
    seeded.show(judging, [node.obj() for node in nodes])
    held = [make_pod(f"h{n}").gpus(1 + n % 3).request("cpu", 4 + n).node(f"n{n}") for n in range(6)]
    usual = [make_pod(f"u{n}").gpus((1, 2, 8)[n % 3]).request("cpu", 8) for n in range(12)]
    seeded.show(judging, [pod.obj() for pod in (*held, *usual, *pods)])
    return judging


@pytest.mark.parametrize(
    "hostile",
    [
        make_pod("x", "evil").gpus(1).request("cpu", "1000000000000"),
        make_pod("x", "evil").request("cpu", "65"),
        make_pod("x", "evil").gpus(1).request("memory", "513Gi"),
        make_pod("x", "evil").gpus(9).request("cpu", 1),
    ],
    ids=["one GPU, endless CPU", "more CPU than a node has", "more memory", "more GPUs"],
)
def test_a_pod_that_no_machine_could_ever_serve_moves_no_score(hostile):
    with_it = seeded.answers(cluster(hostile))
    hostile_name = hostile.obj().metadata.name

    assert _but(with_it, hostile_name) == _but(seeded.answers(cluster()), hostile_name)


def _but(answers, name):
    return [each for each in seeded.orjson.loads(answers) if each["pod"] != name]


def test_it_counts_once_there_is_a_machine_that_could():
    large = make_pod("x").gpus(16).request("cpu", 100)
    judging = cluster(large)
    judging.settle(rest=True)
    before = judging.pricer.mix.mean_demand().pods

    seeded.show(
        judging,
        [make_node("new").allocatable(cpu=128, memory="1Ti").gpus(seeded.MODELS[0], 16).obj()],
    )
    judging.settle(rest=True)

    assert judging.pricer.mix.mean_demand().pods == before + 1


@pytest.mark.parametrize("flood", [3000])
def test_a_flood_of_one_namespace_takes_at_most_its_share_of_the_mix(flood):
    judging = cluster(
        *(make_pod(f"v{n}", "victim").gpus(8).request("cpu", 32) for n in range(1500))
    )
    pods = (make_pod(f"f{n}", "evil").gpus(4).request("cpu", 60) for n in range(flood))
    seeded.show(judging, [pod.obj() for pod in pods])
    judging.settle(rest=True)

    classes = judging.pricer.mix.classes()
    weight = {int(size): classes.weight[classes.size == size].sum() for size in (4, 8)}

    assert weight[4] <= 0.5 + 0.05  # what is left over when all others were counted is its again
    assert weight[8] >= 0.2
