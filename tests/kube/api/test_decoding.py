"""A usual line is decoded at once; every other one is looked at closely."""

import msgspec
import pytest

from extender.kube.api import decoding, objects
from tests.kit import builders

POD = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {"name": "p", "namespace": "ns", "resourceVersion": "7"},
    "spec": {"nodeName": "a", "containers": [{"name": "c", "unknown": 1}]},
}


def line(event="ADDED", body=POD):
    return msgspec.json.encode({"type": event, "object": body})


@pytest.mark.parametrize("event", ["ADDED", "MODIFIED"])
def test_a_usual_line_says_the_same_at_once_as_in_two_steps(event):
    decoder = decoding.Decoder("Pod")
    slow = decoder.event(line(event))

    found = decoder.change(line(event))

    assert (found.type, found.object) == (slow.type, decoder.item(slow.object, named=True))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(line("DELETED"), id="deleted"),
        pytest.param(line("BOOKMARK"), id="bookmark"),
        pytest.param(line(body={**POD, "kind": "Node"}), id="another kind"),
        pytest.param(line(body={**POD, "kind": "PodTemplate"}), id="a kind that begins so"),
        pytest.param(line(body={**POD, "metadata": {}}), id="no name"),
        pytest.param(line(body={**POD, "spec": {"nodeName": 1}}), id="another form"),
        pytest.param(line()[:-9], id="cut off"),
        pytest.param(line().replace(b'"p"', b'"\xff"'), id="no UTF-8"),
        pytest.param(b"{" + line()[1:].replace(b'"type"', b' "type"'), id="spaced otherwise"),
    ],
)
def test_other_lines_are_left_to_who_looks_closely(text):
    assert decoding.Decoder("Pod").change(text) is None


def test_what_is_decoded_at_once_is_lifted_and_condensed_too():
    seen = []
    slice_ = builders.make_slice("s", "gpu.example.com").on("a").device("gpu-0").obj()
    body = msgspec.to_builtins(slice_, str_keys=True)
    for device in body["spec"]["devices"]:
        device["basic"] = {"attributes": {"model": {"string": "x"}}}
    head = {"kind": "ResourceSlice", "apiVersion": "resource.k8s.io/v1beta1"}
    decoder = decoding.Decoder("ResourceSlice", lambda item: seen.append(item) or item)

    found = decoder.change(line(body={**head, **body}))

    assert seen == [found.object]
    assert found.object.spec.devices[0].attributes["model"] == objects.DeviceAttribute(string="x")


@pytest.mark.parametrize("text", [b"\xff", b"\xc3", b"{"])
def test_an_object_that_is_no_unicode_behind_its_first_fault_is_refused_like_any_other(text):
    raw = b'{"kind":"Pod","metadata":{"name":"p","labels":null},"spec":"' + text + b'"}'
    decoder = decoding.Decoder("Pod", lambda item: item)

    with pytest.raises(decoding.UndecodableError):
        decoder.item(msgspec.Raw(raw), named=False)
