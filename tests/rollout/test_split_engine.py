"""A candidate answers for its pods, and whatever it does no pod gets an error."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extender.decisions import verb_results
from extender.history import decision_history, decision_recorder
from extender.policy import config
from extender.rollout import canary, candidate_engine, chosen_pods, document, split_engine
from extender.service.process import watchdog
from extender.shadow import candidate
from tests.kit.builders import make_class, make_pod, make_template
from tests.kit.worlds import GPU, NIC, engine, feed, held, p4d

NODES = ["aligned", "apart", "full"]
ACTIVE = config.DEFAULT
# Of the nodes that fit it takes the one whose GPU and NIC are far apart.
APART = config.parse({"profiles": [{"name": "apart", "locality": {"weight": 0}}]}, source="a test")
STRICT = config.parse(
    {"profiles": [{"name": "strict", "locality": {"mode": "Required"}}]}, source="a test"
)
PRICED = config.parse({"packing": {"machineReserve": 0.5}, "cpuPods": "Ignore"}, source="a test")


def world(active=ACTIVE):
    judging = engine(active)
    for name in NODES:
        feed(judging, *p4d(name))
    feed(judging, make_class(GPU), make_class(NIC))
    feed(judging, held("apart", "nic-0"), held("full", *(f"gpu-{n}" for n in range(8))))
    feed(judging, make_template("gpu-nic").request("gpu", GPU).request("nic", NIC))
    return judging


class Rolled:
    """A canary at work; `seconds` is what each of the candidate's calls takes."""

    def __init__(self, judging, policy, *, limit=lambda work: work(), **fields):
        section = {"percent": 100} | fields
        parsed = document.parse({"canary": section}, source="a test").canary
        self.seconds, self.now, self.halted = 0.0, 0.0, 0
        self.steps = []
        self.canary = canary.CanaryRun(
            parsed, config.fingerprint(policy), on_step=self.steps.append, wall=lambda: 1.5e9
        )
        self.trying = candidate.CandidatePolicy(judging, policy)
        for _ in range(100):
            self.trying.settle()
        assert self.trying.ready
        self.engine = candidate_engine.CandidateEngine(self.trying)
        self.split = split_engine.SplitEngine(
            judging, self.engine, self.canary, spent=self.spent, limit=limit, stopped=self.halt
        )
        self.canary.answer()

    def spent(self):
        self.now += self.seconds
        return self.now

    def halt(self):
        self.halted += 1


def make(number, uid=None):
    return make_pod(f"p{number}").uid(uid or f"u{number}").template("gpu-nic").obj()


def decide(answering, pod):
    """The reply to filter, and to the prioritize that follows it."""
    found = answering.filter(pod, NODES)
    names = found.passing(NODES)
    ticket = answering.prepare(found.ticket) if found.ticket else None
    return found, names, answering.prioritize(pod, names, ticket)


def answers(decided):
    found, names, scores = decided
    return found.failed, found.unresolvable, names, scores.tolist()


@pytest.mark.parametrize("policy", [APART, STRICT, PRICED])
def test_a_pod_of_the_canary_is_answered_as_the_candidate_alone_would(policy):
    rolled, alone = Rolled(world(), policy), world(policy)

    for number in range(4):
        pod = make(number)
        alone.settle()
        assert answers(decide(rolled.split, pod)) == answers(decide(alone, pod))

    assert rolled.canary.counts.failed == 0
    assert rolled.canary.counts.pods == 4


@settings(max_examples=30)
@given(st.lists(st.uuids().map(str), min_size=1, max_size=12, unique=True), st.floats(0, 100))
def test_each_pod_is_answered_by_one_policy_and_its_decision_names_it(uids, percent):
    judging = world()
    history = decision_history.DecisionHistory(
        decision_history.Bounds(100, 3600), wall=lambda: 1.5e9
    )
    decision_recorder.DecisionRecorder(judging, history).attach()
    rolled = Rolled(judging, STRICT, percent=percent)
    hashes = {True: config.fingerprint(STRICT), False: config.fingerprint(ACTIVE)}

    for number, uid in enumerate(uids):
        pod = make(number, uid)
        taken = chosen_pods.takes(rolled.canary.settings, pod)
        found, _, _ = decide(rolled.split, pod)
        judging.settle()
        assert ("apart" in found.failed) == taken
        made = history.latest(uid)
        assert made.policy == hashes[taken]
        assert made.profile == ("strict" if taken else "default")


def test_preempt_goes_by_the_policy_of_the_pods_filter(monkeypatch):
    rolled = Rolled(world(), STRICT)
    asked = []
    monkeypatch.setattr(rolled.engine, "preempt", lambda pod, _: asked.append(pod) or {})
    pod, other = make(1), make(2)
    rolled.split.filter(pod, NODES)

    rolled.split.preempt(pod, {"full": verb_results.Victims(("v",))})
    rolled.split.preempt(other, {"full": verb_results.Victims(("v",))})

    assert asked == [pod]


