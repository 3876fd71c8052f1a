"""What arrives, as kube-scheduler writes it, and as others might."""

import copy
import json

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.decisions.verb_results import Victims
from extender.errors import WireError
from extender.server import wire
from tests.kit import bodies


def lowered(value):
    if isinstance(value, dict):
        return {key.lower(): lowered(item) for key, item in value.items()}
    return [lowered(item) for item in value] if isinstance(value, list) else value


def test_names_are_read_in_the_order_asked():
    question = wire.question(bodies.body("01_filter_nodenames_dra_pod.request"))
    assert question.asked == wire.NodeNames(
        [f"gpu-h200-r00-n00{i}.eu-north1-a" for i in range(8)],
    )
    assert question.pod.metadata.name == "llm-train-worker-3"
    assert [claim.name for claim in question.pod.spec.resource_claims] == ["gpus", "rdma"]


@pytest.mark.parametrize("path", bodies.captured())
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
        assert question.asked == wire.NodeNames(sent["NodeNames"])
    else:
        names = [item["metadata"]["name"] for item in sent["Nodes"]["items"]]
        assert question.asked.names == names
        assert names


@pytest.mark.parametrize(
    "name",
    [
        "01_filter_nodenames_dra_pod.request",
        "02_filter_full_nodes_2.request",
        "05_filter_nodenames_extended_resource_pod.request",
    ],
)
def test_keys_in_any_case_read_the_same(name):
    exact = wire.question(bodies.body(name))
    whole = orjson.loads(bodies.body(name))
    upper = wire.question(orjson.dumps({key.upper(): value for key, value in whole.items()}))
    assert upper.pod == exact.pod
    assert upper.asked.names == exact.asked.names


def test_a_body_with_all_keys_lowercased_reads_the_same():
    sent = bodies.body("01_filter_nodenames_dra_pod.request")
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


def test_old_and_new_pods_are_read():
    old = b'{"Pod":{"metadata":{"name":"p","creationTimestamp":null,"labels":{"a":""}}}}'
    pod = wire.question(old).pod
    assert pod.metadata.creation_timestamp is None
    assert pod.metadata.labels == {"a": ""}
    grouped = wire.question(bodies.body("12_filter_nodenames_podgroup_pod_1.36.request")).pod
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


@pytest.mark.parametrize(
    ("sent", "victims"),
    [
        pytest.param(b'{"Pod":{},"NodeNameToVictims":{"n":null}}', {"n": Victims()}, id="null"),
        pytest.param(
            b'{"Pod":{},"NodeNameToVictims":{"n":{"Pods":null,"NumPDBViolations":2}}}',
            {"n": Victims((), 2)},
            id="nil slice of pods",
        ),
        pytest.param(
            b'{"Pod":{},"NodeNameToMetaVictims":{"n":{"Pods":[{"UID":"a"},{"UID":"b"},{"UID":"a"}]}}}',
            {"n": Victims(("a", "b"))},
            id="a pod twice",
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


# ---------------------------------------------------------------- null, as Go reads it

POD = {
    "metadata": {"name": "p", "namespace": "d", "uid": "u", "labels": {"a": "b"}},
    "spec": {
        "nodeName": "n",
        "schedulerName": "s",
        "priority": 1,
        "nodeSelector": {"k": "v"},
        "containers": [
            {
                "name": "c",
                "resources": {"limits": {"cpu": "1"}, "requests": {"nvidia.com/gpu": "1"}},
                "ports": [{"hostPort": 80}],
            }
        ],
        "resourceClaims": [{"name": "x", "resourceClaimName": "y"}],
        "tolerations": [{"key": "k", "operator": "Exists"}],
    },
    "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"},
}


def paths(value, path=()):
    """Where a value may be null: each member and element below it."""
    parts = value.items() if isinstance(value, dict) else ()
    for key, part in enumerate(value) if isinstance(value, list) else parts:
        yield (*path, key)
        yield from paths(part, (*path, key))


def with_null(value, path):
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = None
    return value


def sent(value):
    return json.dumps(value).encode()


@pytest.mark.parametrize("path", list(paths(POD)), ids=lambda path: ".".join(map(str, path)))
def test_null_anywhere_in_a_pod_is_read_as_go_does(path):
    pod = with_null(POD, path)
    asked = wire.question(sent({"Pod": pod, "NodeNames": ["a"]}))
    assert asked.asked.names == ["a"]
    assert wire.preemption(sent({"Pod": pod, "NodeNameToVictims": {}})).pod == asked.pod
    # What stands elsewhere is as it was.
    whole = msgspec.to_builtins(wire.question(sent({"Pod": POD, "NodeNames": []})).pod)
    inner, read = whole, msgspec.to_builtins(asked.pod)
    inner.pop(path[0])
    read.pop(path[0], None)
    assert read == inner


@pytest.mark.parametrize(
    "victims",
    [
        {"n": {"Pods": [{"UID": "a"}], "NumPDBViolations": None}},
        {"n": {"Pods": [{"UID": "a"}]}},
    ],
)
def test_null_in_victims_is_read_as_go_does(victims):
    read = wire.preemption(sent({"Pod": POD, "NodeNameToMetaVictims": victims}))
    assert read.victims == {"n": Victims(("a",), 0)}


def test_null_among_names_and_nodes_is_an_empty_name():
    named = wire.question(sent({"Pod": POD, "NodeNames": ["a", None]}))
    assert named.asked.names == ["a", ""]
    items = [{"metadata": {"name": "a"}}, {"metadata": None}]
    whole = wire.question(sent({"Pod": POD, "Nodes": {"items": items}}))
    assert whole.asked.names == ["a", ""]


def test_what_is_wrong_beside_a_null_is_still_refused():
    for pod in ({"metadata": {"name": 7, "uid": None}}, {"spec": {"containers": [None, 5]}}):
        with pytest.raises(WireError):
            wire.question(sent({"Pod": pod, "NodeNames": ["a"]}))
