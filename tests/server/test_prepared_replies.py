"""Answers that are prepared while kube-scheduler reads filter's."""

import dataclasses
import types

import orjson
import pytest

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
        return found if pod.metadata.name == "changed" else ticket.scores


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


@pytest.mark.parametrize("body", [args("a"), whole("a", "b"), args("a", "b", pod="plain")])
def test_nothing_is_prepared_where_nothing_is_asked_or_known(body):
    judge = NameJudge()
    subject, _ = service(judge)
    subject.filter(body)
    subject.prepare()
    assert "prepare" not in [verb for verb, *_ in judge.asked]


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