def test_prioritize_without_the_candidates_filter_is_the_engines():
    judging = world()
    rolled = Rolled(judging, APART)
    pod = make(1)
    names = judging.filter(pod, NODES).passing(NODES)

    scores = rolled.split.prioritize(pod, names)

    assert scores.tolist() == world().prioritize(pod, names).tolist()
    assert rolled.canary.counts.answered == 0


def raises(*_, **__):
    raise ZeroDivisionError("a fault of the candidate")


@pytest.mark.parametrize("verb", ["filter", "prioritize", "prepare", "preempt"])
def test_a_candidate_that_raises_is_rolled_back_and_the_policy_in_force_answers(monkeypatch, verb):
    rolled, alone = Rolled(world(), APART), world()
    monkeypatch.setattr(rolled.engine, verb, raises)

    for number in range(5):
        pod = make(number)
        found, names, scores = decide(rolled.split, pod)
        offered = {"full": verb_results.Victims(("v",))}
        assert rolled.split.preempt(pod, offered) == alone.preempt(pod, offered)
        assert len(scores) == len(names) == len(NODES) - len(found.failed)

    assert rolled.canary.state == canary.ROLLED_BACK
    assert rolled.canary.counts.failed == 2
    assert "ZeroDivisionError: a fault of the candidate" in rolled.steps[-1].why
    assert answers(decide(rolled.split, make(9))) == answers(decide(rolled.split, make(9)))


def test_a_candidate_that_fails_in_every_way_never_reaches_a_pod(monkeypatch):
    rolled, alone = Rolled(world(), APART, rollback={"errorRate": 1}), world()
    for verb in ("filter", "prioritize", "prepare", "preempt"):
        monkeypatch.setattr(rolled.engine, verb, raises)

    for number in range(5):
        pod = make(number)
        assert answers(decide(rolled.split, pod)) == answers(decide(alone, pod))

    assert rolled.canary.state == canary.ANSWERING


def test_a_candidate_that_is_slow_is_rolled_back_when_too_many_of_its_calls_are():
    rolled = Rolled(world(), APART, rollback={"calls": 20, "slowMilliseconds": 30, "slowRate": 0.1})
    decide(rolled.split, make(0))
    assert rolled.canary.state == canary.ANSWERING

    rolled.seconds = 0.05
    decide(rolled.split, make(1))

    assert rolled.canary.state == canary.ROLLED_BACK
    assert rolled.canary.counts.slow == 3
    assert "took more than 30 ms of processor time, the last one 50 ms" in rolled.steps[-1].why
    before = rolled.canary.counts.answered
    decide(rolled.split, make(2))
    assert rolled.canary.counts.answered == before


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 12), st.floats(0, 1))
def test_it_is_rolled_back_with_the_first_call_that_is_one_too_many(calls, most, rate):
    parsed = document.Canary(
        percent=1, rollback=document.Rollback(calls=most, error_rate=rate, slow_rate=1)
    )
    found = canary.CanaryRun(parsed, "hash", on_step=lambda _: None, wall=lambda: 0.0)
    found.answer()

    for number, failed in enumerate(calls):
        if failed:
            found.failed("filter", ZeroDivisionError())
        else:
            found.succeeded("filter", 0.0)
        seen = [sum(calls[max(n - most + 1, 0) : n + 1]) for n in range(number + 1)]
        assert found.rolled_back == any(count > rate * most for count in seen)


def loops(*_, **__):
    while True:
        pass


@pytest.mark.parametrize("verb", ["filter", "prioritize"])
def test_a_candidate_that_loops_is_stopped_rolled_back_and_the_pod_is_answered(monkeypatch, verb):
    limit = watchdog.Watchdog(0.05).limit
    rolled, alone = Rolled(world(), APART, limit=limit), world()
    monkeypatch.setattr(rolled.engine, verb, loops)

    found, names, scores = decide(rolled.split, make(1))

    assert len(scores) == len(names) == 2
    assert set(found.failed) == {"full"}
    assert rolled.canary.rolled_back
    assert rolled.halted == 1
    assert "was stopped" in rolled.steps[-1].why
    if verb == "filter":
        assert (names, scores.tolist()) == answers(decide(alone, make(1)))[2:]


def test_a_canary_that_was_rolled_back_stays_so():
    rolled = Rolled(world(), APART)
    rolled.canary.roll_back("by a test")

    rolled.canary.answer()
    rolled.canary.wait("by a test")
    rolled.canary.roll_back("again")

    assert [step.state for step in rolled.steps] == ["waiting", "answering", "rolled back"]


def test_a_pod_placed_by_one_policy_counts_under_the_other():
    judging = world()
    rolled = Rolled(judging, APART, percent=50)
    taken = next(make(n) for n in range(99) if chosen_pods.takes(rolled.canary.settings, make(n)))

    decide(rolled.split, taken)

    assert judging.index.reservations.of(taken.metadata.uid).node == "apart"
