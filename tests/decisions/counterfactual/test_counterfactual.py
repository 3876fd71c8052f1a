"""The change that is named for a node, applied to a copy of the cluster, flips the answer."""

import dataclasses

import msgspec
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from extender.decisions.counterfactual import changes, passing_node, why_node
from extender.policy import config
from tests.kit.builders import make_claim, make_class, make_node, make_pod
from tests.kit.worlds import GPU, H100, NIC, engine, feed, p4d


def finished(turns):
    while True:
        try:
            next(turns)
        except StopIteration as over:
            return over.value


def why(judging, pod, node):
    now = finished(why_node.picture(judging, pod.obj()))
    return finished(why_node.why(now, node))


def world(items, policy=config.DEFAULT):
    judging = engine(policy)
    feed(judging, *items)
    judging.settle()
    return judging


def passes(judging, pod, node):
    found = judging.filter_only(pod.obj(), [node])
    return not found.failed and not found.unresolvable


def best(judging, pod, names):
    found = judging.filter_only(pod.obj(), names)
    left = found.passing(names)
    return left[int(judging.score(pod.obj(), left).scores.argmax())]


# ---------------------------------------------------------------- what is said


def test_it_says_what_is_missing_who_holds_it_and_who_would_have_to_go():
    items = [
        make_node("a").gpus(H100, 8),
        make_node("b").gpus(H100, 8),
        make_pod("small").gpus(2).node("a").priority(5),
        make_pod("big").gpus(6).node("a").priority(0),
    ]
    judging = world(items)

    found = why(judging, make_pod("p").gpus(4).priority(3), "a")

    assert found.verdict == why_node.REFUSED
    assert found.reason == "needs 4 GPUs; 0 of 8 GPUs are free"
    assert [(each.pod, each.holds, each.preemptible) for each in found.holders] == [
        ("default/big", "6 GPUs", True),
        ("default/small", "2 GPUs", False),
    ]
    (pods, *_) = found.changes
    assert pods.words == ("if default/big (6 GPUs, priority 0) leaves; this pod may preempt it")
    assert pods.preemptible


def test_a_pod_that_never_preempts_may_preempt_nobody():
    judging = world([make_node("a").gpus(H100, 8), make_pod("h").gpus(8).node("a")])
    pod = make_pod("p").gpus(4).priority(3)
    pod.body["spec"]["preemptionPolicy"] = "Never"

    assert not why(judging, pod, "a").holders[0].preemptible


def test_the_words_of_a_required_level_name_where_it_is_required():
    profile = config.Profile(name="strict", locality=config.Locality(mode="Required", level="PIX"))
    judging = world(
        [*p4d("x"), make_class(GPU), make_class(NIC)], config.Policy(profiles=(profile,))
    )
    claim = make_claim("c").request("g", GPU, 2).request("n", NIC, 1)
    feed(judging, claim)

    found = why(judging, make_pod("p").claim("c"), "x")

    assert "locality of profile strict" in found.changes[-1].words


def test_the_best_node_needs_no_change():
    judging = world([make_node("a").gpus(H100, 8)])

    found = why(judging, make_pod("p").gpus(4), "a")

    assert (found.verdict, found.rank, found.changes) == (why_node.BEST, 1, ())


def test_a_node_that_kube_scheduler_refuses_is_reported_with_its_reason():
    judging = world([make_node("a").gpus(H100, 8).unschedulable(), make_node("b").gpus(H100, 8)])

    found = why(judging, make_pod("p").gpus(4), "a")

    assert found.verdict == why_node.SCHEDULER
    assert found.scheduler == ("node is cordoned",)


def test_hardware_that_is_not_there_is_freed_by_nobody():
    judging = world([make_node("a").gpus(H100, 8), make_pod("h").gpus(4).node("a")])

    found = why(judging, make_pod("p").gpus(16), "a")

    assert [each.kind for each in found.changes] == [changes.COUNT]
    assert found.changes[0].value == 4


def test_a_bound_pod_is_shown_why_it_is_not_on_another_node():
    items = [make_node(name).gpus(H100, 8) for name in "ab"]
    held, pod = make_pod("h").gpus(6).node("b"), make_pod("p").gpus(4).node("a")
    judging = world([*items, held, pod])

    found = why(judging, pod, "b")

    assert found.verdict == why_node.REFUSED
    assert found.best == "a"
    assert found.changes[0].pods == ("uid-h",)


# ---------------------------------------------------------------- the change flips the answer

holders = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 6), st.integers(0, 3)), max_size=6
)
relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def plug_ins(held):
    """Three nodes, and the pods that find room there."""
    left = dict.fromkeys("abc", 8)
    yield from (make_node(name).gpus(H100, 8) for name in "abc")
    for number, (name, count, priority) in enumerate(held):
        if left[name] >= count:
            left[name] -= count
            yield make_pod(f"h{number}").gpus(count).request("cpu", 4).node(name).priority(priority)


