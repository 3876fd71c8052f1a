"""filter, prioritize and preempt as a scheduler sees them, for a judge that goes by names."""

import logging

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.decisions.ticket import Ticket
from extender.decisions.verb_results import FilterResult, Victims
from extender.server import metrics, wire
from tests.kit.judge_stubs import NameJudge
from tests.kit.rigs.judged_verbs import args, service, value, whole


class Strange(NameJudge):
    """A judge that answers more than it was asked."""

    def filter(self, _pod, names):
        return FilterResult(
            failed={"never asked": "busy", names[0]: "busy"},
            unresolvable={names[0]: "no GPU", "nor this": "no GPU"},
        )

    def prioritize(self, _pod, names, _ticket=None):
        return [9.5 for _ in names]

    def preempt(self, _pod, victims):
        return {"never asked": Victims(("u",))} | {name: Victims() for name in victims}


def preemption(pod="gpu", **victims):
    named = {
        name.replace("_", "-"): {"Pods": [{"UID": uid} for uid in uids], "NumPDBViolations": 1}
        for name, uids in victims.items()
    }
    return orjson.dumps(
        {
            "Pod": {"metadata": {"name": pod}},
            "NodeNameToVictims": None,
            "NodeNameToMetaVictims": named,
        }
    )


def test_refused_nodes_are_listed_with_reasons_and_the_rest_passes():
    serving, _ = service()
    answer = orjson.loads(serving.filter(args("a", "busy-1", "never-1", "b")))
    assert answer["NodeNames"] == ["a", "b"]
    assert answer["FailedNodes"] == {"busy-1": "busy"}
    assert answer["FailedAndUnresolvableNodes"] == {"never-1": "no GPU"}
    assert answer["Error"] == ""


def test_a_name_asked_twice_is_answered_once():
    serving, _ = service()
    assert orjson.loads(serving.filter(args("a", "b", "a")))["NodeNames"] == ["a", "b"]
    assert [e["Host"] for e in orjson.loads(serving.prioritize(args("a", "b", "a")))] == ["a", "b"]
    plain = orjson.loads(serving.filter(args("a", "b", "a", pod="plain")))
    assert plain["NodeNames"] == ["a", "b"]


def test_a_pod_that_is_none_of_our_business_passes_without_being_judged():
    judge = NameJudge()
    serving, _ = service(judge)
    answer = orjson.loads(serving.filter(args("busy-1", "never-1", pod="plain")))
    assert answer["NodeNames"] == ["busy-1", "never-1"]
    assert serving.prioritize(args("a", "b", pod="plain")) == b"[]"
    unjudged = preemption("plain", busy_1=["u"])
    assert set(orjson.loads(serving.preempt(unjudged))["NodeNameToMetaVictims"]) == {"busy-1"}
    assert judge.asked == []


def test_whole_nodes_are_answered_in_kind():
    serving, _ = service()
    answer = orjson.loads(serving.filter(whole("a", "busy-1")))
    assert answer["Nodes"]["items"] == [{"metadata": {"name": "a", "managedFields": [1]}}]
    assert answer["NodeNames"] is None
    assert orjson.loads(serving.prioritize(whole("a", "slow-1"))) == [
        {"Host": "a", "Score": 9},
        {"Host": "slow-1", "Score": 2},
    ]


def test_a_single_name_gets_the_verdict_it_has_in_a_long_list():
    serving, _ = service()
    alone = orjson.loads(serving.filter(args("busy-1")))
    among = orjson.loads(serving.filter(args("a", "busy-1", "b")))
    assert alone["NodeNames"] == []
    assert alone["FailedNodes"] == among["FailedNodes"]


def test_an_unknown_name_passes_and_is_counted():
    serving, figures = service()
    assert orjson.loads(serving.filter(args("new-1", "new-2")))["NodeNames"] == ["new-1", "new-2"]
    assert value(figures, "railyard_unknown_nodes_total") == 2


def test_before_the_first_sync_filter_says_so_and_prioritize_has_no_opinion():
    serving, figures = service(NameJudge(waiting=("Pod", "ResourceSlice")))
    answer = orjson.loads(serving.filter(args("a")))
    assert answer["Error"] == "Railyard is still reading: Pod, ResourceSlice"
    assert answer["NodeNames"] is None
    assert serving.prioritize(args("a", "b")) == b"[]"
    kept = orjson.loads(serving.preempt(preemption(busy_1=["u"])))
    assert set(kept["NodeNameToMetaVictims"]) == {"busy-1"}
    for verb in metrics.VERBS:
        assert value(figures, "railyard_not_ready_total", verb=verb) == 1


