"""A policy in a ConfigMap: readiness, Events, fallback, restart."""

import asyncio
import contextlib
import json

import aiohttp
import msgspec
import pytest

from extender import errors, settings
from extender.kube import client
from extender.kube.api import objects
from extender.kube.auth import endpoint
from extender.kube.watch import informers
from extender.policy import config
from extender.service import live, sink
from extender.service.policy_source import policy_events, rebuilding
from extender.service.process import serving
from tests.kit import apiserver, kubeconfigs
from tests.kit.builders import make_node, make_pod
from tests.kit.worlds import H100, engine, feed

FREE = settings.Address("127.0.0.1", 0)


MAPS = "/api/v1/namespaces/ops/configmaps"


@contextlib.asynccontextmanager
async def following(tmp_path, **options):
    """A service that follows ConfigMap ops/policy of a fake API server with one node: both."""
    async with apiserver.ApiServer() as server:
        for wanted in informers.KINDS:
            server.add(wanted.at(wanted.versions[0]).path, wanted.kind, wanted.versions[0])
        server.add(MAPS, "ConfigMap")
        server.put("/api/v1/nodes", "a")
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(kubeconfigs.of(server.url)))
        chosen = settings.Settings(
            kubeconfig=path,
            bind=FREE,
            admin_bind=FREE,
            kubernetes_version=options.pop("version", "1.37"),
            policy_config_map="ops/policy",
            **options,
        )
        async with live.opened(chosen) as sites, aiohttp.ClientSession() as client:
            yield server, Asked(client, f"http://127.0.0.1:{sites.admin_bound.port}")


class Asked:
    """The admin port of a service."""

    def __init__(self, client, url):
        self.client, self.url = client, url

    async def readiness(self):
        async with self.client.get(f"{self.url}/readyz?verbose") as answer:
            return await answer.json()

    async def until(self, holds):
        """The first readiness for which that holds; the suite's own limit ends what never does."""
        while not holds(found := await self.readiness()):  # noqa: ASYNC110 - a probe
            await asyncio.sleep(0.01)
        return found

    async def policy(self):
        async with self.client.get(f"{self.url}/v1/policy") as answer:
            return await answer.json()

    async def metric(self, name):
        async with self.client.get(f"{self.url}/metrics") as answer:
            text = await answer.text()
        return [line for line in text.splitlines() if line.startswith(name)]


def put_policy(server, text):
    server.put(MAPS, "policy", namespace="ops", data={"policy.yaml": text})


@pytest.mark.parametrize("text", [None, "scores: {maximum: -1}", "", "[" * 10_000])
async def test_without_a_usable_config_map_it_is_not_ready_and_says_why(tmp_path, text):
    async with following(tmp_path) as (server, asked):
        if text is not None:
            put_policy(server, text)
        found = await asked.until(lambda body: list(body.get("waiting", ())) == ["a policy"])

        assert found["ready"] is False
        assert found["waiting"]["a policy"].startswith("ConfigMap ops/policy ")

        put_policy(server, "scores: {maximum: 50}")
        found = await asked.until(lambda body: body["ready"])

        assert found["policy"]["from"] == "ConfigMap ops/policy"
        assert await asked.metric("railyard_policy_refused_since_seconds") == [
            "railyard_policy_refused_since_seconds 0.0"
        ]
        assert await asked.metric("railyard_policy_info") == [
            f'railyard_policy_info{{hash="{found["policy"]["hash"]}",source="configmap"}} 1.0'
        ]


EVENTS = "/api/v1/namespaces/ops/events"


async def events(server, count):
    """The Events written, once there are so many."""
    while len(server.collections[EVENTS].objects) < count:  # noqa: ASYNC110 - a probe
        await asyncio.sleep(0.01)
    return list(server.collections[EVENTS].objects.values())


async def test_events_on_the_config_map_tell_that_it_is_used_or_refused(tmp_path):
    async with following(tmp_path, policy_events=True) as (server, _):
        server.add(EVENTS, "Event")
        put_policy(server, "scores: {maximum: 50}")
        (used,) = await events(server, 1)
        put_policy(server, "scores: {maximum: -1}")
        _, refused = await events(server, 2)

    assert (used["reason"], used["type"]) == ("PolicyUsed", "Normal")
    assert used["involvedObject"]["kind"] == "ConfigMap"
    assert used["involvedObject"]["uid"] == "uid-policy"
    assert (refused["reason"], refused["type"]) == ("PolicyRefused", "Warning")
    assert "scores.maximum" in refused["message"]
    assert used["message"].split()[1] in refused["message"]  # the hash of what stays in force


async def test_two_replicas_write_one_event(tmp_path):
    async with following(tmp_path, policy_events=True) as (server, asked):
        server.add(EVENTS, "Event")
        put_policy(server, "scores: {maximum: 50}")
        await events(server, 1)
        (body,) = server.collections[MAPS].objects.values()
        async with client.Client(endpoint.Server(url=server.url)) as api:
            other = policy_events.PolicyEvents(api)
            other.note(msgspec.convert(body, objects.ConfigMap), policy_events.USED, "again")
            task = asyncio.create_task(other.run())
            while len(server.of("create")) < 2:  # noqa: ASYNC110 - a probe
                await asyncio.sleep(0.01)
            await asked.until(lambda body: body["ready"])
            task.cancel()

        assert len(await events(server, 1)) == 1


