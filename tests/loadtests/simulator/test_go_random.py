import numpy as np
import pytest

from loadtests.simulator.traces import go_random, openb


def test_the_numbers_are_those_of_gos_math_rand():
    draws = go_random.Rand(1)  # the first ten of rand.Intn(100), known from Go's own documentation
    assert [draws.intn(100) for _ in range(10)] == [81, 87, 47, 59, 81, 18, 25, 40, 56, 0]


def test_a_power_of_two_takes_the_low_bits():
    draws, same = go_random.Rand(42), go_random.Rand(42)
    assert draws.intn(8) == (same.int63() >> 32) & 7


@pytest.mark.parametrize("seed", [1, 42, go_random.MODULUS + 42])
def test_a_permutation_and_a_shuffle_lose_nothing(seed):
    draws = go_random.Rand(seed)
    items = list(range(100))
    draws.shuffle(items)
    assert sorted(items) == sorted(draws.perm(100)) == list(range(100))


def test_the_orders_of_two_seeds_differ_and_one_seed_repeats():
    nodes, trace = openb.read_nodes(), openb.read_trace("multigpu50")
    one, ranks = openb.published_order(trace, nodes, 42)
    again, _ = openb.published_order(trace, nodes, 42)
    other, _ = openb.published_order(trace, nodes, 43)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert sorted(ranks.tolist()) == list(range(len(nodes.names)))


@pytest.mark.parametrize("name", ["default", "multigpu50"])
def test_an_order_asks_for_the_load_and_no_more_than_a_pod_beyond(name):
    nodes, trace = openb.read_nodes(), openb.read_trace(name)
    order, _ = openb.published_order(trace, nodes, 42)
    asked = sum(trace.kinds[trace.pods[pod]].gpu for pod in order)
    assert abs(asked - 1.3 * nodes.capacity) <= openb.SLOTS * openb.GPU