def test_a_pod_that_asks_for_no_device_is_answered_before_the_first_sync():
    serving, figures = service(NameJudge(waiting=("Node",)))
    answer = orjson.loads(serving.filter(args("a", "busy-1", pod="plain")))
    assert (answer["Error"], answer["NodeNames"]) == ("", ["a", "busy-1"])
    assert serving.prioritize(args("a", "b", pod="plain")) == b"[]"
    kept = orjson.loads(serving.preempt(preemption("plain", busy_1=["u"])))
    assert set(kept["NodeNameToMetaVictims"]) == {"busy-1"}
    for verb in metrics.VERBS:
        assert value(figures, "railyard_not_ready_total", verb=verb) == 0


def test_a_fault_lets_every_node_through_and_is_counted_and_logged(caplog):
    serving, figures = service()
    with caplog.at_level(logging.ERROR):
        answer = orjson.loads(serving.filter(args("a", "busy-1", pod="fault")))
        assert answer["NodeNames"] == ["a", "busy-1"]
        assert answer["Error"] == ""
        assert serving.prioritize(args("a", "b", pod="fault")) == b"[]"
        kept = orjson.loads(serving.preempt(preemption("fault", busy_1=["u"])))
        assert kept["NodeNameToMetaVictims"]["busy-1"]["Pods"] == [{"UID": "u"}]
    assert [record.getMessage().split()[0] for record in caplog.records] == list(metrics.VERBS)
    assert "a fault of ours" in caplog.text
    for verb in metrics.VERBS:
        assert value(figures, "railyard_fail_open_total", verb=verb) == 1


def test_a_fault_that_meets_every_pod_is_logged_now_and_then(caplog):
    now = [0.0]
    serving, figures = service(clock=lambda: now[0])
    for seconds in (0, 1, 9.9, 10, 11):
        now[0] = float(seconds)
        serving.filter(args("a", pod="fault"))
    assert len(caplog.records) == 2
    assert value(figures, "railyard_fail_open_total", verb="filter") == 5


def test_nodes_never_asked_are_never_answered():
    serving, _ = service(Strange())
    answer = orjson.loads(serving.filter(args("a", "b")))
    assert answer["NodeNames"] == ["b"]
    assert answer["FailedNodes"] == {}
    assert answer["FailedAndUnresolvableNodes"] == {"a": "no GPU"}
    assert serving.preempt(preemption(a=["u"])) == b'{"NodeNameToMetaVictims":{}}'


def test_a_score_that_is_no_integer_becomes_no_opinion_and_is_counted():
    serving, figures = service(Strange())
    assert serving.prioritize(args("a", "b")) == b"[]"
    assert value(figures, "railyard_fail_open_total", verb="prioritize") == 1


def test_preempt_keeps_the_suitable_nodes_with_their_victims():
    serving, _ = service()
    answer = orjson.loads(serving.preempt(preemption(fits_1=["u", "v"], busy_1=["w"])))
    assert answer == {
        "NodeNameToMetaVictims": {
            "fits-1": {"Pods": [{"UID": "u"}, {"UID": "v"}], "NumPDBViolations": 1}
        }
    }


def test_preempt_of_unsuitable_nodes_answers_an_empty_map():
    serving, _ = service()
    assert serving.preempt(preemption(busy_1=["w"])) == b'{"NodeNameToMetaVictims":{}}'


def test_an_empty_victim_list_goes_back_only_where_it_came():
    class Sparing(NameJudge):
        def preempt(self, _pod, victims):
            return {name: Victims() for name in victims}

    serving, _ = service(Sparing())
    answer = orjson.loads(serving.preempt(preemption(came_empty=[], came_full=["u"])))
    assert list(answer["NodeNameToMetaVictims"]) == ["came-empty"]


class Keeping(NameJudge):
    """Hands over the list of passing names that it has at hand, and vouches that none repeats."""

    def filter(self, pod, names):
        found = super().filter(pod, names)
        self.kept = found.passing(names)
        return FilterResult(
            found.failed,
            found.unresolvable,
            ticket=Ticket(pod, self.kept),
            distinct=len(set(names)) == len(names),
        )


