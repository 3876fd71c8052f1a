import csv
from types import SimpleNamespace

import numpy as np
import pytest

from loadtests.quality import packing
from loadtests.simulator import baselines
from loadtests.simulator.traces import openb


@pytest.fixture(scope="module")
def nodes():
    return openb.read_nodes()


@pytest.fixture(scope="module")
def published():
    with (openb.DATA / "published.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return {(row["trace"], row["policy"], row["seed"]): row for row in rows}


def test_the_cluster_is_the_published_one(nodes):
    assert len(nodes.names) == 1213
    assert nodes.capacity == 6_212_000
    assert int(nodes.cpu.sum()) == 107_018_000


def test_the_default_trace_has_the_published_classes(nodes):
    trace = openb.read_trace("default")
    assert len(trace.pods) == 8152
    assert sum(kind.num == 0 for kind in np.array(trace.kinds, dtype=object)[trace.pods]) == 1088
    assert len({(k.cpu, k.num, k.milli, k.models) for k in trace.kinds}) == 91
    assert len(baselines.popular(trace, nodes).share) == 35


@pytest.mark.parametrize(
    ("trace_name", "policy"), [("default", "BestFit"), ("multigpu30", "GpuClustering")]
)
def test_a_baseline_ends_where_the_published_run_did(nodes, published, trace_name, policy):
    trace = openb.read_trace(trace_name)
    order, ranks = openb.published_order(trace, nodes, 42)
    tally = packing.run(
        trace,
        nodes,
        order,
        ranks,
        baselines.named(policy, trace, nodes),
        wire=packing.Wire(ties="rank"),
        rng=np.random.default_rng(0),
    )
    expected = published[trace_name, policy, "42"]
    for level, value in tally.report()["allocation"].items():
        assert value == pytest.approx(float(expected[str(level)]), abs=0.011)


# The balance of the node below with the pod, and without it: 1 - |0.75 - 0.375| / 2 and
# 1 - |0.5 - 0.25| / 2.
@pytest.mark.parametrize(
    ("kubernetes", "balanced"), [("1.35", 81), ("1.36", 50 + (50 + 81 - 87) // 2)]
)
def test_the_in_tree_scores_are_those_of_the_scheduler(kubernetes, balanced):
    """By hand, from least_allocated.go and balanced_allocation.go."""
    nodes = openb.Nodes(
        names=("a",),
        cpu=np.array([32_000]),
        memory=np.array([64]),
        gpus=np.array([8]),
        model=np.array([0]),
        models=("T4",),
    )
    cluster = SimpleNamespace(nodes=nodes, cpu=np.array([16_000]), memory=np.array([48]))
    kind = openb.Kind(cpu=8_000, memory=8, num=0, milli=0)
    least_allocated = (25 + 62) // 2  # of CPU 8 of 32 are left, of memory 40 of 64
    found = baselines.in_tree(cluster, kind, np.array([0]), kubernetes)
    assert found.tolist() == [least_allocated + balanced]
