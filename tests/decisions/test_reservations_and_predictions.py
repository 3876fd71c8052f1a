"""What a decision leaves behind: reservations, predictions, evictions, prepared answers."""

from hypothesis import given, settings
from hypothesis import strategies as st

from extender.decisions.explanation import explain
from extender.decisions.ticket import Ticket
from extender.decisions.verb_results import Victims
from extender.hardware import allocator_features
from extender.policy import config
from extender.service import assembly
from tests.kit.builders import (
    make_claim,
    make_class,
    make_node,
    make_pod,
)
from tests.kit.worlds import GPU, H100, Clock, engine, feed, held, p4d

NODES = ["aligned", "apart", "full"]


def test_the_next_pod_of_a_burst_is_predicted_beside_the_one_before(judging):
    first = make_pod("first").template("gpu-nic").obj()
    second = make_pod("second").template("gpu-nic").obj()
    judging.filter(first, NODES)
    judging.prioritize(first, ["aligned", "apart"])

    found = explain.explain(judging, second, ["aligned"])

    assert [device.device for device in found.nodes[0].devices] == ["gpu-1", "nic-1"]


def test_a_reservation_never_vetoes_and_ends_with_its_deadline():
    clock = Clock()
    judging = engine(clock=clock)
    feed(judging, make_node("a").gpus(H100, 2), make_node("b").gpus(H100, 2))
    judging.prioritize(make_pod("first").gpus(2).obj(), ["a", "b"])
    assert len(judging.index.reservations) == 1

    refused = judging.filter(make_pod("second").gpus(2).obj(), ["a", "b"])
    clock.now = 60.0
    judging.settle()

    assert refused.failed == {}
    assert len(judging.index.reservations) == 0


def test_a_node_that_is_expected_to_be_full_is_tried_last():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 2), make_node("b").gpus(H100, 2))
    first = list(judging.prioritize(make_pod("first").gpus(2).obj(), ["a", "b"]))

    second = list(judging.prioritize(make_pod("second").gpus(2).obj(), ["a", "b"]))

    taken = first.index(max(first))
    assert second[taken] < second[1 - taken]


def test_the_pod_seen_bound_ends_its_reservation():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 2), make_node("b").gpus(H100, 2))
    judging.prioritize(make_pod("p").gpus(2).obj(), ["a", "b"])

    feed(judging, make_pod("p").gpus(2).node("b"))
    judging.settle()

    assert len(judging.index.reservations) == 0
    assert judging.index.verify() == []


def test_a_pod_seen_bound_before_its_claim_still_keeps_its_devices_from_the_next():
    judging = engine()
    feed(judging, *p4d("a"), *p4d("b"), make_class(GPU))
    for name in ("one", "two"):
        feed(judging, make_claim(name).request("r", GPU))
    judging.prioritize(make_pod("p").claim("one").obj(), ["a", "b"])
    (holding,) = [n for n in "ab" if list(judging.index.reservations.on(n))]

    feed(judging, make_pod("p").claim("one").node(holding))
    found = judging.score(make_pod("q").claim("two").obj(), [holding])

    state = int(found.candidates.states[0])
    devices = found.candidates.table.states[state].shape.devices
    assert [devices[p.device].name for p in found.candidates.table.verdict(state).picks] == [
        "gpu-1"
    ]
    assert judging.index.verify() == []


def test_a_prediction_that_comes_true_is_counted_same_and_another_different():
    heard = []
    judging = assembly.assemble(
        policy=config.DEFAULT,
        features=allocator_features.AllocatorFeatures(),
        hardware=assembly.read_catalogue(),
        clock=Clock(),
        on_prediction=lambda result, mismatch: heard.append((result, mismatch)),
    )
    feed(judging, *p4d("a"), *p4d("b"), make_class(GPU))
    for name, device in (("right", "gpu-0"), ("wrong", "gpu-5")):
        claim = make_claim(name).request("r", GPU)
        feed(judging, claim)
        pod = make_pod(name).claim(name).obj()
        judging.filter(pod, ["a"])
        feed(judging, claim.allocated("a", ("r", GPU, "a", device)))
        judging.store.apply("ResourceClaim", "DELETED", claim.obj())

    assert [result for result, _ in heard] == ["same", "different"]
    assert heard[1][1].allocated == (("r", GPU, "a", "gpu-5"),)
    assert heard[1][1].predicted == (("r", GPU, "a", "gpu-0"),)