def test_the_list_that_the_judge_kept_is_what_it_is_asked_to_score():
    judge = Keeping()
    serving, _ = service(judge)
    answer = orjson.loads(serving.filter(args("a", "busy-1", "b")))
    assert answer["NodeNames"] == ["a", "b"]
    serving.prioritize(args("a", "b"))
    assert judge.asked[-1][2] is judge.kept


def test_a_judge_that_saw_a_repeated_name_is_asked_again_without_it():
    judge = Keeping()
    serving, _ = service(judge)
    answer = orjson.loads(serving.filter(args("a", "busy-1", "a", "busy-1")))
    assert answer["NodeNames"] == ["a"]
    assert [names for _, _, names in judge.asked] == [
        ["a", "busy-1", "a", "busy-1"],
        ["a", "busy-1"],
    ]


def test_names_kept_beyond_those_asked_are_not_let_through():
    class Inventive(NameJudge):
        def filter(self, pod, names):
            ticket = Ticket(pod, [*names, "never asked"])
            return FilterResult({names[0]: "busy"}, ticket=ticket, distinct=True)

    serving, _ = service(Inventive())
    assert orjson.loads(serving.filter(args("a", "b")))["NodeNames"] == ["b"]


NODES = st.lists(
    st.sampled_from(["a", "busy-1", "never-1", "slow-1", "new-1", 'a"b', "c\\d"]) | st.text("xy"),
    max_size=8,
    unique=True,
)


@given(NODES, st.randoms(use_true_random=False))
def test_the_order_of_names_changes_no_verdict_and_no_score(names, random):
    serving, _ = service()
    shuffled = random.sample(names, len(names))

    def verdicts(asked):
        answer = orjson.loads(serving.filter(args(*asked)))
        scores = orjson.loads(serving.prioritize(args(*asked)))
        return (
            set(answer["NodeNames"]),
            answer["FailedNodes"],
            answer["FailedAndUnresolvableNodes"],
            {entry["Host"]: entry["Score"] for entry in scores},
        )

    assert verdicts(names) == verdicts(shuffled)


@given(NODES, NODES, st.sampled_from(["gpu", "plain", "fault"]))
def test_prioritize_after_filter_answers_as_it_would_on_its_own(names, others, pod):
    serving, _ = service()
    passing = orjson.loads(serving.filter(args(*names)))["NodeNames"]
    for asked in (passing, others, [*passing, "z"], passing[:-1]):
        fresh, _ = service()
        assert serving.prioritize(args(*asked, pod=pod)) == fresh.prioritize(args(*asked, pod=pod))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda body: body[:-1], id="cut"),
        pytest.param(lambda body: body[:-1] + b"]", id="closed otherwise"),
        pytest.param(lambda body: body[1:], id="never opened"),
        pytest.param(lambda body: body.replace(b',"NodeNames"', b'"NodeNames"'), id="no comma"),
        pytest.param(lambda body: body.replace(b',"NodeNames"', b',\\"NodeNames"'), id="escaped"),
        pytest.param(lambda body: body.replace(b'"gpu"', b"7"), id="a pod that cannot be"),
    ],
)
def test_the_names_known_from_filter_excuse_no_malformed_body(spoil):
    serving, _ = service()
    serving.filter(args("a", "b"))
    with pytest.raises(wire.WireError):
        serving.prioritize(spoil(args("a", "b")))


def test_a_known_list_of_names_is_not_decoded_again():
    judge = NameJudge()
    serving, _ = service(judge)
    serving.filter(args("a", "busy-1", "b"))
    serving.prioritize(args("a", "b"))
    serving.prioritize(args("a", "b"))
    first, second = (names for verb, _, names in judge.asked if verb == "prioritize")
    assert first is second
    assert first == ["a", "b"]


def test_a_pod_that_is_only_scored_is_scored_on_the_names_it_passed_with():
    class Scoring(NameJudge):
        def scores(self, _pod):
            return True

    judge = Scoring()
    serving, _ = service(judge)
    serving.filter(args("a", "busy-1", pod="plain"))
    answer = orjson.loads(serving.prioritize(args("a", "busy-1", pod="plain")))
    assert [entry["Host"] for entry in answer] == ["a", "busy-1"]
    assert [verb for verb, _, _ in judge.asked] == ["prioritize"]


def test_nodes_per_request_are_counted():
    serving, figures = service()
    serving.filter(args("a", "b"))
    serving.prioritize(args("a", "b"))
    assert value(figures, "railyard_request_nodes_sum", verb="filter") == 2
    assert value(figures, "railyard_request_nodes_count", verb="prioritize") == 1
