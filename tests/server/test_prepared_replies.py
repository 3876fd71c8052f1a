"""Answers that are prepared while kube-scheduler reads filter's."""

import dataclasses
import json
import sys
import types

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extender.errors import WireError
from extender.server import wire
from tests.kit.judge_stubs import NameJudge
from tests.kit.rigs.judged_verbs import args, service, value, whole

# ---------------------------------------------------------------- prepared answers


class Prepared(NameJudge):
    """Gives the prepared scores, as long as the pod is not called `changed`."""

    def prepare(self, ticket):
        ahead = types.SimpleNamespace(scores=self._scores(ticket.names))
        return dataclasses.replace(super().prepare(ticket), scored=ahead)

    def prioritize(self, pod, names, ticket=None):
        found = super().prioritize(pod, names)
        known = ticket is not None and ticket.scores is not None
        return ticket.scores if known and pod.metadata.name != "changed" else found


def asked_after_filter(subject, pod="gpu"):
    kept = orjson.loads(subject.filter(args("a", "slow-b", "busy-c", pod=pod)))["NodeNames"]
    subject.prepare()
    return subject.prioritize(args(*kept, pod=pod))


@pytest.mark.parametrize("pod", ["gpu", "changed"])
def test_an_answer_prepared_after_filter_is_what_prioritize_would_have_said(pod):
    plain, _ = service()
    subject, _ = service(Prepared())

    assert asked_after_filter(subject, pod) == plain.prioritize(args("a", "slow-b", pod=pod))


def test_a_scheduler_that_does_not_prioritize_is_not_prepared_for():
    judge = NameJudge()
    subject, _ = service(judge)
    for _ in range(3):
        subject.filter(args("a", "b"))
        subject.prepare()
    verbs_asked = [verb for verb, *_ in judge.asked]
    assert verbs_asked == ["filter", "prepare", "filter", "settle", "filter", "settle"]

    subject.prioritize(args("a", "b"))
    subject.filter(args("a", "b"))
    subject.prepare()
    assert judge.asked[-1][0] == "prepare"


@pytest.mark.parametrize("body", [args("a"), whole("a"), args("a", "b", pod="plain")])
def test_nothing_is_prepared_where_nothing_is_asked_or_known(body):
    judge = NameJudge()
    subject, _ = service(judge)
    subject.filter(body)
    subject.prepare()
    assert "prepare" not in [verb for verb, *_ in judge.asked]


# ---------------------------------------------------------------- whole nodes

NODES = st.lists(
    st.sampled_from(["a", "b", "slow-c", "busy-d", "never-e", 'q"uoted', "\u00e9"]),
    unique=True,
    max_size=6,
)
# Pods with what a body is cut at, in a text and as a key.
PODS = st.sampled_from(
    [
        {"metadata": {"name": "gpu"}},
        {"metadata": {"name": "gpu", "labels": {"x": '"Nodes":{"metadata":{},"items":['}}},
        {"metadata": {"name": "gpu"}, "Nodes": {"metadata": {}, "items": [{}]}, "NodeNames": None},
        {"Nodes": {"metadata": {}, "items": []}, "metadata": {"name": "changed"}},
    ]
)


def whole_of(pod, items, *, spaced=False):
    """The body about these nodes, as Go writes it, or with spaces as Python does."""
    nodes = {"metadata": {}, "items": items}
    body = {"Pod": pod, "Nodes": nodes, "NodeNames": None}
    return json.dumps(body).encode() if spaced else orjson.dumps(body)


@given(
    pod=PODS,
    other=PODS,
    names=NODES,
    swapped=st.booleans(),
    spaced=st.tuples(st.booleans(), st.booleans()),
    damage=st.none() | st.integers(1, 40),
)
@example(
    pod={"metadata": {"name": "gpu"}},
    other={"metadata": {"name": "gpu"}},
    names=["a", "b"],
    swapped=False,
    spaced=(False, False),
    damage=None,
)
def test_a_prioritize_about_whole_nodes_is_answered_as_without_its_filter(
    pod, other, names, swapped, spaced, damage
):
    judge = Prepared()
    subject, _ = service(judge)
    items = [{"metadata": {"name": name, "labels": {"l": "x" * 9}}} for name in names]
    reported = orjson.loads(replied(subject.filter(whole_of(pod, items, spaced=spaced[0]))))
    subject.prepare()
    kept = reported["Nodes"]["items"]
    if swapped:
        kept = kept[::-1]
    second = whole_of(other, kept, spaced=spaced[1])
    if damage:
        second = second[:-damage]

    assert outcome(subject, second) == outcome(service()[0], second)


def outcome(subject, body):
    try:
        return subject.prioritize(body)
    except WireError as refused:
        return refused.status


def replied(body):
    return body if isinstance(body, bytes) else body.whole()


def test_whole_nodes_that_passed_are_known_again_by_their_bytes(monkeypatch):
    judge = NameJudge()
    subject, _ = service(judge)
    reported = orjson.loads(subject.filter(whole("a", "busy-b", "slow-c")))
    second = whole_of({"metadata": {"name": "gpu"}}, reported["Nodes"]["items"])
    monkeypatch.setattr(wire, "question", None)  # nothing is read

    assert [each["Host"] for each in orjson.loads(subject.prioritize(second))] == ["a", "slow-c"]


def test_a_body_is_held_no_longer_than_until_its_prioritize_was_answered():
    subject, _ = service()
    body = whole("a", "b")
    before = sys.getrefcount(body)
    subject.filter(body)
    assert sys.getrefcount(body) > before

    subject.prioritize(body)

    assert sys.getrefcount(body) == before


def test_a_fault_while_preparing_is_counted_and_left_to_prioritize():
    class Faulty(NameJudge):
        def prepare(self, _ticket):
            raise RuntimeError("a fault of ours")

    subject, figures = service(Faulty())

    assert asked_after_filter(subject) == service()[0].prioritize(args("a", "slow-b"))
    assert value(figures, "railyard_fail_open_total", verb="prioritize") == 0
    assert value(figures, "railyard_fail_open_total", verb="prepare") == 1


def test_a_fault_while_settling_between_calls_is_counted_and_logged(caplog):
    class Faulty(NameJudge):
        def settle(self):
            raise RuntimeError("a fault of ours")

    subject, figures = service(Faulty())
    subject.prepare()
    assert value(figures, "railyard_fail_open_total", verb="prepare") == 1
    assert "prepare failed between calls" in caplog.text


@pytest.mark.parametrize(
    ("names", "worth"),
    [
        (["busy-1", "busy-2"], True),
        (["busy-1", "never-1"], True),
        (["never-1", "never-2"], False),
        (["busy-1", "a"], False),
        ([], False),
    ],
)
def test_only_a_refusal_of_all_nodes_for_now_is_worth_another_look(names, worth):
    subject, _ = service()

    subject.filter(args(*names))

    assert subject.worth_a_retry() is worth


def test_a_pod_that_fits_nowhere_is_looked_at_again_four_times_a_second_at_most():
    moments, worth = [], []
    subject, _ = service(clock=lambda: moments[-1])

    for now in (0.0, 0.1, 0.2, 0.25, 0.3, 0.5):
        moments.append(now)
        subject.filter(args("busy"))
        worth.append(subject.worth_a_retry())

    assert worth == [True, False, False, True, False, True]


def test_a_fault_is_not_worth_another_look(caplog):
    subject, _ = service()
    subject.filter(args("busy"))

    subject.filter(args("busy", pod="fault"))

    assert not subject.worth_a_retry()
