"""The reflector against a real API server: what it answers to lists, watches and their versions."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from extender.kube import client
from extender.kube.auth import kubeconfig
from extender.kube.watch import api_resource, reflector
from tests.kit.controlplane import fleet

pytestmark = pytest.mark.controlplane

NODES = api_resource.ApiResource(kind="Node", path="/api/v1/nodes")
PODS = api_resource.ApiResource(
    kind="Pod", path="/api/v1/pods", field_selector="status.phase!=Succeeded,status.phase!=Failed"
)
PATIENCE = 60


class Recording(client.Client):
    """The client, with a record of what was asked."""

    def __init__(self, server):
        super().__init__(server)
        self.queries = []

    @contextlib.asynccontextmanager
    async def stream(self, path, query):
        self.queries.append(query)
        async with super().stream(path, query) as found:
            yield found


class Sink:
    def __init__(self):
        self.items = {}
        self.events = []

    def replace(self, kind, items, resource_version):
        self.events.append((kind, "replace", resource_version))
        self.items = {item.metadata.name: item for item in items}

    def apply(self, kind, event, item):
        self.events.append((kind, event, item.metadata.name))
        self.items.pop(item.metadata.name, None)
        if event != "DELETED":
            self.items[item.metadata.name] = item

    def bookmark(self, kind, resource_version):
        self.events.append((kind, "bookmark", resource_version))

    def lost(self, kind, reason):
        self.events.append((kind, "lost", reason))

    @property
    def state(self):
        return {name: item.metadata.resource_version for name, item in self.items.items()}


@pytest.fixture
async def ours(plane, api):
    server = kubeconfig.read(str(plane.kubeconfig("railyard")))
    async with Recording(server) as made:
        yield made


@contextlib.asynccontextmanager
async def reflecting(ours, resource, prepare=None, **options):
    """A reflector that has synchronised, and its sink."""
    sink = Sink()
    made = reflector.Reflector(ours, resource, sink, **options)
    if prepare is not None:
        prepare(made)
    task = asyncio.create_task(made.run())
    try:
        await until(lambda: made.status.synced)
        yield made, sink
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition):
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.02)


async def state_at(api, version):
    """Name → resource version of the nodes as the API server had them at `version`."""
    nodes = await api.list("Node", resourceVersion=version, resourceVersionMatch="Exact")
    return {node["metadata"]["name"]: node["metadata"]["resourceVersion"] for node in nodes}


async def test_a_watch_list_is_served_and_is_the_only_request(api, ours):
    # TestWatchList
    await api.create_all(fleet.node(f"node-{number}") for number in range(20))
    async with reflecting(ours, NODES) as (made, sink):
        assert len(sink.items) == 20
        await api.create(fleet.node("late"))
        await until(lambda: "late" in sink.items)
        assert [query.get("sendInitialEvents") for query in ours.queries] == ["true"]
        assert made.status.problem == ""


async def test_what_is_held_is_what_the_server_had_at_that_version(api, ours):
    # TestReflectorDataConsistencyDetector, TestDataConsistencyChecker
    await api.create_all(fleet.node(f"node-{number}") for number in range(40))
    async with reflecting(ours, NODES) as (made, sink):
        for number in range(0, 40, 2):
            await api.patch("Node", f"node-{number}", {"metadata": {"labels": {"even": "yes"}}})
        for number in range(0, 40, 3):
            await api.delete("Node", f"node-{number}")
        await api.create(fleet.node("last"))
        await until(lambda: "last" in sink.items)
        assert made.status.decode_failures == 0
        assert sink.state == await state_at(api, made.status.resource_version)


async def test_pages_give_the_same_as_the_stream(api, ours):
    # TestReflectorWatchListPageSize
    await api.create_all(fleet.node(f"node-{number}") for number in range(230))

    def from_storage(made):
        made._streams_lists = False
        made._version_refused = True  # lists without a version are paged by every server

    async with reflecting(ours, NODES, from_storage) as (made, sink):
        lists = [query for query in ours.queries if "watch" not in query]
        assert [query.get("limit") for query in lists] == ["100"] * 3
        assert sink.state == await state_at(api, made.status.resource_version)


def resuming_at(version):
    def prepare(made):
        made._version = version
        made._resumable = True

    return prepare


async def test_a_watch_of_the_future_is_given_up(api, ours):
    # TestReflectorFullListIfTooLarge; the server accepts such a watch and stays silent
    await api.create(fleet.node("node-0"))
    future = resuming_at("999999999")
    async with reflecting(ours, NODES, future, patience=5) as (made, sink):
        assert ours.queries[0]["resourceVersion"] == "999999999"
        assert ours.queries[0]["watch"] == "true"
        assert sink.state == await state_at(api, made.status.resource_version)


async def test_a_watch_of_the_past_is_given_up(plane, api, ours):
    # TestReflectorFullListIfExpired; a restarted server knows nothing of what was before
    await api.create(fleet.node("node-0"))
    await asyncio.to_thread(plane.restart, "kube-apiserver")
    async with reflecting(ours, NODES, resuming_at("2")) as (made, sink):
        assert ours.queries[0]["resourceVersion"] == "2"
        assert any("410" in event[2] for event in sink.events if event[1] == "lost")
        assert sink.state == await state_at(api, made.status.resource_version)


async def test_a_pod_that_finishes_leaves(api, ours):
    await api.create(fleet.pod("worker"))
    async with reflecting(ours, PODS) as (_, sink):
        assert "worker" in sink.items
        await api.patch("Pod", "worker", {"status": {"phase": "Succeeded"}}, subresource="status")
        await until(lambda: "worker" not in sink.items)
        assert ("Pod", "DELETED", "worker") in sink.events


async def test_a_kind_on_which_nothing_happens_is_not_read_again(api, ours):
    await api.create(fleet.node("node-0"))
    async with reflecting(ours, NODES, patience=0.5) as (made, sink):
        await until(lambda: made.status.watch_restarts >= 5)
        await api.create(fleet.node("node-1"))
        await until(lambda: "node-1" in sink.items)
        assert made.status.lists == 1
        assert not [event for event in sink.events if event[1] in {"lost", "replace"}][1:]
