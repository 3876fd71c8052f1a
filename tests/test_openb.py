import csv

import numpy as np
import pytest

from loadtests import baselines, openb, packing


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
