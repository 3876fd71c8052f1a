"""Bodies in, bodies out: extender/v1 as kube-scheduler writes and reads it."""

import re

import conftest
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.decisions.answers import Filtered, Victims
from extender.errors import WireError
from extender.server import replies, wire

KEYS = ["Nodes", "NodeNames", "FailedNodes", "FailedAndUnresolvableNodes", "Error"]
NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=30)


@pytest.fixture
def body(golden):
    return lambda name: (golden / "wire" / f"{name}.json").read_bytes()


CAPTURED = sorted((conftest.GOLDEN / "wire" / "captured").glob("*/*.json"))


def captured(*, verbs="*", mode="*"):
    return [
        pytest.param(path, id=f"{path.parent.name}/{path.stem}")
        for path in CAPTURED
        if path.match(f"{verbs}-{mode}-*.json")
    ]


def lowered(value):
    if isinstance(value, dict):
        return {key.lower(): lowered(item) for key, item in value.items()}
    return [lowered(item) for item in value] if isinstance(value, list) else value


# ---------------------------------------------------------------- what arrives


def test_names_are_read_in_the_order_asked(body):
    question = wire.question(body("01_filter_nodenames_dra_pod.request"))
    assert question.asked == wire.Names(
        [f"gpu-h200-r00-n00{i}.eu-north1-a" for i in range(8)],
    )
    assert question.pod.metadata.name == "llm-train-worker-3"
    assert [claim.name for claim in question.pod.spec.resource_claims] == ["gpus", "rdma"]


@pytest.mark.parametrize("path", captured())
def test_every_body_that_real_schedulers_sent_is_read(path):
    sent = orjson.loads(path.read_bytes())
    if path.name.startswith("preempt"):
        preemption = wire.preemption(path.read_bytes())
        asked = sent["NodeNameToMetaVictims"] or sent["NodeNameToVictims"]
        assert preemption.pod.metadata.name == sent["Pod"]["metadata"]["name"]
        assert preemption.victims.keys() == asked.keys()
        for name, victims in preemption.victims.items():
            pods = asked[name]["Pods"]
            uids = [pod["UID"] if "UID" in pod else pod["metadata"]["uid"] for pod in pods]
            assert list(victims.pods) == uids
            assert uids
        return
    question = wire.question(path.read_bytes())
    assert question.pod.metadata.uid == sent["Pod"]["metadata"]["uid"]
    if sent["NodeNames"] is not None:
        assert question.asked == wire.Names(sent["NodeNames"])
    else:
        names = [item["metadata"]["name"] for item in sent["Nodes"]["items"]]
        assert question.asked.names == names
        assert names


@pytest.mark.parametrize(
    "path", [*captured(verbs="filter", mode="nodes"), *captured(verbs="prioritize", mode="nodes")]
)
def test_whole_nodes_go_back_byte_for_byte(path):
    sent = path.read_bytes()
    asked = wire.question(sent).asked
    start = sent.index(b'"Nodes":') + len(b'"Nodes":')
    nodes = sent[start : sent.rindex(b',"NodeNames":null')]
    assert replies.filtered(asked, Filtered()).body.startswith(
        b'{"Nodes":' + nodes + b',"NodeNames":null,'
    )


def test_only_the_passing_whole_nodes_go_back_each_unchanged(body):
    sent = body("02_filter_full_nodes_2.request")
    asked = wire.question(sent).asked
    first, second = asked.names
    answer = orjson.loads(replies.filtered(asked, Filtered(failed={first: "busy"})).body)
    kept = orjson.loads(sent)["Nodes"]["items"][1]
    assert answer["Nodes"] == {"metadata": {}, "items": [kept]}
    assert bytes(asked.items[1]) in replies.filtered(asked, Filtered(failed={first: "busy"})).body
    assert answer["NodeNames"] is None
    assert answer["FailedNodes"] == {first: "busy"}
    assert second == kept["metadata"]["name"]


@pytest.mark.parametrize(
    "name",
    [
        "01_filter_nodenames_dra_pod.request",
        "02_filter_full_nodes_2.request",
        "05_filter_nodenames_extended_resource_pod.request",
    ],
)
def test_keys_in_any_case_read_the_same(body, name):
    exact = wire.question(body(name))
    whole = orjson.loads(body(name))
    upper = wire.question(orjson.dumps({key.upper(): value for key, value in whole.items()}))
    assert upper.pod == exact.pod
    assert upper.asked.names == exact.asked.names


def test_a_body_with_all_keys_lowercased_reads_the_same(body):
    sent = body("01_filter_nodenames_dra_pod.request")
    whole = lowered(orjson.loads(sent))
    again = wire.question(orjson.dumps(whole))
    exact = wire.question(sent)
    assert again.asked == exact.asked
    assert again.pod.spec.resource_claims == exact.pod.spec.resource_claims
    assert again.pod.status == exact.pod.status
    assert again.pod.metadata.uid == exact.pod.metadata.uid