def test_preemption_keeps_only_the_nodes_where_the_pod_then_fits():
    judging = engine()
    for name, free in (("helps", 2), ("not", 1)):
        feed(judging, make_node(name).gpus(H100, 2))
        for number in range(2):
            feed(judging, make_pod(f"{name}-{number}").gpus(1).node(name).priority(number))
        del free
    offered = {
        "helps": Victims(("uid-helps-0", "uid-helps-1")),
        "not": Victims(("uid-not-0",)),
    }

    kept = judging.preempt(make_pod("urgent").gpus(2).priority(1).obj(), offered)

    assert kept == {"helps": offered["helps"]}


def test_preemption_adds_lower_pods_where_the_victims_are_not_enough():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 2))
    for number in range(2):
        feed(judging, make_pod(f"p{number}").gpus(1).node("a").priority(number))

    kept = judging.preempt(
        make_pod("urgent").gpus(2).priority(9).obj(), {"a": Victims(("uid-p0",))}
    )

    assert kept == {"a": Victims(("uid-p1", "uid-p0"), pdb_violations=1)}


def test_preemption_never_drops_a_node_whose_pods_it_does_not_know():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 2))
    offered = {"a": Victims(("uid-unknown",), 1), "stranger": Victims(("x",))}

    assert judging.preempt(make_pod("urgent").gpus(2).obj(), offered) == offered


def test_a_victims_claim_is_released_with_it(judging):
    used = (
        make_claim("used")
        .request("r", GPU)
        .allocated("full", *(("r", GPU, "full", f"gpu-{n}") for n in range(2)))
    )
    used.body["status"]["reservedFor"] = [{"resource": "pods", "name": "v", "uid": "uid-v"}]
    judging.store.apply(
        "ResourceClaim", "DELETED", held("full", *(f"gpu-{n}" for n in range(8))).obj()
    )
    feed(judging, used, held("full", *(f"gpu-{n}" for n in range(2, 8))))
    feed(judging, make_pod("v").claim("used").node("full"))

    kept = judging.preempt(
        make_pod("urgent").template("gpu-nic").priority(5).obj(), {"full": Victims(("uid-v",))}
    )

    assert kept == {"full": Victims(("uid-v",))}


@settings(max_examples=50, deadline=None)
@given(
    asked=st.lists(st.sampled_from([*NODES, "stranger", "other"]), max_size=8),
    gpus=st.integers(0, 9),
    random=st.randoms(),
)
def test_names_never_asked_are_never_answered_and_order_changes_no_verdict(asked, gpus, random):
    judging = engine()
    for name in NODES:
        feed(judging, make_node(name).gpus(H100, 4 + len(name)))
    pod = make_pod("p").gpus(gpus).obj()
    names = list(dict.fromkeys(asked))
    shuffled = list(names)
    random.shuffle(shuffled)

    found = judging.filter_only(pod, names)
    again = judging.filter_only(pod, shuffled)

    assert found.failed.keys() | found.unresolvable.keys() <= set(names)
    assert (found.failed, found.unresolvable) == (again.failed, again.unresolvable)
    first, second = judging.score(pod, names), judging.score(pod, shuffled)
    if first is not None:
        by_name = dict(zip(names, first.scores.tolist(), strict=True))
        assert by_name == dict(zip(shuffled, second.scores.tolist(), strict=True))


