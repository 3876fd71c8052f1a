"""A candidate policy judges what was decided, counts, and changes no answer."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from extender.policy import config
from extender.shadow import budget, candidate, report, shadow
from tests.kit.builders import make_class, make_pod, make_template
from tests.kit.worlds import GPU, NIC, engine, feed, held, p4d

NODES = ["aligned", "apart", "full"]


def policy(**sections):
    return config.parse(sections, source="a test")


NO_LOCALITY = policy(profiles=[{"name": "default", "locality": {"weight": 0}}])
OTHER_PACKING = policy(packing={"machineReserve": 0.5}, cpuPods="Ignore")


def world(active=config.DEFAULT):
    """Three p4d: `aligned` idle, `apart` with its first NIC taken, `full` without a free GPU."""
    judging = engine(active)
    for name in NODES:
        feed(judging, *p4d(name))
    feed(judging, make_class(GPU), make_class(NIC))
    feed(judging, held("apart", "nic-0"), held("full", *(f"gpu-{n}" for n in range(8))))
    feed(judging, make_template("gpu-nic").request("gpu", GPU).request("nic", NIC))
    return judging


def follow(judging, tried, *, now=lambda: 0.0, spent=lambda: 0.0):
    within = budget.Budget(now, spent)
    trying = candidate.CandidatePolicy(judging, tried)
    return shadow.Shadow(judging, trying, wall=lambda: 1.5e9, within=within)


def decide(judging, number=1):
    pod = make_pod(f"p{number}").uid(f"u{number}").template("gpu-nic").obj()
    found = judging.filter(pod, NODES)
    names = found.passing(NODES)
    return found, names, judging.prioritize(pod, names, found.ticket)


def settled(following):
    for _ in range(1000):
        following.settle()
        if following.candidate.ready:
            return
    raise AssertionError


def test_the_policy_in_force_agrees_with_itself():
    judging = world()
    following = follow(judging, policy())
    settled(following)

    decide(judging)
    judging.settle()

    sums = following.report.sums
    assert (sums.judged, sums.agreed, sums.regret_active, sums.failed) == (1, 1, 0.0, 0)
    assert not following.report.differences


def test_a_candidate_that_would_choose_another_node_is_reported_with_its_reasons():
    judging = world()
    following = follow(judging, NO_LOCALITY)
    settled(following)

    _, names, scores = decide(judging)
    judging.settle()

    (found,) = following.report.differences
    assert (found.pod, found.active) == ("default/p1", names[int(scores.argmax())])
    assert found.candidate != found.active
    assert found.regret_active > 0
    assert "packing" in found.parts or "preference" in found.parts
    sums = following.report.sums
    assert sums.locality_candidate > sums.locality_active
    assert found.as_json()["candidate"] == "apart"


def test_a_candidate_rests_after_its_work_and_decisions_meanwhile_are_skipped():
    judging = world()
    time, spent = [0.0], itertools.count()
    following = follow(judging, policy(), now=lambda: time[0], spent=lambda: float(next(spent)))

    for number in range(3):
        decide(judging, number)
        judging.settle()
    assert (following.report.sums.judged, following.report.sums.skipped) == (1, 2)
    assert following.cpu_seconds == 1.0

    time[0] = 150.0
    decide(judging, 4)
    judging.settle()
    assert (following.report.sums.judged, following.report.sums.skipped) == (2, 2)


def test_a_decision_out_of_a_burst_stands_for_those_that_were_skipped():
    reported = report.ShadowReport()

    reported.judge(agree=True)
    for _ in range(8):
        reported.skip()
    reported.judge(agree=False)

    found = reported.sums.as_json()
    assert (found["agreement"], found["agreementOfAll"]) == (0.5, 0.1)


def test_a_candidate_with_a_larger_share_rests_less():
    spent = itertools.count()
    time = [0.0]
    within = budget.Budget(lambda: time[0], lambda: float(next(spent)), percent=10.0)
    within.called = True

    within.charge(lambda: None)

    time[0] = 8.9
    assert not within.free
    time[0] = 9.0
    assert within.free


def test_pods_are_placed_in_the_hypothetical_clusters_once_nobody_calls():
    judging = world()
    judging.settle()
    following = follow(judging, NO_LOCALITY)
    while following.learning:
        following.settle()

    decide(judging)
    judging.settle()
    following.settle()  # a call came since the turn before
    assert following.projections.waiting == 1
    following.settle()

    assert following.projections.waiting == 0
    assert following.projections.as_json()["active"]["placed"] == 1


def test_a_node_full_by_what_is_reserved_is_none_that_the_candidate_refuses():
    judging = world()
    following = follow(judging, NO_LOCALITY)
    settled(following)

    for number in range(9):  # more than `aligned` has, none of which is bound yet
        decide(judging, number)
        judging.settle()

    assert following.report.sums.judged > 1
    assert following.report.sums.refused == 0


def test_a_candidate_rests_less_while_no_calls_come():
    time, spent = [0.0], itertools.count()
    within = budget.Budget(lambda: time[0], lambda: float(next(spent)))

    for called, rest in ((True, 141.9), (False, 15.7)):
        within.called, began = called, time[0]
        within.charge(lambda: None)
        time[0] = began + rest - 0.1
        assert not within.free
        time[0] = began + rest
        assert within.free


def test_a_candidate_that_packs_otherwise_prices_by_itself():
    judging = world()
    for number in range(20):
        feed(judging, make_pod(f"seen{number}").uid(f"s{number}").template("gpu-nic"))
    judging.settle()
    following = follow(judging, OTHER_PACKING)
    assert following.candidate.prices_itself
    assert not following.candidate.ready

    settled(following)
    decide(judging)
    judging.settle()

    assert following.report.sums.judged == 1
    assert following.candidate.engine.pricer is judging.pricer


def test_a_candidate_that_raises_is_counted_and_after_ten_faults_left_alone(monkeypatch):
    judging = world()
    following = follow(judging, policy())
    settled(following)

    def fault(*_):
        raise ZeroDivisionError("a fault of the candidate")

    monkeypatch.setattr(following.candidate, "score", fault)
    for number in range(shadow.MOST_FAULTS + 3):
        decide(judging, number)
        judging.settle()

    assert following.stopped
    assert following.report.sums.failed == shadow.MOST_FAULTS
    assert following.report.fault == "ZeroDivisionError: a fault of the candidate"


def test_nodes_that_the_candidate_would_refuse_are_counted():
    strict = policy(profiles=[{"name": "default", "locality": {"mode": "Required"}}])
    judging = world()
    following = follow(judging, strict)
    settled(following)

    found, _, _ = decide(judging)
    judging.settle()

    assert "apart" not in found.failed
    assert (following.report.sums.refused, following.report.sums.refusing) == (1, 1)


def test_a_candidate_detached_hears_no_more():
    judging = world()
    before = judging.recorder
    following = follow(judging, policy())

    following.detach()
    decide(judging)

    assert judging.recorder is before
    judging.settle()
    assert (following.report.sums.judged, following.report.sums.skipped) == (0, 0)


def test_what_needs_another_engine_is_named():
    tried = policy(kubernetesVersion="1.35", stepBudget=9000)

    assert candidate.CandidatePolicy(world(), tried).not_tried() == (
        "kubernetesVersion",
        "stepBudget",
    )


def test_a_report_keeps_the_last_differences_only():
    found = report.ShadowReport()

    for number in range(report.MOST_DIFFERENCES + 5):
        found.differences.append(report.PolicyDifference(number, "d/p", "a", "b", 0.0, 0.0, {}))

    assert next(each.when for each in found.differences) == 5


CALLS = st.lists(st.sampled_from(["decide", "judge", "settle"]), max_size=12)


@settings(max_examples=25)
@given(CALLS, st.sampled_from([NO_LOCALITY, OTHER_PACKING, policy()]))
def test_with_a_candidate_all_answers_are_those_without(calls, tried):
    alone, judging = world(), world()
    following = follow(judging, tried)

    for number, call in enumerate(calls):
        if call == "decide":
            (first, names, scores), (second, others, found) = (
                decide(each, number) for each in (alone, judging)
            )
            assert (names, scores.tolist()) == (others, found.tolist())
            assert (first.failed, first.unresolvable) == (second.failed, second.unresolvable)
        elif call == "judge":
            judging.settle()
        else:
            following.settle()
    assert following.report.fault == ""