def test_lowercased_keys_inside_nodes_are_read_too():
    sent = b'{"pod":{},"NODES":{"ITEMS":[{"METADATA":{"NAME":"a"}},{"metadata":{"name":"b"}}]}}'
    asked = wire.question(sent).asked
    assert asked.names == ["a", "b"]
    assert bytes(asked.items[0]) == b'{"METADATA":{"NAME":"a"}}'


def test_keys_of_maps_keep_their_case():
    sent = b'{"pod":{"metadata":{"labels":{"Team":"x","team":"y"}}},"nodenames":["A","a"]}'
    question = wire.question(sent)
    assert question.pod.metadata.labels == {"Team": "x", "team": "y"}
    assert question.asked.names == ["A", "a"]


def test_the_later_of_two_spellings_counts():
    assert wire.question(b'{"pod":{},"nodenames":["a"],"NODENAMES":["b"]}').asked.names == ["b"]


@pytest.mark.parametrize(
    ("sent", "names"),
    [
        pytest.param(b'{"Pod":{},"Nodes":null,"NodeNames":[]}', [], id="no names"),
        pytest.param(b'{"Pod":{},"Nodes":null,"NodeNames":null}', [], id="both null"),
        pytest.param(b'{"Pod":{}}', [], id="both absent"),
        pytest.param(b'{"Pod":{},"Nodes":{"items":null}}', [], id="items null"),
        pytest.param(b'{"Pod":{},"Nodes":{"metadata":{},"items":[]}}', [], id="no items"),
        pytest.param(b'{"Pod":{},"NodeNames":["b","a","b"]}', ["b", "a"], id="a name twice"),
        pytest.param(b'{"Pod":{},"NodeNames":["a"],"NodeNames":["b"]}', ["b"], id="a key twice"),
        pytest.param(b'{"Pod":{},"NodeNames":["\\u003ca\\u003e"]}', ["<a>"], id="Go's escapes"),
        pytest.param('{"Pod":{},"NodeNames":["nœud"]}'.encode(), ["nœud"], id="not ASCII"),
        pytest.param(b'{"Pod":{},"Later":{"x":[1]},"NodeNames":["a"]}', ["a"], id="unknown key"),
        pytest.param(
            b'{"Pod":{},"Nodes":{"items":[{"metadata":{"name":"a"}}]},"NodeNames":["b"]}',
            ["b"],
            id="both given: by name",
        ),
        pytest.param(
            b'{"Pod":{},"Nodes":{"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"a"}}]}}',
            ["a"],
            id="a whole node twice",
        ),
    ],
)
def test_odd_but_valid_bodies_are_read(sent, names):
    assert wire.question(sent).asked.once().names == names


def test_old_and_new_pods_are_read(body):
    old = b'{"Pod":{"metadata":{"name":"p","creationTimestamp":null,"labels":{"a":""}}}}'
    pod = wire.question(old).pod
    assert pod.metadata.creation_timestamp is None
    assert pod.metadata.labels == {"a": ""}
    grouped = wire.question(body("12_filter_nodenames_podgroup_pod_1.36.request")).pod
    assert grouped.spec.scheduling_group.pod_group_name


DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="array"),
        pytest.param(b"{}", id="no pod"),
        pytest.param(b'{"Pod":null,"NodeNames":["a"]}', id="null pod"),
        pytest.param(b'{"Pod":[],"NodeNames":["a"]}', id="pod of another type"),
        pytest.param(b'{"Pod":{},"NodeNames":"a"}', id="names no list"),
        pytest.param(b'{"Pod":{},"NodeNames":[1]}', id="a name no string"),
        pytest.param(b'{"Pod":{},"NodeNames":[null]}', id="a name null"),
        pytest.param(b'{"Pod":{},"Nodes":[{"metadata":{"name":"a"}}]}', id="nodes a bare list"),
        pytest.param(b'{"Pod":{},"Nodes":{"items":[7]}}', id="a node no object"),
        pytest.param(b'{"Pod":{},"NodeNames":["a"]', id="cut"),
        pytest.param(b'{"Pod":{},"NodeNames":["a"]}}', id="trailing brace"),
        pytest.param(b'{"Pod":{},"NodeNames":["a"]} {}', id="second document"),
        pytest.param(b'\xef\xbb\xbf{"Pod":{},"NodeNames":["a"]}', id="byte order mark"),
        pytest.param(b'{"Pod":{"metadata":{"name":"\xff"}},"NodeNames":["a"]}', id="not UTF-8"),
        pytest.param(b'{"Pod":{},"NodeNames":["\xff"]}', id="a name not UTF-8"),
        pytest.param(b'{"Pod":{"spec":{"priority":NaN}},"NodeNames":["a"]}', id="NaN"),
        pytest.param(b'{"Pod":{"spec":{"priority":1e400}},"NodeNames":["a"]}', id="too large"),
        pytest.param(b'{"Pod":' + DEEP + b',"NodeNames":["a"]}', id="deep pod"),
        pytest.param(b'{"Pod":{},"Later":' + DEEP + b"}", id="deep unknown"),
        pytest.param(b'{"pod":{"x":' + DEEP + b'},"nodenames":["a"]}', id="deep, any case"),
        pytest.param(b'{"pod":[],"nodenames":["a"]}', id="wrong type, any case"),
        pytest.param(b'{"pod":{},"nodenames":[1]}', id="wrong names, any case"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_short_400(sent):
    with pytest.raises(WireError) as refused:
        wire.question(sent)
    assert refused.value.status == 400
    assert 0 < len(str(refused.value)) <= 200


def readable(read, sent):
    try:
        read(sent)
    except WireError as refused:
        return refused.status == 400
    return True


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_a_400(noise):
    for read in (wire.question, wire.preemption):
        assert readable(read, noise)
        assert readable(read, b'{"Pod":{},"NodeNames":' + noise + b"}")


# ---------------------------------------------------------------- what is answered


def test_the_model_answer_of_filter_is_met(body):
    asked = wire.question(body("01_filter_nodenames_dra_pod.request")).asked
    model = body("01_filter_nodenames_dra_pod.response")
    said = orjson.loads(model)
    answer = Filtered(said["FailedNodes"], said["FailedAndUnresolvableNodes"])
    assert replies.filtered(asked, answer).body == model
    assert list(said) == KEYS


def test_the_model_answer_of_prioritize_is_met(body):
    names = wire.question(body("03_prioritize_nodenames_dra_pod.request")).asked.names
    model = body("03_prioritize_nodenames_dra_pod.response")
    scores = [entry["Score"] for entry in orjson.loads(model)]
    assert replies.priorities(names, scores) == model


def test_the_model_rejection_of_a_nominated_node_is_met(body):
    asked = wire.question(body("04_filter_single_nominated_node.request")).asked
    model = body("04_filter_single_nominated_node.response_reject")
    answer = Filtered(failed=orjson.loads(model)["FailedNodes"])
    assert replies.filtered(asked, answer).body == model


def test_when_every_node_fits_the_maps_are_empty():
    answer = orjson.loads(replies.filtered(wire.Names(["b", "a"]), Filtered()).body)
    assert answer == {
        "Nodes": None,
        "NodeNames": ["b", "a"],
        "FailedNodes": {},
        "FailedAndUnresolvableNodes": {},
        "Error": "",
    }


def test_when_no_node_fits_the_names_are_an_empty_list():
    refused = Filtered(failed={"a": "busy"}, unresolvable={"b": "no GPU"})
    answer = orjson.loads(replies.filtered(wire.Names(["a", "b"]), refused).body)
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
    answer = orjson.loads(replies.filtered(wire.Names(asked), Filtered(failed, final)).body)
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


# ---------------------------------------------------------------- preempt


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("08_preempt_meta_victims.request", id="meta"),
        pytest.param("09_preempt_full_victims.request", id="full"),
    ],
)
def test_victims_are_answered_by_uid_whichever_form_was_asked(body, name):
    preemption = wire.preemption(body(name))
    answer = replies.preemption(preemption.victims)
    model = orjson.loads(body("08_preempt_meta_victims.response"))
    for node, victims in model["NodeNameToMetaVictims"].items():
        assert orjson.loads(answer)["NodeNameToMetaVictims"][node] == victims
    assert list(orjson.loads(answer)) == ["NodeNameToMetaVictims"]


def test_a_node_without_victims_is_read_and_answered_as_an_empty_list(body):
    preemption = wire.preemption(body("10_preempt_meta_victims_empty_1.38.request"))
    assert any(not victims.pods for victims in preemption.victims.values())
    assert b"null" not in replies.preemption(preemption.victims)


def test_no_suitable_node_is_an_empty_map():
    assert replies.preemption({}) == b'{"NodeNameToMetaVictims":{}}'


@pytest.mark.parametrize(
    ("sent", "victims"),
    [
        pytest.param(b'{"Pod":{},"NodeNameToVictims":{"n":null}}', {"n": Victims()}, id="null"),
        pytest.param(
            b'{"Pod":{},"NodeNameToVictims":{"n":{"Pods":null,"NumPDBViolations":2}}}',
            {"n": Victims((), 2)},
            id="nil slice of pods",
        ),
        pytest.param(b'{"Pod":{},"NodeNameToMetaVictims":{}}', {}, id="no node"),
        pytest.param(b'{"Pod":{}}', {}, id="neither map"),
        pytest.param(
            b'{"pod":{},"nodenametometavictims":{"N":{"pods":[{"uid":"U"}]}}}',
            {"N": Victims(("U",))},
            id="any case",
        ),
    ],
)
def test_odd_but_valid_preemptions_are_read(sent, victims):
    assert wire.preemption(sent).victims == victims


@given(
    st.dictionaries(
        st.text("ab", max_size=3),
        st.builds(Victims, st.lists(st.text("uvw", max_size=3)).map(tuple), st.integers(0, 9)),
    )
)
def test_a_preemption_answer_holds_no_null_and_reads_back(victims):
    sent = replies.preemption(victims)
    assert b"null" not in sent
    body = b'{"Pod":{},' + sent[1:]
    assert wire.preemption(body).victims == victims