def applied(items, pod, change, profile="default"):
    """A copy of the cluster after the change, and the pod as it is then."""
    if change.kind == changes.PODS:
        copy = world(items)
        for item in items:
            if item.body["metadata"]["uid"] in change.pods:
                copy.store.apply("Pod", "DELETED", item.obj())
        return copy, pod
    if change.kind == changes.COUNT:
        return world(items), make_pod("p").gpus(change.value).priority(2)
    if change.kind == changes.WEIGHT:
        part = change.field.partition(".")[0]
        other = passing_node.with_weight(config.Profile(name=profile), part, change.value)
        copy = world(items)
        copy.use(config.Policy(profiles=(other,)))
        return copy, pod
    copy = world(items)
    for name in change.nodes:
        cordoned = make_node(name).gpus(H100, 8).unschedulable()
        copy.store.apply("Node", "MODIFIED", cordoned.obj())
    return copy, pod


@relaxed
@example(held=[("a", 4, 0), ("b", 1, 0)], gpus=3, node="a")  # without b, prices were others
@given(holders, st.integers(1, 8), st.sampled_from("abc"))
def test_each_change_named_for_a_node_flips_the_answer(held, gpus, node):
    items = list(plug_ins(held))
    pod = make_pod("p").gpus(gpus).priority(2)
    judging = world(items)

    found = why(judging, pod, node)

    for change in found.changes:
        copy, changed = applied(items, pod, change)
        if found.verdict == why_node.REFUSED:
            assert not passes(judging, pod, node)
            assert passes(copy, changed, node)
        else:
            assert best(judging, pod, list("abc")) != node
            names = [name for name in "abc" if name not in change.nodes]
            assert best(copy, changed, names) == node
    if found.verdict == why_node.REFUSED:
        assert found.changes  # eight GPUs are there, so that somebody holds them


@relaxed
@given(holders, st.integers(2, 8), st.sampled_from("abc"))
def test_no_fewer_pods_would_do(held, gpus, node):
    items = list(plug_ins(held))
    pod = make_pod("p").gpus(gpus).priority(2)
    found = why(world(items), pod, node)
    gone = [each for each in found.changes if each.kind == changes.PODS]
    assume(gone)

    for spared in gone[0].pods:
        left = dataclasses.replace(gone[0], pods=tuple(set(gone[0].pods) - {spared}))
        copy, _ = applied(items, pod, left)
        assert not passes(copy, pod, node)


@relaxed
@given(
    st.sets(st.sampled_from([f"gpu-{n}" for n in range(8)]), max_size=6),
    st.sets(st.sampled_from([f"nic-{n}" for n in range(4)]), max_size=3),
    st.integers(1, 4),
    st.sampled_from(["PIX", "PXB", "PHB"]),
)
def test_the_level_or_count_named_for_claims_flips_the_answer(gpus, nics, count, level):
    items = [*p4d("x"), make_class(GPU), make_class(NIC)]
    for device in (*sorted(gpus), *sorted(nics)):
        driver = GPU if device.startswith("gpu") else NIC
        held = make_claim(f"held-{device}").allocated("x", ("r", driver, "x", device))
        user = {"resource": "pods", "name": f"h-{device}", "uid": f"uid-h-{device}"}
        held.body["status"]["reservedFor"] = [user]
        items += [held, make_pod(f"h-{device}").claim(f"held-{device}").node("x")]
    locality = config.Locality(mode="Required", level=level)
    policy = config.Policy(profiles=(config.Profile(name="default", locality=locality),))
    pod = make_pod("p").claim("c")

    def claim(number=count):
        return make_claim("c").request("g", GPU, number).request("n", NIC, 1)

    judging = world([*items, claim()], policy)
    found = why(judging, pod, "x")

    for change in found.changes:
        other, asked, gone = locality, count, ()
        match change.kind:
            case changes.LEVEL | changes.MODE:
                other = msgspec.structs.replace(locality, **{change.field: change.value})
            case changes.COUNT:
                asked = change.value
            case changes.PODS:
                gone = change.pods
        kept = [
            item
            for item in items
            if item.body["metadata"]["uid"] not in gone
            and f"uid-h-{item.body['metadata']['name'].removeprefix('held-')}" not in gone
        ]
        profile = config.Profile(name="default", locality=other)
        copy = world([*kept, claim(asked)], config.Policy(profiles=(profile,)))
        assert passes(copy, pod, "x"), change.words


@pytest.mark.parametrize("now", [0.25, 1.0, 10.0])
@pytest.mark.parametrize(("low", "high"), [(0.0, 0.1), (2.0, 2.0004), (30.0, 100.0)])
def test_the_nearest_weight_is_within_the_interval(now, low, high):
    value = passing_node._nearest(now, low, high)

    assert low < value < high


def test_an_interval_that_no_round_weight_is_in_names_none():
    assert passing_node._nearest(1.0, 2.0, 2.00000004) is None
    assert passing_node._nearest(1.0, 2.0, 1.0) is None
