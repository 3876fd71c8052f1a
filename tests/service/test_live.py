"""What the running service makes of events: objects to the store, the ConfigMap to the policy."""

import asyncio
import json
import logging

import aiohttp
import pytest

from extender import errors, settings
from extender.kube.api import objects
from extender.kube.watch import informers
from extender.server import metrics
from extender.service import live, sink
from extender.service.policy_source import active_policy
from tests.kit import apiserver, kubeconfigs
from tests.kit.builders import make_node, make_pod
from tests.kit.worlds import H100, engine, feed

FREE = settings.Address("127.0.0.1", 0)


def config_map(text, key="policy.yaml"):
    meta = objects.ObjectMeta(name="railyard-policy", namespace="railyard")
    return objects.ConfigMap(metadata=meta, data={key: text})


class Sinking:
    """A sink over an engine, and its counters."""

    def __init__(self):
        self.engine = engine()
        self.metrics = metrics.Metrics(metrics.ClusterFigures)
        self.policies = active_policy.Policies(
            self.engine.use,
            config_map="railyard/railyard-policy",
            counted=lambda good: self.metrics.reload("policy", good=good),
        )
        self.sink = sink.StoreSink(lambda: [self.engine.store], self.policies)

    def reloads(self):
        found = {}
        for family in self.metrics.registry.collect():
            for sample in family.samples:
                if sample.name == "railyard_reloads_total" and sample.labels["what"] == "policy":
                    found[sample.labels["outcome"]] = sample.value
        return found["used"], found["refused"]


@pytest.fixture
def sinking():
    return Sinking()


def test_objects_go_to_the_store(sinking):
    sinking.sink.replace("Node", [make_node("a").obj()], "1")
    sinking.sink.apply("Pod", "ADDED", make_pod("p").node("a").obj())
    sinking.sink.bookmark("Pod", "2")

    assert set(sinking.engine.store.nodes) == {"a"}
    assert set(sinking.engine.store.pods_on) == {"a"}


def test_a_lost_watch_is_logged_and_the_objects_stay(sinking, caplog):
    sinking.sink.replace("Node", [make_node("a").obj()], "1")

    with caplog.at_level(logging.WARNING):
        sinking.sink.lost("Node", "reset by peer")

    assert "Node: data may go stale: reset by peer" in caplog.text
    assert set(sinking.engine.store.nodes) == {"a"}


@pytest.mark.parametrize("way", ["listed", "changed"])
def test_the_config_map_is_the_policy(sinking, way):
    item = config_map("scores: {maximum: 100}")

    if way == "listed":
        sinking.sink.replace("ConfigMap", [item], "1")
    else:
        sinking.sink.apply("ConfigMap", "MODIFIED", item)

    assert sinking.engine.policy.scores.maximum == 100
    assert sinking.reloads() == (1.0, 0.0)


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(config_map("scores: {maximum: -1}"), id="out of range"),
        pytest.param(config_map("a: ["), id="no YAML"),
        pytest.param(config_map("{}", key="other"), id="no policy in it"),
    ],
)
def test_a_broken_policy_leaves_the_last_good_one_in_force(sinking, item, caplog):
    sinking.sink.apply("ConfigMap", "ADDED", config_map("scores: {maximum: 50}"))

    with caplog.at_level(logging.ERROR):
        sinking.sink.apply("ConfigMap", "MODIFIED", item)

    assert sinking.engine.policy.scores.maximum == 50
    assert sinking.reloads() == (1.0, 1.0)
    assert "ConfigMap railyard/railyard-policy stays in force" in caplog.text


def test_a_deleted_policy_leaves_the_last_good_one_in_force(sinking):
    item = config_map("scores: {maximum: 50}")
    sinking.sink.apply("ConfigMap", "ADDED", item)

    sinking.sink.apply("ConfigMap", "DELETED", item)

    assert sinking.engine.policy.scores.maximum == 50


def test_another_policy_changes_the_next_answer(sinking):
    feed(sinking.engine, *(make_node(name).gpus(H100, 8) for name in "ab"))
    feed(sinking.engine, make_pod("holder").gpus(1).node("a"))
    pod = make_pod("p").gpus(1).obj()
    before = max(sinking.engine.score(pod, ["a", "b"]).scores)

    sinking.sink.apply("ConfigMap", "MODIFIED", config_map("scores: {maximum: 3}"))

    assert (before, max(sinking.engine.score(pod, ["a", "b"]).scores)) == (10, 3)


async def test_a_snapshot_is_served_until_the_context_ends(tmp_path):
    path = tmp_path / "node.yaml"
    path.write_text("{apiVersion: v1, kind: Node, metadata: {name: a}}")
    chosen = settings.Settings(snapshot=(path,), bind=FREE, admin_bind=FREE)

    async with live.opened(chosen) as sites:
        assert sites.bound.port != 0
        assert sites.admin_bound.port not in {0, sites.bound.port}
    assert sites.open_connections == 0


async def test_a_snapshot_that_cannot_be_read_opens_no_port(tmp_path):
    chosen = settings.Settings(snapshot=(tmp_path / "no.yaml",), bind=FREE, admin_bind=FREE)

    with pytest.raises(errors.SnapshotError):
        async with live.opened(chosen):
            raise AssertionError("it must not open")


async def test_a_broken_policy_file_is_said_before_anything_is_read(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("nonsense: 1")

    with pytest.raises(errors.ConfigError):
        async with live.opened(settings.Settings(policy=path, snapshot=(tmp_path,))):
            raise AssertionError("it must not open")


async def test_a_cluster_is_ready_once_the_index_has_what_was_read(tmp_path):
    async with apiserver.ApiServer() as server:
        for wanted in informers.KINDS:
            server.add(wanted.at(wanted.versions[0]).path, wanted.kind, wanted.versions[0])
        server.put("/api/v1/nodes", "a")
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(kubeconfigs.of(server.url)))
        chosen = settings.Settings(kubeconfig=path, bind=FREE, admin_bind=FREE)

        async with live.opened(chosen) as sites, aiohttp.ClientSession() as client:
            admin = f"http://127.0.0.1:{sites.admin_bound.port}"
            while (await client.get(f"{admin}/readyz")).status != 200:  # noqa: ASYNC110 - a probe
                await asyncio.sleep(0.01)
            async with client.get(f"{admin}/metrics") as answer:
                assert "railyard_index_nodes 1.0" in await answer.text()
