"""An object that cannot be read takes only itself away, and is named for as long as that is so."""

import logging

import msgspec
import pytest

from extender.kube.api import decoding, objects
from extender.kube.watch import undecodable_json, unreadable
from tests.kit.builders import make_node, make_pod
from tests.kit.worlds import H100, engine, feed

NAMED = objects.ObjectMeta(name="p", namespace="ml")


@pytest.fixture
def known():
    return unreadable.Unreadable("Pod", {})


def test_it_is_named_in_the_log_once_for_each_reason(known, caplog):
    with caplog.at_level(logging.WARNING):
        for why in ("no quantity", "no quantity", "no name"):
            known.note(NAMED, why)

    reported = [record.getMessage() for record in caplog.records]
    assert reported == [f"Pod ml/p cannot be read and is left out: {why}"
                    for why in ("no quantity", "no name")]  # fmt: skip


def test_a_change_heals_it(known):
    known.note(NAMED, "no quantity")
    known.heal(NAMED)

    assert known.now == {}


def test_a_list_that_does_not_tell_of_it_heals_it(known):
    known.note(NAMED, "no quantity")
    known.note(objects.ObjectMeta(name="q"), "no quantity")
    known.listing()
    known.note(objects.ObjectMeta(name="q"), "no quantity")
    known.listed()

    assert known.now == {"q": "no quantity"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000, id="nested too deeply"),
        pytest.param(b'{"priority":99999999999999999999999', id="a number beyond 64 bits"),
        pytest.param(b'{"containers":7', id="a number for a list"),
        pytest.param(b'{"containers":[{"resources":{"requests":{"cpu":"NaN"}}}]', id="no quantity"),
        pytest.param(b'{"nodeName":"\xff"', id="no UTF-8"),
    ],
)
def test_an_item_that_cannot_be_read_is_named_and_the_rest_of_its_list_is_read(body):
    decoder = decoding.Decoder("Pod")
    bad = b'{"metadata":{"name":"p","namespace":"ml"},"spec":' + body + b"}}"
    good = b'{"metadata":{"name":"q","namespace":"ml"}}'
    page = decoder.page(
        b'{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":['
        + bad
        + b","
        + good
        + b"]}"
    )

    with pytest.raises(decoding.UndecodableError) as refused:
        decoder.item(page.items[0], named=False)

    assert (refused.value.meta.namespace, refused.value.meta.name) == ("ml", "p")
    assert decoder.item(page.items[1], named=False).metadata.name == "q"
    assert page.metadata.resource_version == "7"


def test_null_is_the_zero_value_and_half_a_surrogate_pair_is_a_text_as_in_go():
    raw = b'{"metadata":{"name":"p","labels":{"a":"\\ud800","b":null}},"spec":{"nodeName":null}}'

    pod = decoding.Decoder("Pod").item(msgspec.Raw(raw), named=False)

    assert (pod.metadata.labels, pod.spec.node_name) == ({"a": "\ufffd", "b": ""}, "")


def test_a_list_is_split_whatever_its_texts_hold():
    items = [b'{"a":"]}\\"items\\":["}', b'{"items":[{"b":[]}]}']
    body = b'{"metadata":{"x":"\\"items\\""},"items": [' + b", ".join(items) + b'],"kind":"List"}'

    rest, found = undecodable_json.split(body)

    assert found == items
    assert msgspec.json.decode(rest) == {"metadata": {"x": '"items"'}, "items": [], "kind": "List"}


def test_a_node_that_cannot_be_used_is_unknown_and_the_others_are_judged():
    judging = engine()
    feed(judging, *(make_node(name).gpus(H100, 8) for name in "abc"))
    whole = make_pod("p").gpus(8).obj()
    feed(judging, make_pod("holder").gpus(1).node("a"))
    before = judging.filter(whole, ["a", "c"])

    feed(judging, make_node("b").gpus(H100, "many"))
    found = judging.filter(whole, ["a", "b", "c"])

    assert (found.failed, found.unknown) == (before.failed, 1)
    assert list(judging.store.unreadable) == [("Node", "b")]
    feed(judging, make_node("b").gpus(H100, 8))
    assert (judging.filter(whole, ["a", "b", "c"]).unknown, judging.store.unreadable) == (0, {})


def test_a_pod_beyond_an_int64_asks_for_nothing_as_it_does_of_kube_scheduler():
    judging = engine()
    feed(judging, *(make_node(name).gpus(H100, 8) for name in "ab"))
    whole = make_pod("p").gpus(8).obj()
    before = judging.filter(whole, ["a", "b"])
    for number, amount in enumerate(("1e400", "10e399", "-1", "9223372036854775808")):
        feed(judging, make_pod(f"odd-{number}").gpus(amount).request("cpu", "1e400").node("a"))

    assert judging.filter(whole, ["a", "b"]) == before
    assert judging.index.verify() == []


def test_two_pods_of_nine_quintillion_units_fill_their_node_alone():
    judging = engine()
    feed(judging, *(make_node(name).gpus(H100, 8) for name in "ab"))
    feed(judging, *(make_pod(f"h-{n}").gpus("9e18").request("memory", "9e18").node("a")
                    for n in range(2)))  # fmt: skip

    found = judging.filter(make_pod("p").gpus(1).obj(), ["a", "b"])

    assert set(found.failed) == {"a"}


def test_a_refused_node_that_is_asked_twice_stays_refused():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8))
    feed(judging, make_pod("holder").gpus(8).node("a"))

    assert set(judging.filter(make_pod("p").gpus(1).obj(), ["a", "a"]).failed) == {"a"}
