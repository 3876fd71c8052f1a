"""The parts of a node's cost, through an engine on small nodes."""

import pytest

from extender.decisions import scorer
from extender.policy import config
from tests.kit.builders import make_node, make_pod
from tests.kit.rigs.scored_worlds import parts
from tests.kit.worlds import H100, engine, feed

CLIQUE = "nvidia.com/gpu.clique"


def test_a_degraded_node_is_avoided_and_not_refused():
    judging = engine()
    feed(judging, make_node("good").gpus(H100, 8))
    feed(judging, make_node("bad").gpus(H100, 8).condition("GpuMemWatch"))
    pod = make_pod("p").gpus(1)

    found = parts(judging, pod, ["good", "bad"])["preference"]

    assert found[1] - found[0] == pytest.approx(10)
    assert judging.filter(pod.obj(), ["good", "bad"]).failed == {}


def test_the_policy_names_conditions_of_its_own_also_once_nodes_are_known():
    judging = engine()
    feed(judging, make_node("good").gpus(H100, 8))
    feed(judging, make_node("odd").gpus(H100, 8).condition("FanNoise"))
    pod = make_pod("p").gpus(1)
    before = parts(judging, pod, ["good", "odd"])["preference"]

    judging.use(config.Policy(avoid_conditions=("FanNoise",)))
    after = parts(judging, pod, ["good", "odd"])["preference"]

    assert before[0] == before[1]
    assert after[1] > after[0]


def test_members_of_a_gang_are_drawn_to_where_the_others_are():
    judging = engine()
    for name, clique in (("a", "one"), ("b", "one"), ("c", "two")):
        feed(judging, make_node(name).gpus(H100, 8).label(CLIQUE, clique))
    gang = ("jobset.sigs.k8s.io/jobset-name", "job")
    feed(judging, make_pod("first").gpus(8).label(*gang).node("a"))

    found = parts(judging, make_pod("next").gpus(8).label(*gang), ["b", "c"])["proximity"]

    assert found.tolist() == [0.0, 10.0]


def test_a_member_on_every_node_counts_each_of_them_but_the_own_node_as_near():
    judging = engine()
    gang = ("jobset.sigs.k8s.io/jobset-name", "job")
    names = [f"n{number}" for number in range(100)]
    for name in names:
        feed(judging, make_node(name).gpus(H100, 8))  # no label says where it is
        feed(judging, make_pod(f"on-{name}").gpus(1).label(*gang).node(name))

    found = parts(judging, make_pod("next").gpus(1).label(*gang), names)["proximity"]

    assert len(set(found.tolist())) == 1
    assert found[0] > 0


def test_a_pod_on_its_own_has_no_proximity():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8))

    assert "proximity" not in parts(judging, make_pod("p").gpus(1), ["a"])


def test_a_node_expected_to_be_full_costs_more_than_anything_else():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 2), make_node("b").gpus(H100, 2))
    judging.filter(make_pod("first").gpus(2).obj(), ["a"])

    found = parts(judging, make_pod("second").gpus(2), ["a", "b"])["expected full"]

    assert found.tolist() == [scorer.EXPECTED_FULL, 0.0]


def test_nodes_without_gpus_come_first_for_pods_without_devices():
    judging = engine()
    feed(judging, make_node("gpus").gpus(H100, 8), make_node("plain"))
    feed(judging, make_pod("seen").gpus(8).request("cpu", 90))

    judging.settle()
    found = judging.score(make_pod("web").request("cpu", 40).obj(), ["gpus", "plain"])

    assert found.scores[1] > found.scores[0]


def test_a_weight_of_nothing_leaves_its_part_out():
    free = config.Profile(
        "default",
        packing=config.Packing(weight=0),
        preference=config.Preference(weight=0),
    )
    judging = engine(config.Policy(profiles=(free,)))
    feed(judging, make_node("a").gpus(H100, 8))

    assert set(parts(judging, make_pod("p").gpus(1), ["a"])) == {"locality"}
