"""What the machines could give were they empty, through an engine on small nodes."""

import pytest

from extender.pricing import fleet
from tests.kit.builders import make_node, make_pod
from tests.kit.worlds import H100, engine, feed

A100 = "NVIDIA-A100-SXM4-80GB"


def looked(judging):
    judging.settle()
    return fleet.Fleet.of(judging.index, judging.index.in_use(), judging.pricer.inventory)


def test_each_size_of_machine_has_its_part_of_the_gpus_whatever_is_taken():
    judging = engine()
    feed(judging, *(make_node(f"large-{n}").gpus(H100, 8) for n in range(3)))
    feed(judging, make_node("small").gpus(H100, 4), make_node("plain"))
    feed(judging, make_pod("holder").gpus(8).node("large-0"))
    assert looked(judging).machine_shares(0.28) == pytest.approx(
        {8: 0.28 * 24 / 28, 4: 0.28 * 4 / 28}
    )


def test_machines_of_one_gpu_need_no_reserve_and_no_machines_have_none():
    judging = engine()
    feed(judging, make_node("single").gpus(H100, 1))
    assert looked(judging).machine_shares(0.05) == {}
    assert looked(engine()).machine_shares(0.05) == {}


def test_a_reserve_of_nothing_expects_nothing():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8))
    assert looked(judging).machine_shares(0.0) == {}


def test_the_pool_of_a_class_is_what_suits_it_on_empty_machines():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8), make_node("b").gpus(A100, 4))
    feed(judging, make_pod("holder").gpus(8).node("a"))
    feed(judging, make_pod("seen").gpus(1))
    pricer, found = judging.pricer, looked(judging)
    pool = found.empty_headroom(pricer.classes, pricer._counts, judging.index.states)
    assert set(pool.tolist()) == {12.0}
