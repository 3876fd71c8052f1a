"""What is answered, as kube-scheduler reads it."""

import re

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.decisions.verb_results import FilterResult, Victims
from extender.server import replies, wire
from tests.kit import bodies

KEYS = ["Nodes", "NodeNames", "FailedNodes", "FailedAndUnresolvableNodes", "Error"]
NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=30)


def test_the_model_answer_of_filter_is_met():
    asked = wire.question(bodies.body("01_filter_nodenames_dra_pod.request")).asked
    model = bodies.body("01_filter_nodenames_dra_pod.response")
    said = orjson.loads(model)
    answer = FilterResult(said["FailedNodes"], said["FailedAndUnresolvableNodes"])
    assert replies.filtered(asked, answer).body == model
    assert list(said) == KEYS


def test_the_model_answer_of_prioritize_is_met():
    names = wire.question(bodies.body("03_prioritize_nodenames_dra_pod.request")).asked.names
    model = bodies.body("03_prioritize_nodenames_dra_pod.response")
    scores = [entry["Score"] for entry in orjson.loads(model)]
    assert replies.priorities(names, scores) == model


def test_the_model_rejection_of_a_nominated_node_is_met():
    asked = wire.question(bodies.body("04_filter_single_nominated_node.request")).asked
    model = bodies.body("04_filter_single_nominated_node.response_reject")
    answer = FilterResult(failed=orjson.loads(model)["FailedNodes"])
    assert replies.filtered(asked, answer).body == model


def test_when_every_node_fits_the_maps_are_empty():
    answer = orjson.loads(replies.filtered(wire.NodeNames(["b", "a"]), FilterResult()).body)
    assert answer == {
        "Nodes": None,
        "NodeNames": ["b", "a"],
        "FailedNodes": {},
        "FailedAndUnresolvableNodes": {},
        "Error": "",
    }


def test_when_no_node_fits_the_names_are_an_empty_list():
    refused = FilterResult(failed={"a": "busy"}, unresolvable={"b": "no GPU"})
    answer = orjson.loads(replies.filtered(wire.NodeNames(["a", "b"]), refused).body)
    assert answer["NodeNames"] == []
    assert answer["FailedNodes"] == {"a": "busy"}
    assert answer["FailedAndUnresolvableNodes"] == {"b": "no GPU"}


def test_no_judgement_is_an_error_text_and_null_names():
    answer = orjson.loads(replies.no_judgement("still reading: Pod"))
    assert list(answer) == KEYS
    assert answer["Error"] == "still reading: Pod"
    assert answer["NodeNames"] is None
    assert answer["Nodes"] is None


@given(
    asked=NAMES,
    failed=st.dictionaries(st.text("abcd", max_size=2), st.just("busy"), max_size=8),
    final=st.dictionaries(st.text("abcd", max_size=2), st.just("never"), max_size=8),
)
def test_every_asked_name_is_answered_once_and_no_other(asked, failed, final):
    asked = list(dict.fromkeys([*asked, *list(failed)[:4], *list(final)[:4]]))
    answer = orjson.loads(replies.filtered(wire.NodeNames(asked), FilterResult(failed, final)).body)
    said = [
        *answer["NodeNames"],
        *answer["FailedNodes"],
        *answer["FailedAndUnresolvableNodes"],
    ]
    assert sorted(said) == sorted(asked)
    assert answer["NodeNames"] == [name for name in asked if name in set(answer["NodeNames"])]
    assert set(answer["FailedAndUnresolvableNodes"]) == set(final) & set(asked)


@given(NAMES, st.data())
def test_any_names_and_scores_come_back_from_the_wire(names, data):
    scores = data.draw(
        st.lists(
            st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(0, 10),
            min_size=len(names),
            max_size=len(names),
        )
    )
    answer = orjson.loads(replies.priorities(names, scores))
    assert answer == [{"Host": n, "Score": s} for n, s in zip(names, scores, strict=True)]
    assert orjson.loads(replies.priorities(names, np.array(scores, np.int64))) == answer


@given(st.lists(st.sampled_from([0, 0, 0, 1, 10]), min_size=129, max_size=300))
def test_of_many_nodes_those_without_a_score_are_left_out(scores):
    names = [f"n{place}" for place in range(len(scores))]
    answer = orjson.loads(replies.priorities(names, np.array(scores)))
    expected = [{"Host": n, "Score": s} for n, s in zip(names, scores, strict=True) if s]
    assert answer == expected


def test_no_scores_are_no_opinion():
    assert replies.priorities(["a", "b"], []) == b"[]"


