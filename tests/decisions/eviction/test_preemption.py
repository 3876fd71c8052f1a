"""Which evictions make room that our own filter would then accept."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extender.decisions.eviction import nominations
from extender.decisions.verb_results import Victims
from tests.kit.builders import make_claim, make_class, make_node, make_pod
from tests.kit.worlds import GPU, H100, NIC, engine, feed, p4d


@pytest.fixture
def busy():
    """Node `a`: eight GPUs, four pods of two each, of priorities 0 to 3."""
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8))
    for number in range(4):
        feed(judging, make_pod(f"p{number}").gpus(2).node("a").priority(number))
    return judging


def urgent(gpus, priority=9):
    return make_pod("urgent").gpus(gpus).priority(priority).obj()


def test_victims_that_are_enough_stay_as_they_were_offered(busy):
    offered = {"a": Victims(("uid-p1", "uid-p0"), 1)}

    assert busy.preempt(urgent(4), offered) == offered


def test_a_node_that_could_never_take_the_pod_is_dropped(busy):
    assert busy.preempt(urgent(9), {"a": Victims(("uid-p0",))}) == {}


def test_pods_of_the_same_or_a_higher_priority_are_never_added(busy):
    offered = {"a": Victims(("uid-p0",))}

    assert busy.preempt(urgent(8, priority=3), offered) == {}
    assert busy.preempt(urgent(6, priority=3), offered) == {
        "a": Victims(("uid-p2", "uid-p1", "uid-p0"), pdb_violations=2)
    }


def test_a_node_that_fits_without_evictions_stays_without(busy):
    feed(busy, make_node("free").gpus(H100, 8))

    assert busy.preempt(urgent(8), {"free": Victims()}) == {"free": Victims()}


def test_a_pod_that_asks_for_no_devices_keeps_every_node(busy):
    offered = {"a": Victims(("uid-p0",)), "unknown": Victims(("x",))}

    assert busy.preempt(make_pod("web").request("cpu", 1).obj(), offered) == offered


def test_a_pod_that_cannot_be_judged_keeps_every_node(busy):
    offered = {"a": Victims(("uid-p0",))}

    assert busy.preempt(make_pod("p").claim("late").obj(), offered) == offered


def test_among_equally_small_sets_the_one_that_leaves_near_devices_is_offered():
    judging = engine()
    feed(judging, *p4d("n"), make_class(GPU), make_class(NIC))
    pods = {"far": ["gpu-7"], "near": ["gpu-0"], "others": [f"gpu-{n}" for n in range(1, 7)]}
    for name, devices in pods.items():
        claim = make_claim(name).allocated("n", *(("r", GPU, "n", d) for d in devices))
        claim.body["status"]["reservedFor"] = [
            {"resource": "pods", "name": name, "uid": f"uid-{name}"}
        ]
        feed(judging, claim, make_pod(name).claim(name).node("n").priority(0))
    template = make_claim("wanted").request("g", GPU).request("n", NIC)
    feed(judging, template)

    kept = judging.preempt(
        make_pod("urgent").claim("wanted").priority(5).obj(), {"n": Victims(("uid-far",))}
    )

    assert kept == {"n": Victims(("uid-near",), pdb_violations=1)}


def test_a_claim_that_others_use_too_is_not_released():
    judging = engine()
    feed(judging, *p4d("n"), make_class(GPU))
    shared = make_claim("shared").allocated("n", *(("r", GPU, "n", f"gpu-{n}") for n in range(8)))
    shared.body["status"]["reservedFor"] = [
        {"resource": "pods", "name": name, "uid": f"uid-{name}"} for name in ("v", "w")
    ]
    feed(judging, shared, make_claim("c").request("r", GPU))
    feed(judging, make_pod("v").claim("shared").node("n").priority(0))
    feed(judging, make_pod("w").claim("shared").node("n").priority(9))

    kept = judging.preempt(
        make_pod("urgent").claim("c").priority(5).obj(), {"n": Victims(("uid-v",))}
    )

    assert kept == {}


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(1, 4), max_size=5),
    given_victims=st.sets(st.integers(0, 4)),
    asked=st.integers(1, 9),
)
def test_what_is_kept_is_enough_and_names_only_lower_pods(sizes, given_victims, asked):
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8))
    placed = {}
    for number, size in enumerate(sizes):
        if sum(placed.values()) + size <= 8:
            placed[f"uid-p{number}"] = size
            feed(judging, make_pod(f"p{number}").gpus(size).node("a").priority(number))
    offered = Victims(tuple(uid for uid in placed if int(uid[-1]) in given_victims))
    pod = make_pod("urgent").gpus(asked).priority(3).obj()

    kept = judging.preempt(pod, {"a": offered})

    free = 8 - sum(placed.values())
    lower = sum(s for uid, s in placed.items() if int(uid[-1]) < 3 or uid in offered.pods)
    if "a" in kept:
        assert free + sum(placed[uid] for uid in kept["a"].pods) >= asked
        added = set(kept["a"].pods) - set(offered.pods)
        assert all(int(uid[-1]) < 3 for uid in added)
    else:
        assert free + lower < asked


def test_a_pod_that_was_granted_victims_passes_before_the_watch_shows_them_go(busy):
    pod = urgent(4)
    assert busy.filter(pod, ["a"]).failed
    busy.preempt(pod, {"a": Victims(("uid-p1", "uid-p0"))})

    assert not busy.filter(pod, ["a"]).failed
    assert busy.filter(make_pod("other").gpus(4).priority(9).obj(), ["a"]).failed


def test_what_was_granted_is_not_enough_for_a_pod_once_others_hold_it(busy):
    pod = urgent(4)
    busy.preempt(pod, {"a": Victims(("uid-p1", "uid-p0"))})
    gone = [make_pod(f"p{number}").gpus(2).node("a").priority(number) for number in (0, 1)]
    for victim in gone:
        busy.store.apply("Pod", "DELETED", victim.obj())
    feed(busy, make_pod("thief").gpus(2).node("a"))

    assert busy.filter(pod, ["a"]).failed


def test_what_was_granted_ends_with_its_time_and_with_the_pod():
    granted = nominations.Nominations()
    kept = {"a": Victims(("x",))}
    granted.agree("pod", kept, now=0.0)
    assert granted.of("pod", now=nominations.SECONDS - 1) == kept
    assert granted.of("pod", now=nominations.SECONDS) == {}
    granted.forget("pod")
    assert (granted.of("pod", now=0.0), len(granted)) == ({}, 0)