@pytest.mark.parametrize("allowed", [False, True])
async def test_events_that_cannot_be_written_change_nothing(tmp_path, allowed, caplog):
    async with following(tmp_path, policy_events=True) as (server, asked):
        if allowed:  # and then the API server fails
            server.broken[EVENTS] = apiserver.Fault(status=500)
        for maximum in (50, 60, 70):
            put_policy(server, f"scores: {{maximum: {maximum}}}")
        found = await asked.until(lambda body: body["ready"])

        assert found["policy"]["from"] == "ConfigMap ops/policy"
        while "no Event can be written" not in caplog.text:  # noqa: ASYNC110 - a probe
            await asyncio.sleep(0.01)
        assert caplog.text.count("no Event can be written") == 1


async def test_no_events_are_written_unless_that_is_wanted(tmp_path):
    async with following(tmp_path) as (server, asked):
        server.add(EVENTS, "Event")
        put_policy(server, "scores: {maximum: 50}")
        await asked.until(lambda body: body["ready"])

        assert server.of("create") == []


async def test_a_changed_weight_is_read_back_with_its_hash(tmp_path):
    async with following(tmp_path) as (server, asked):
        put_policy(server, "profiles: [{name: a, packing: {weight: 1}}]")
        await asked.until(lambda body: body["ready"])
        before = await asked.policy()
        put_policy(server, "profiles: [{name: a, packing: {weight: 2.5}}]")
        while (after := await asked.policy())["hash"] == before["hash"]:  # noqa: ASYNC110 - a probe
            await asyncio.sleep(0.01)
        put_policy(server, "profiles: [{name: a, packing: {weight: heavy}}]")
        while (broken := await asked.policy())["refused"] is None:  # noqa: ASYNC110 - a probe
            await asyncio.sleep(0.01)
        put_policy(server, "profiles: [{name: a, packing: {weight: 3}}]")
        while (mended := await asked.policy())["refused"] is not None:  # noqa: ASYNC110 - a probe
            await asyncio.sleep(0.01)

    assert after["policy"]["profiles"][0]["packing"] == {"weight": 2.5}
    assert after["sourceKind"] == "configmap"
    assert int(after["resourceVersion"]) > int(before["resourceVersion"])
    assert broken["hash"] == after["hash"]
    (problem,) = broken["refused"]["problems"]
    assert "profiles[0].packing.weight" in problem["place"]
    assert mended["lastRefused"]["why"] == broken["refused"]["why"]


async def test_a_named_fallback_makes_it_ready_and_is_reported(tmp_path):
    async with following(tmp_path, policy_fallback="builtin") as (_, asked):
        found = await asked.until(lambda body: body["ready"])

        assert found["policy"]["from"] == "the fallback, the built-in policy"
        assert "does not exist" in found["notes"][0]


async def test_a_restart_goes_on_with_the_last_good_policy(tmp_path):
    kept = tmp_path / "kept.yaml"
    async with following(tmp_path, policy_last_good=kept) as (server, asked):
        put_policy(server, "scores: {maximum: 50}")
        before = await asked.until(lambda body: body["ready"])
        put_policy(server, "scores: {maximum: many}")
        broken = await asked.until(lambda body: "notes" in body)
        assert (broken["ready"], broken["policy"]) == (True, before["policy"])

    async with following(tmp_path, policy_last_good=kept) as (_, asked):
        found = await asked.until(lambda body: body["ready"])

    assert found["policy"]["hash"] == before["policy"]["hash"]
    assert "last good" in found["policy"]["from"]


async def test_the_config_maps_version_and_budget_take_effect_at_once(tmp_path):
    async with following(tmp_path, version=None) as (server, asked):
        put_policy(server, 'kubernetesVersion: "1.35"\nstepBudget: 200')
        await asked.until(lambda body: body["ready"])
        put_policy(server, 'kubernetesVersion: "1.20"\nstepBudget: 200')
        found = await asked.until(lambda body: "notes" in body)

        assert found["ready"]
        assert "1.20 is older than the versions whose rules are known" in found["notes"][0]


def test_another_version_is_predicted_by_once_the_next_engine_is_built():
    from_old, to_new = engine(), engine(config.Policy(step_budget=200))
    feed(from_old, *(make_node(name).gpus(H100, 8) for name in "abc"), make_pod("p").node("a"))
    building = rebuilding.Rebuilding()
    building.begin(from_old, to_new)
    events = sink.StoreSink(lambda: [from_old.store, *building.stores()], None)

    events.apply("Node", "DELETED", make_node("b").obj())
    building.step()
    events.apply("Node", "ADDED", make_node("d").gpus(H100, 4).obj())
    events.apply("Pod", "DELETED", make_pod("p").node("a").obj())
    assert building.take() is None
    while building.step():
        pass

    assert building.take() is to_new
    assert building.take() is None
    assert set(to_new.index.rows) == {"a", "c", "d"}
    assert to_new.index.verify() == []
    assert to_new.store.pods == {}


def test_outside_a_cluster_and_without_kubeconfig_it_says_what_is_missing(monkeypatch):
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(errors.RailyardError) as refused:
        serving.run(settings.Settings(bind=FREE, admin_bind=FREE))

    assert "cluster" in str(refused.value)
