"""What the stream of a watch may hold."""

import asyncio

import pytest

from extender.kube.api import objects
from extender.kube.watch import api_resource, reflector
from tests.kit import apiserver, virtual_time
from tests.kit.clock import eventually
from tests.kit.rigs.reflector_rig import NODES, Rig

LOOP = virtual_time.Loop


# ---------------------------------------------------------------- what the stream may hold


async def test_a_watch_cut_in_the_middle_of_an_event_is_resumed(synced):
    synced.clock.advance(30)
    whole = apiserver.line("ADDED", {"kind": "Node", "metadata": {"name": "c"}})
    synced.server.send(NODES, whole[: len(whole) // 2])
    synced.server.send(NODES, "close")
    await eventually(lambda: synced.server.of("watch"))
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert synced.status.lists == 1


@pytest.mark.parametrize(
    "junk",
    [
        pytest.param(b'{"type":"ADDED","object":{"kind"\n', id="malformed line"),
        pytest.param(
            b'{"type":"ADDED","object":{"kind":"Node","metadata":{"name":"\xff"}}}\n', id="UTF-8"
        ),
        pytest.param(b"\x00\n", id="not JSON at all"),
    ],
)
async def test_a_damaged_line_makes_the_watch_be_resumed(synced, junk):
    synced.server.send(NODES, junk)
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert [each.verb for each in synced.server.requests] == ["watchlist", "list", "watch"]
    assert synced.server.of("watch")[0].query["resourceVersion"] == "1002"


@pytest.mark.parametrize("junk", [b"\n", b"\r\n", b"  \n\n\n"])
async def test_blank_lines_are_nothing(synced, junk):
    synced.server.send(NODES, junk)
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert len(synced.server.requests) == 1
    assert synced.status.decode_failures == 0


NAMED = {"kind": "Node", "metadata": {"name": "x", "resourceVersion": "1002"}}


@pytest.mark.parametrize(
    "junk",
    [
        pytest.param(apiserver.line("SURPRISE", NAMED), id="unknown type"),
        pytest.param(apiserver.line("ADDED", {**NAMED, "kind": "Pod"}), id="wrong kind"),
        pytest.param(
            apiserver.line("ADDED", {"metadata": {"name": "x"}, "kind": "Table"}),
            id="TestIsUnsupportedTableObject",
        ),
        pytest.param(apiserver.line("ADDED", {"metadata": {"name": "x"}}), id="no kind"),
        pytest.param(apiserver.line("ADDED", {"kind": "Node"}), id="no metadata"),
        pytest.param(apiserver.line("DELETED", {"kind": "Node"}), id="deleted, no metadata"),
        pytest.param(apiserver.line("BOOKMARK", {"kind": "Node"}), id="bookmark, no version"),
        pytest.param(apiserver.line("ADDED", {**NAMED, "spec": []}), id="another shape"),
        pytest.param(apiserver.line("MODIFIED", ["Node"]), id="not an object"),
        pytest.param(b"[]\n", id="not an event"),
        pytest.param(
            b'{"type":"ADDED","object":' + b"[" * 2000 + b"]" * 2000 + b"}\n", id="deeply nested"
        ),
    ],
)
async def test_what_is_not_understood_is_skipped_and_counted(synced, junk):
    # TestReflectorWatchHandler
    synced.server.send(NODES, junk)
    synced.server.version += 1
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert synced.status.decode_failures == 1
    assert len(synced.server.requests) == 1


async def test_objects_of_a_list_that_are_not_understood_are_left_out(lister):
    lister.server.put(NODES, "odd", spec={"unschedulable": "perhaps"})
    lister.start()
    await eventually(lambda: lister.status.synced)
    assert set(lister.sink.items) == {"a", "b"}
    assert lister.status.decode_failures == 1


async def test_a_deleted_object_of_another_shape_is_deleted_all_the_same(synced):
    # TestDeletedObjectGetKey
    body = {"kind": "Node", "metadata": {"name": "a", "resourceVersion": "1003"}, "spec": []}
    synced.server.send(NODES, apiserver.line("DELETED", body))
    await eventually(lambda: set(synced.sink.items) == {"b"})


async def test_a_sink_that_fails_on_one_object_gets_the_next(synced):
    # TestEventPanics
    synced.sink.breaks = 1
    synced.server.put(NODES, "bad")
    synced.server.put(NODES, "good")
    await eventually(lambda: "good" in synced.sink.items)
    assert synced.status.sink_failures == 1
    assert len(synced.server.requests) == 1


async def test_characters_cut_in_two_are_whole_again(synced):
    body = {"kind": "Node", "metadata": {"name": "c", "labels": {"k": "žluťoučký kůň 🐎"}}}
    data = apiserver.line("ADDED", body)
    for cut in range(len(data)):
        synced.server.send(NODES, data[cut : cut + 1])
    await eventually(lambda: "c" in synced.sink.items)
    assert synced.sink.items["c"].metadata.labels == {"k": "žluťoučký kůň 🐎"}


@pytest.mark.parametrize("megabytes", [1.4, 3, 6])
async def test_an_event_of_megabytes_is_taken(synced, megabytes):
    padding = "x" * int(megabytes * 1e6)
    synced.server.put(NODES, "c", metadata={"annotations": {"note": padding}})
    await synced.in_step()
    assert len(synced.sink.items["c"].metadata.annotations["note"]) == len(padding)


async def test_a_line_without_an_end_does_not_fill_the_memory(synced, monkeypatch):
    monkeypatch.setattr("extender.kube.watch.line_splitter._LONGEST_BYTES", 1 << 20)
    for _ in range(40):
        synced.server.send(NODES, b"x" * (64 << 10))
    await synced.waiting()
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert [each.verb for each in synced.server.requests] == ["watchlist", "list", "watch"]


async def test_a_custom_object_says_its_version_before_its_kind():
    path = "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies"
    async with apiserver.ApiServer() as server:
        rig = Rig(server)
        server.add(path, "NodeResourceTopology", "topology.node.k8s.io/v1alpha2")
        body = {"apiVersion": "topology.node.k8s.io/v1alpha2", "kind": "NodeResourceTopology"}
        body["metadata"] = {"name": "n", "resourceVersion": "5000"}
        where = api_resource.ApiResource(kind="NodeResourceTopology", path=path)
        made = reflector.Reflector(rig.api, where, rig.sink)
        task = asyncio.create_task(made.run())
        await eventually(lambda: made.status.synced)
        server.send(path, apiserver.line("ADDED", body))
        await eventually(lambda: "n" in rig.sink.items)
        assert isinstance(rig.sink.items["n"], objects.NodeResourceTopology)
        task.cancel()
        await rig.stop()


async def test_older_versions_of_an_object_arrive_in_the_newest_shape(rig):
    path = "/apis/resource.k8s.io/v1beta1/resourceslices"
    rig.server.add(path, "ResourceSlice", "resource.k8s.io/v1beta1")
    device = {"name": "gpu-0", "basic": {"attributes": {"index": {"int": 3}}}}
    rig.server.put(path, "s", spec={"driver": "d", "devices": [device]})
    where = api_resource.ApiResource(kind="ResourceSlice", path=path)
    made = reflector.Reflector(rig.api, where, rig.sink, condense=lambda item: item)
    rig.task = asyncio.create_task(made.run())
    await eventually(lambda: made.status.synced)
    (found,) = rig.sink.items["s"].spec.devices
    assert found.attributes["index"].int_ == 3
    assert found.basic is None
