"""A right reply for the load test: anything that would mislead a kube-scheduler is not one."""

import itertools
import json

import hypothesis
import pytest
from hypothesis import strategies as st

from loadtests.traffic import answers

ASKED = ["a", "b", "c"]


def reply(passing=("a", "b"), failed=("c",), unresolvable=(), **fields):
    return {
        "Nodes": None,
        "NodeNames": list(passing),
        "FailedNodes": dict.fromkeys(failed, "busy"),
        "FailedAndUnresolvableNodes": dict.fromkeys(unresolvable, "no GPU"),
        "Error": "",
        **fields,
    }


WRONG = {
    "an Error": (reply(Error="not ready"), "Error: not ready"),
    "a missing name": (reply(failed=()), "1 nodes are missing from the reply (such as c)"),
    "a name more": (reply(failed=("c", "d")), "in the reply, and were not asked about (such as d)"),
    "a name twice": (reply(failed=("c", "b")), "twice"),
    "a name twice in a list": (reply(passing=("a", "a", "b")), "twice"),
    "a list": ([], "an object is none"),
    "null": (None, "an object is none"),
}


@pytest.mark.parametrize(("body", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_filter_reply_says_what_is_wrong(body, words):
    with pytest.raises(answers.WrongAnswer) as caught:
        answers.passing(body, ASKED)

    assert words in str(caught.value)


def test_the_passing_nodes_are_reported_by_names_or_by_whole_nodes():
    whole = {"items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]}

    assert answers.passing(reply(), ASKED) == ["a", "b"]
    assert answers.passing(reply(Nodes=whole, NodeNames=None), ASKED) == ["a", "b"]


def test_lists_that_go_leaves_out_are_empty():
    assert answers.passing({"NodeNames": ASKED}, ASKED) == ASKED


@hypothesis.given(st.lists(st.sampled_from(["passes", "failed", "unresolvable", "lost"])))
def test_a_filter_reply_is_right_where_each_node_is_reported_once(verdicts):
    names = [f"n{number}" for number in range(len(verdicts))]
    reported = {
        verdict: [name for name, each in zip(names, verdicts, strict=True) if each == verdict]
        for verdict in ("passes", "failed", "unresolvable")
    }
    body = reply(reported["passes"], reported["failed"], reported["unresolvable"])

    if "lost" in verdicts:
        with pytest.raises(answers.WrongAnswer, match="missing"):
            answers.passing(body, names)
    else:
        assert answers.passing(body, names) == reported["passes"]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, b"{}", "status 500"),
        (0, b"", "no reply"),
        (200, b'{"NodeNames": ["a"', "invalid JSON"),
        (200, b"", "invalid JSON"),
    ],
)
def test_what_is_no_json_with_status_200_is_a_failure(status, body, words):
    with pytest.raises(answers.WrongAnswer, match=words):
        answers.decoded(status, body)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [{"Host": "x", "Score": 1}],
        [{"Host": "a", "Score": "1"}],
        [{"Host": "a", "Score": -1}],
        [{"Host": "a", "Score": 1.5}],
        [{"Host": "a", "Score": True}],
        [{"Host": "a"}],
        [{"Host": "a", "Score": 1}, {"Host": "a", "Score": 2}],
        [None],
    ],
    ids=json.dumps,
)
def test_wrong_scores_are_refused(body):
    with pytest.raises(answers.WrongAnswer):
        answers.check_scores(body, ASKED)


def test_scores_may_leave_nodes_out():
    for count in range(4):
        for hosts in itertools.combinations(ASKED, count):
            answers.check_scores([{"Host": host, "Score": 100} for host in hosts], ASKED)


def test_victims_are_of_the_nodes_offered():
    offered = {"a": ["u1", "u2"], "b": ["u3"]}

    answers.check_victims({"NodeNameToMetaVictims": {"a": {"Pods": [{"UID": "u1"}]}}}, offered)
    answers.check_victims({"NodeNameToMetaVictims": {}}, offered)
    for wrong in (
        {"NodeNameToMetaVictims": {"c": {"Pods": []}}},
        {"NodeNameToMetaVictims": {"a": {"Pods": [{"UID": ""}]}}},
        {"NodeNameToMetaVictims": {"a": None}},
        {"NodeNameToMetaVictims": None},
        {},
        [],
    ):
        with pytest.raises(answers.WrongAnswer):
            answers.check_victims(wrong, offered)