def test_scores_of_any_integral_type_are_written_as_plain_integers():
    names = ["a", "b", "c", "d", "e"]
    scores = [7.0, True, np.int64(3), np.float64(10.0), np.int8(0)]
    text = replies.priorities(names, scores).decode()
    assert re.findall(r'"Score":([^}]*)\}', text) == ["7", "1", "3", "10", "0"]


@given(
    st.lists(st.integers(-100, 100) | st.integers(-(2**31), 2**31 - 1), min_size=1),
    st.sampled_from([np.int32, np.int64, np.float64]),
)
def test_arrays_of_scores_are_written_like_lists_of_them(scores, dtype):
    names = [f"n{place}" for place in range(len(scores))]
    assert replies.priorities(names, np.array(scores, dtype)) == replies.priorities(names, scores)


@pytest.mark.parametrize(
    "score",
    [
        pytest.param(7.5, id="fraction"),
        pytest.param(float("nan"), id="NaN"),
        pytest.param(float("inf"), id="infinity"),
        pytest.param(2**63, id="beyond int64"),
    ],
)
def test_a_score_that_go_would_refuse_is_never_written(score):
    with pytest.raises((ValueError, OverflowError)):
        replies.priorities(["a"], [score])


def test_an_array_with_no_number_in_it_is_never_written():
    with pytest.raises(ValueError, match="NaN"):
        replies.priorities(["a", "b"], np.array([1.0, np.nan]))


def test_scores_must_be_parallel_to_names():
    with pytest.raises(ValueError, match="1 scores for 2 nodes"):
        replies.priorities(["a", "b"], [1])


@pytest.mark.parametrize(
    "path",
    [
        *bodies.captured(verbs="filter", mode="nodes"),
        *bodies.captured(verbs="prioritize", mode="nodes"),
    ],
)
def test_whole_nodes_go_back_byte_for_byte(path):
    sent = path.read_bytes()
    asked = wire.question(sent).asked
    start = sent.index(b'"Nodes":') + len(b'"Nodes":')
    nodes = sent[start : sent.rindex(b',"NodeNames":null')]
    assert replies.filtered(asked, FilterResult()).body.startswith(
        b'{"Nodes":' + nodes + b',"NodeNames":null,'
    )


def test_only_the_passing_whole_nodes_go_back_each_unchanged():
    sent = bodies.body("02_filter_full_nodes_2.request")
    asked = wire.question(sent).asked
    first, second = asked.names
    answer = orjson.loads(replies.filtered(asked, FilterResult(failed={first: "busy"})).body)
    kept = orjson.loads(sent)["Nodes"]["items"][1]
    assert answer["Nodes"] == {"metadata": {}, "items": [kept]}
    assert (
        bytes(asked.items[1]) in replies.filtered(asked, FilterResult(failed={first: "busy"})).body
    )
    assert answer["NodeNames"] is None
    assert answer["FailedNodes"] == {first: "busy"}
    assert second == kept["metadata"]["name"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("08_preempt_meta_victims.request", id="meta"),
        pytest.param("09_preempt_full_victims.request", id="full"),
    ],
)
def test_victims_are_answered_by_uid_whichever_form_was_asked(name):
    preemption = wire.preemption(bodies.body(name))
    answer = replies.preemption(preemption.victims)
    model = orjson.loads(bodies.body("08_preempt_meta_victims.response"))
    for node, victims in model["NodeNameToMetaVictims"].items():
        assert orjson.loads(answer)["NodeNameToMetaVictims"][node] == victims
    assert list(orjson.loads(answer)) == ["NodeNameToMetaVictims"]


def test_a_node_without_victims_is_read_and_answered_as_an_empty_list():
    preemption = wire.preemption(bodies.body("10_preempt_meta_victims_empty_1.38.request"))
    assert any(not victims.pods for victims in preemption.victims.values())
    assert b"null" not in replies.preemption(preemption.victims)


def test_no_suitable_node_is_an_empty_map():
    assert replies.preemption({}) == b'{"NodeNameToMetaVictims":{}}'


@given(
    st.dictionaries(
        st.text("ab", max_size=3),
        st.builds(
            Victims, st.lists(st.text("uvw", max_size=3), unique=True).map(tuple), st.integers(0, 9)
        ),
    )
)
def test_a_preemption_answer_holds_no_null_and_reads_back(victims):
    sent = replies.preemption(victims)
    assert b"null" not in sent
    assert wire.preemption(b'{"Pod":{},' + sent[1:]).victims == victims
