import numpy as np
import pytest

from loadtests.simulator import oracle, simulated_cluster
from loadtests.simulator.traces import openb


@pytest.fixture(scope="module")
def nodes():
    return openb.read_nodes()


def shown(nodes, *kinds):
    """The fast model after it has seen pods of these kinds and priced them."""
    model = oracle.Prices(nodes, reserve=0.05)
    for number, kind in enumerate(kinds):
        model.arrived(str(number), kind)
    cluster = simulated_cluster.empty(nodes)
    model.best(cluster, kinds[0], np.arange(len(nodes.names)))
    return model


def test_a_pool_is_the_gpus_of_the_models_that_a_class_accepts(nodes):
    any_gpu = openb.Kind(cpu=1000, memory=1, num=1, milli=500)
    bound = openb.Kind(cpu=1000, memory=1, num=1, milli=1000, models=("G3",))
    model = shown(nodes, any_gpu, bound)
    assert model.empty_headroom()[:2].tolist() == [6212.0, 39 * 8.0]


def test_machines_are_expected_by_the_share_of_gpus_that_lies_in_them(nodes):
    model = shown(nodes, openb.Kind(cpu=1000, memory=1, num=1, milli=1000))
    sizes = dict(zip(model.classes.count.tolist(), model.classes.weight.tolist(), strict=True))
    assert sizes.keys() == {1.0, 2.0, 4.0, 8.0}
    assert sizes[8.0] == pytest.approx(0.05 * 4936 / 6212 * sizes[1.0] / 8)