def test_a_node_that_is_not_known_never_wins(judging):
    pod = make_pod("p").template("gpu-nic").obj()

    scores = list(judging.prioritize(pod, ["stranger", "aligned", "apart"]))

    assert scores[1] == 10
    assert scores[0] < 10


def test_a_reservation_does_not_end_while_nothing_could_confirm_it():
    clock = Clock()
    judging = engine(clock=clock)
    feed(judging, make_node("a").gpus(H100, 2), make_node("b").gpus(H100, 2))
    judging.prioritize(make_pod("p").gpus(2).obj(), ["a", "b"])

    judging.store.lost("Pod", "connection refused")
    clock.now = 60.0
    judging.settle()
    assert len(judging.index.reservations) == 1

    judging.store.bookmark("Pod", "7")
    judging.settle()
    assert len(judging.index.reservations) == 0


happenings = st.sampled_from(
    [
        make_pod("other").gpus(1).node("b"),
        make_pod("waiting").gpus(4).request("cpu", 8),
        make_node("b").gpus(H100, 8).condition("XIDErrors"),
        make_node("c").gpus(H100, 8),
        make_class("unused"),
        None,
    ]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(happenings, max_size=3), st.sampled_from([1, 2, 8]))
def test_a_prepared_answer_changes_nothing_whatever_happens_before_it_is_asked_for(events, gpus):
    prepared, plain = engine(), engine()
    pod, names = make_pod("p").gpus(gpus).obj(), ["a", "b"]
    for judging in (prepared, plain):
        feed(judging, make_node("a").gpus(H100, 8), make_node("b").gpus(H100, 8))
        feed(judging, make_pod("seen").gpus(8), make_pod("held").gpus(1).node("a"))
        judging.filter(pod, names)
    first = prepared.prepare(Ticket(pod, names))
    for event in events:
        for judging in (prepared, plain):
            feed(judging, *([event] if event is not None else []))

    found = prepared.prioritize(pod, names, first)

    assert found.tolist() == plain.prioritize(pod, names).tolist()
    assert (found is first.scores) == (not any(events))
    assert repr(prepared.index.reservations) == repr(plain.index.reservations)


def test_a_pod_bound_where_it_was_expected_is_no_news_to_scores():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8), make_node("b").gpus(H100, 8))
    pod, names = make_pod("p").gpus(2), ["a", "b"]
    scores = judging.prioritize(pod.obj(), names)
    judging.settle()
    before = judging.index.writes

    feed(judging, pod.node(names[int(scores.argmax())]))
    judging.settle()

    assert judging.index.writes == before
    assert len(judging.index.reservations) == 0
    assert judging.index.verify() == []


def test_a_reservation_ends_after_its_seconds_although_nobody_asks():
    clock = Clock()
    judging = engine(clock=clock)
    feed(judging, *(make_node(name).gpus(H100, 8) for name in "ab"))
    judging.prioritize(make_pod("p").gpus(1).obj(), ["a", "b"])
    assert not judging.unsettled

    clock.now = 5.0

    assert judging.unsettled
    judging.expire()
    assert len(judging.index.reservations) == 0


def test_a_node_is_not_refused_for_a_resource_that_is_judged_only_now_until_it_is_read_again():
    """One row a turn is read anew when a class begins to serve a resource."""
    judging = engine(patient=False)
    judging.index.at_once = 1
    names = [f"n{number}" for number in range(5)]
    feed(judging, *(make_node(name).resource("example.com/widget", 2) for name in names))
    judging.settle()
    pod = make_pod("p").request("example.com/widget", 1).obj()
    large = make_pod("q").request("example.com/widget", 3).obj()
    assert judging.filter(pod, names).passing(names) == names

    feed(judging, make_class("widgets").extended_resource("example.com/widget"))
    unread = 5
    while unread:
        assert judging.filter(pod, names).passing(names) == names
        found = judging.filter_only(large, names).passing(names)
        assert len(found) < unread, "fewer nodes are unread with each call"
        unread = len(found)
    assert judging.unjudged["unfinished"] >= 3
