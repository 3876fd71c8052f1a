import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.pricing.mix import demand_mix


def learnt(pods, **options):
    subject = demand_mix.DemandMix(**options)
    for number, (ask, count, cpu) in enumerate(pods):
        subject.learn(str(number), ask, count=count, share=1.0, cpu=cpu, memory=1.0)
    return subject


def test_a_pod_counts_once_however_often_it_is_shown():
    subject = demand_mix.DemandMix(horizon=100)
    assert subject.learn("a", "gpu", count=1, cpu=4000.0)
    assert not subject.learn("a", "gpu", count=1, cpu=4000.0)
    assert subject.seen == 1
    assert subject.classes().weight == pytest.approx([0.01])


def test_weights_decay_with_every_pod_also_with_those_without_devices():
    subject = demand_mix.DemandMix(horizon=100)
    subject.learn("a", "gpu", count=1, cpu=4000.0)
    for number in range(10):
        subject.learn(f"plain-{number}", None, cpu=1000.0)
    assert subject.classes().weight == pytest.approx([0.01 * 0.99**10])


def test_a_steady_mix_is_learnt_with_its_shares_and_means():
    pods = [("gpu", 1, 4000.0), ("gpu", 1, 4800.0), ("gpu", 8, 64000.0), (None, 0, 100.0)] * 3000
    classes = learnt(pods).classes()
    assert classes.units == ("gpu",)
    assert classes.count.tolist() == [1.0, 8.0]
    assert classes.weight == pytest.approx([0.5, 0.25], rel=0.01)
    assert classes.cpu == pytest.approx([4400.0, 64000.0], rel=0.011)
    assert classes.size.tolist() == [1.0, 8.0]


def test_what_pods_ask_is_reported_in_proportion_and_apart_for_those_without_devices():
    pods = [("gpu", 8, 64000.0), ("half", 1, 6000.0), (None, 0, 2000.0)] * 3000
    subject = learnt(pods)
    subject.reserve_machines({8: 0.1})
    subject.reserve("rare", count=8, share=1.0, cpu=1e6, memory=1.0, weight=0.5)
    asked = subject.mean_demand()
    assert asked.pods == 9000
    assert asked.cpu / asked.gpus == pytest.approx(70000 / 9, rel=0.01)
    assert asked.bare_cpu / asked.gpus == pytest.approx(2000 / 9, rel=0.01)
    assert asked.bare_memory / asked.memory == pytest.approx(1 / 2, rel=0.01)


def test_pods_that_differ_in_cpu_only_share_their_unit():
    classes = learnt([("gpu", 1, 1000.0), ("gpu", 1, 16000.0), ("half", 1, 1000.0)]).classes()
    assert classes.units == ("gpu", "half")
    assert classes.unit.tolist() == [0, 0, 1]


def test_the_lightest_class_gives_its_place_to_a_new_one_when_there_are_too_many():
    pods = [("old", 1, 0.0)] + [("often", 1, 0.0)] * 5 + [("new", 1, 0.0)]
    subject = learnt(pods[:-1], most_classes=2)
    assert subject.classes().units == ("old", "often")
    subject.learn("another", "new", count=1)
    assert subject.classes().units == ("new", "often")


def test_means_are_given_again_when_they_have_moved():
    subject = learnt([("gpu", 1, 4000.0)] * 100)
    assert subject.classes().cpu.tolist() == [4000.0]
    subject.learn("another", "gpu", count=1, cpu=4100.0)
    before = subject.classes()
    subject.learn("a little more", "gpu", count=1, cpu=4200.0)
    near = subject.classes()
    assert near.cpu == pytest.approx([4000.0], rel=0.011)
    assert not near.differing(before).any()
    for number in range(100):
        subject.learn(f"more-{number}", "gpu", count=1, cpu=5000.0)
    assert subject.classes().cpu == pytest.approx([4500.0], rel=0.03)
    assert subject.classes().differing(before).all()


