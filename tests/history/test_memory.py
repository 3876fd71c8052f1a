"""What decisions take is counted, and the count is what they take."""

import tracemalloc

import pytest

from extender.history import decision_history, decision_json, decision_recorder
from tests.kit.builders import make_node, make_pod
from tests.kit.clock import Clock
from tests.kit.worlds import H100, engine, feed

NAMES = [f"node-{number:03}" for number in range(60)]


def deciding(bounds=None):
    history = decision_history.DecisionHistory(
        bounds or decision_history.Bounds(), wall=Clock(1_000_000.0)
    )
    judging = engine()
    decision_recorder.DecisionRecorder(judging, history).attach()
    feed(judging, *(make_node(name).gpus(H100, 8) for name in NAMES))
    return judging, history


def decide(judging, first, count, gpus=8):
    for number in range(first, first + count):
        pod = make_pod(f"pod-{number}").gpus(gpus).obj()
        found = judging.filter(pod, list(NAMES))
        judging.score(pod, found.passing(NAMES))
        judging.prioritize(pod, found.passing(NAMES), found.ticket)
        judging.assumed.withdraw(pod.metadata.uid)
        judging.settle()


def test_what_is_counted_is_about_what_is_taken():
    judging, history = deciding()
    decide(judging, 0, 60)  # what else is remembered is there by then
    counted = history.bytes + history.answer_bytes
    tracemalloc.start()
    try:
        decide(judging, 100, 200)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # The resolver remembers the pods, too: what is taken is an upper bound.
    assert history.bytes + history.answer_bytes - counted > 0.5 * taken


@pytest.mark.parametrize(("most", "answers"), [(100_000, 5_000), (60_000, 2_000)])
def test_no_more_is_kept_than_may_be(monkeypatch, most, answers):
    monkeypatch.setattr(decision_history, "MOST_BYTES", most)
    monkeypatch.setattr(decision_history, "MOST_ANSWER_BYTES", answers)
    judging, history = deciding()
    for number in range(40):
        decide(judging, number, 1)
        assert history.bytes <= most
        assert history.answer_bytes <= answers
        assert history.bytes == sum(made.bytes for made in history.newest_first())

    newest, *older = history.newest_first()
    assert newest.name == "pod-39"
    assert newest.answers is not None
    assert older[-1].answers is None  # goes before the decision does
    assert older[-1].best
    assert decision_json.kept(history)["decisions"] == len(older) + 1 < 40
