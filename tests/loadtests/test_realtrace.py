"""What goes into a replay of the trace through a real scheduler."""

import numpy as np
import pytest

from loadtests.realscheduler import realtrace
from loadtests.simulator.traces import openb

NODES = openb.Nodes(
    names=("a", "b", "c", "d"),
    cpu=np.array([1, 2, 3, 4]),
    memory=np.array([5, 6, 7, 8]),
    gpus=np.array([2, 4, 8, 8]),
    model=np.array([0, 1, 1, 0]),
    models=("T4", "V100"),
)
SHARE = openb.Kind(cpu=1000, memory=10, num=1, milli=300)
PAIR = openb.Kind(cpu=2000, memory=20, num=2, milli=openb.GPU, models=("V100", "T4", "V100"))
PLAIN = openb.Kind(cpu=500, memory=5, num=0, milli=0)


def test_a_cut_takes_nodes_from_all_over_the_list():
    cut = openb.every_nth(NODES, 2)
    assert (cut.names, cut.gpus.tolist(), cut.capacity) == (("a", "d"), [2, 8], 10_000)
    assert openb.every_nth(NODES, 0) is NODES


@pytest.mark.parametrize(
    ("mode", "first"),
    [pytest.param("plugin", 1000, id="whole"), pytest.param("dra", 300, id="a share")],
)
def test_pods_arrive_until_so_much_was_asked(mode, first):
    trace = openb.Trace("t", (SHARE, PAIR, PLAIN), np.array([0, 1, 2, 1]))
    found, order = realtrace.arrivals(realtrace.MODES[mode], trace, np.arange(4), 2300)
    assert order.tolist() == [0, 1]
    assert found.kinds[0].gpu == first


def test_a_plugin_pod_asks_for_units_on_nodes_of_its_models():
    (pod,) = realtrace.MODES["plugin"].pod("p", PAIR)
    requests = pod["spec"]["containers"][0]["resources"]["requests"]
    assert requests == {"cpu": "2000m", "memory": "20Mi", "nvidia.com/gpu": "2"}
    (term,) = pod["spec"]["affinity"]["nodeAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]["nodeSelectorTerms"]
    assert term["matchExpressions"][0]["values"] == ["T4", "V100"]


def test_a_claiming_pod_asks_for_thousandths_of_so_many_devices():
    template, pod = realtrace.MODES["dra"].pod("p", PAIR)
    (request,) = template["spec"]["spec"]["devices"]["requests"]
    assert request["exactly"]["count"] == 2
    assert request["exactly"]["capacity"] == {"requests": {"milli": "1000"}}
    assert pod["spec"]["resourceClaims"][0]["resourceClaimTemplateName"] == "p"


def test_a_pod_without_gpus_claims_none():
    (pod,) = realtrace.MODES["dra"].pod("p", PLAIN)
    assert "resourceClaims" not in pod["spec"]