def test_a_class_differs_by_what_it_asks_and_not_by_its_weight():
    subject = learnt([("gpu", 1, 4000.0), ("gpu", 8, 4000.0)])
    before = subject.classes()
    subject.learn("again", "gpu", count=1, cpu=4000.0, memory=1.0)
    subject.learn("other", "half", count=1, cpu=4000.0)
    after = subject.classes()
    assert after.differing(before).tolist() == [False, False, True]
    assert after.take(np.array([2])).weight.tolist() == after.weight[2:].tolist()


def test_a_reserved_size_keeps_its_weight_although_it_was_never_seen():
    subject = demand_mix.DemandMix(horizon=10)
    subject.reserve("gpu", count=8, share=1.0, cpu=64000.0, memory=2.0, weight=0.002)
    for number in range(5000):
        subject.learn(str(number), "other", count=1, cpu=1.0)
    classes = subject.classes()
    kept = classes.count == 8.0
    assert classes.weight[kept] == pytest.approx([0.002])
    assert classes.cpu[kept] == pytest.approx([64000.0])
    assert classes.memory[kept] == pytest.approx([2.0])


def test_a_reserved_size_that_is_seen_weighs_what_was_seen():
    subject = demand_mix.DemandMix(horizon=10)
    subject.reserve("gpu", count=8, share=1.0, cpu=64000.0, memory=2.0, weight=0.002)
    for number in range(100):
        subject.learn(str(number), "gpu", count=8, cpu=70000.0, memory=2.0)
    assert subject.classes().weight == pytest.approx([1.0], rel=0.001)
    assert subject.classes().cpu == pytest.approx([70000.0])


def test_a_machine_of_which_no_pod_was_seen_has_its_share_of_the_gpus_asked():
    subject = demand_mix.DemandMix(horizon=100)
    subject.reserve_machines({8: 0.04})
    for number in range(1000):
        subject.learn(str(number), "gpu", count=2, cpu=1.0)
    classes = subject.classes()
    assert classes.units == ("gpu", demand_mix.WHOLE_GPU)
    assert classes.count.tolist() == [2.0, 8.0]
    assert classes.weight == pytest.approx([1.0, 0.04 * 2 / 8], rel=0.001)


def test_pods_of_its_size_take_the_place_of_an_expected_machine():
    subject = demand_mix.DemandMix(horizon=100)
    subject.reserve_machines({8: 0.04})
    subject.learn("a", "large", count=8, cpu=1.0)
    assert subject.classes().weight == pytest.approx([0.01, 0.0])


def test_machines_are_expected_only_once_something_was_asked():
    subject = demand_mix.DemandMix()
    subject.reserve_machines({8: 0.04})
    assert subject.classes().units == ()


def test_remembered_pods_are_bounded_and_the_oldest_is_forgotten():
    subject = demand_mix.DemandMix(most_uids=3)
    for uid in "abcdefgh":
        subject.learn(uid, "gpu", count=1)
    assert not subject.learn("g", "gpu", count=1)
    assert subject.learn("a", "gpu", count=1)


def test_an_unused_mix_has_no_classes():
    classes = demand_mix.DemandMix().classes()
    assert classes.units == ()
    assert classes.size.shape == (0,)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(1, 8), st.floats(0, 1e5))))
def test_the_mix_depends_on_the_sequence_of_pods_and_not_on_when_it_is_read(pods):
    quiet, curious = demand_mix.DemandMix(horizon=50), demand_mix.DemandMix(horizon=50)
    for number, (ask, count, cpu) in enumerate(pods):
        for subject in (quiet, curious):
            subject.learn(str(number), ask, count=count, cpu=cpu)
        curious.classes()
    one, other = quiet.classes(), curious.classes()
    assert one.units == other.units
    assert one.weight.tolist() == other.weight.tolist()
    assert one.cpu.tolist() == other.cpu.tolist()
    assert one.weight.sum() <= 1.0 + 1e-9
