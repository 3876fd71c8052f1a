import asyncio
import random

import pytest

from extender.cluster import store
from extender.kube import client
from extender.kube.auth import endpoint
from extender.kube.watch import informers
from tests.kit import apiserver
from tests.kit.clock import Clock, eventually

CORE = {"Node": "nodes", "Pod": "pods"}
DRA = {
    "ResourceSlice": "resourceslices",
    "ResourceClaim": "resourceclaims",
    "ResourceClaimTemplate": "resourceclaimtemplates",
    "DeviceClass": "deviceclasses",
}
TOPOLOGY = "topology.node.k8s.io/v1alpha2"


class Rig:
    """A cluster's API server, its informers feeding the real store, and a clock of their own."""

    def __init__(self, server):
        self.server = server
        self.clock = Clock()
        self.store = store.ClusterStore()
        self.api = client.Client(endpoint.Server(url=server.url))
        self.task = None
        self.serve("v1", CORE)

    def serve(self, version, kinds):
        prefix = "/apis/" if "/" in version else "/api/"
        for kind, plural in kinds.items():
            self.server.add(f"{prefix}{version}/{plural}", kind, version)

    def start(self, *extra):
        self.informers = informers.Informers(
            self.api,
            self.store,
            kinds=(*informers.KINDS, *extra),
            clock=self.clock,
            sleep=self.clock.sleep,
            rng=random.Random(1),
        )
        self.task = asyncio.create_task(self.informers.run())

    async def ready(self, pace=0):
        """Wait until nothing is waited for, while `pace` seconds pass at each look.

        By then the next look for what is missing is 300 s away.
        """

        def is_ready():
            self.clock.advance(pace)
            return not self.informers.waiting_for()

        await eventually(is_ready, "readiness")
        await eventually(lambda: self.clock.longest_sleep > 290, "the end of discovery")

    async def stop(self):
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await self.api.close()

    @property
    def paths(self):
        return {seen.path for seen in self.server.requests if seen.verb != "get"}


@pytest.fixture
async def rig():
    async with apiserver.ApiServer() as server:
        made = Rig(server)
        yield made
        await made.stop()


async def test_every_kind_is_followed_into_the_store(rig):
    rig.serve("resource.k8s.io/v1", {**DRA, "DeviceTaintRule": "devicetaintrules"})
    rig.serve(TOPOLOGY, {"NodeResourceTopology": "noderesourcetopologies"})
    rig.server.put("/api/v1/nodes", "n")
    rig.server.put("/api/v1/pods", "p", namespace="ns", spec={"nodeName": "n"})
    rig.server.put("/apis/resource.k8s.io/v1/resourceslices", "s", spec={"nodeName": "n"})
    rig.server.put(f"/apis/{TOPOLOGY}/noderesourcetopologies", "n")
    rig.start()
    await rig.ready()
    rig.server.put("/apis/resource.k8s.io/v1/resourceclaims", "c", namespace="ns")
    rig.server.put("/apis/resource.k8s.io/v1/deviceclasses", "gpu")
    await eventually(lambda: rig.store.claims and rig.store.classes)
    assert set(rig.store.nodes) == {"n"}
    assert set(rig.store.pods_on["n"]) == {("ns", "p")}
    assert set(rig.store.slices_on["n"]) == {"s"}
    assert set(rig.store.topologies) == {"n"}
    assert not rig.informers.degraded()
    assert all(status.synced for status in rig.informers.statuses.values())


async def test_finished_pods_are_not_asked_for(rig):
    rig.server.put("/api/v1/pods", "done", namespace="ns", status={"phase": "Succeeded"})
    rig.server.put("/api/v1/pods", "here", namespace="ns", status={"phase": "Running"})
    rig.start()
    await rig.ready()
    assert set(rig.store.pods) == {("ns", "here")}


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        (["v1", "v1beta2", "v1beta1"], "v1"),
        (["v1beta2", "v1beta1"], "v1beta2"),
        (["v1beta1"], "v1beta1"),
        (["v1alpha3"], "v1alpha3"),
    ],
)
async def test_the_best_served_version_is_used(rig, versions, expected):
    for version in versions:
        rig.serve(f"resource.k8s.io/{version}", DRA)
    rig.start()
    await rig.ready()
    asked = {path for path in rig.paths if "resourceslices" in path}
    assert asked == {f"/apis/resource.k8s.io/{expected}/resourceslices"}


async def test_kinds_of_one_group_may_live_in_different_versions(rig):
    rig.serve("resource.k8s.io/v1", DRA)
    rig.serve("resource.k8s.io/v1beta2", {"DeviceTaintRule": "devicetaintrules"})
    rig.start()
    await rig.ready()
    assert "/apis/resource.k8s.io/v1/deviceclasses" in rig.paths
    assert "/apis/resource.k8s.io/v1beta2/devicetaintrules" in rig.paths


async def test_what_is_not_served_is_reported_and_waited_for_no_longer(rig):
    rig.start()
    await rig.ready()
    assert set(rig.informers.degraded()) == {*DRA, "DeviceTaintRule", "NodeResourceTopology"}
    assert set(rig.informers.degraded().values()) == {"not served"}
    assert {status.state for kind, status in rig.informers.statuses.items() if kind in DRA} == {
        "absent"
    }


async def test_a_kind_that_is_not_permitted_takes_only_itself_away(rig):
    rig.serve("resource.k8s.io/v1", DRA)
    rig.server.forbidden.add("/apis/resource.k8s.io/v1/deviceclasses")
    rig.start()
    await rig.ready()
    assert "Forbidden" in rig.informers.degraded()["DeviceClass"]
    assert rig.informers.statuses["ResourceSlice"].synced


async def test_a_permission_given_later_is_used(rig):
    # TestAddWhileActive
    rig.serve("resource.k8s.io/v1", DRA)
    rig.server.forbidden.add("/apis/resource.k8s.io/v1/deviceclasses")
    rig.start()
    await rig.ready()
    status = rig.informers.statuses["DeviceClass"]
    await eventually(lambda: status.state == "waiting")
    rig.server.forbidden.clear()
    rig.clock.advance(5)
    await eventually(lambda: status.synced)
    assert "DeviceClass" not in rig.informers.degraded()


@pytest.mark.parametrize("kind", ["Node", "Pod"])
async def test_without_nodes_or_pods_nothing_is_ready(rig, kind):
    rig.server.forbidden.add(f"/api/v1/{CORE[kind]}")
    rig.start()
    await eventually(lambda: rig.informers.statuses[kind].problem)
    await eventually(lambda: set(rig.informers.waiting_for()) == {kind})
    assert "Forbidden" in rig.informers.waiting_for()[kind]
    assert kind not in rig.informers.degraded()


async def test_before_discovery_every_kind_is_waited_for(rig):
    await rig.server.stop()
    rig.start()
    await eventually(lambda: rig.informers.statuses["DeviceClass"].problem)
    assert set(rig.informers.waiting_for()) == {each.kind for each in informers.KINDS}
    await rig.server.start()
    await rig.ready(pace=0.1)


async def test_where_discovery_is_not_permitted_the_newest_version_is_tried(rig):
    rig.serve("resource.k8s.io/v1", DRA)
    rig.server.always["get"] = apiserver.refusal(403, "Forbidden")
    rig.start()
    await rig.ready()
    assert all(rig.informers.statuses[kind].synced for kind in DRA)
    assert set(rig.informers.degraded()) == {"DeviceTaintRule", "NodeResourceTopology"}


async def test_a_definition_installed_later_is_found(rig):
    rig.start()
    await rig.ready()
    rig.serve(TOPOLOGY, {"NodeResourceTopology": "noderesourcetopologies"})
    rig.server.put(f"/apis/{TOPOLOGY}/noderesourcetopologies", "n")
    rig.clock.advance(60)
    rig.clock.advance(300)
    await eventually(lambda: rig.store.topologies)
    assert "NodeResourceTopology" not in rig.informers.degraded()


async def test_looking_again_for_what_is_missing_is_rare(rig):
    rig.start()
    await rig.ready()
    before = len(rig.server.of("get"))
    rig.clock.advance(299)
    await asyncio.sleep(0.01)
    assert len(rig.server.of("get")) == before
    assert before <= 5


async def test_a_definition_that_is_removed_takes_its_objects_along(rig):
    # TestRemoveWhileActive
    path = f"/apis/{TOPOLOGY}/noderesourcetopologies"
    rig.serve(TOPOLOGY, {"NodeResourceTopology": "noderesourcetopologies"})
    rig.server.put(path, "n")
    rig.start()
    await rig.ready()
    status = rig.informers.statuses["NodeResourceTopology"]
    gone = rig.server.collections.pop(path)
    del rig.server.served[TOPOLOGY]
    for watcher in gone.watchers:
        watcher.put_nowait("close")
    await eventually(lambda: status.state == "waiting")
    rig.clock.advance(5)
    await eventually(lambda: status.problem_code == 404)
    assert rig.store.topologies
    rig.clock.advance(330)
    await eventually(lambda: not rig.store.topologies)
    assert rig.informers.degraded()["NodeResourceTopology"] == "not served"


async def test_a_version_that_an_upgrade_removed_is_replaced_by_the_next(rig):
    rig.serve("resource.k8s.io/v1beta1", DRA)
    rig.start()
    await rig.ready()
    rig.serve("resource.k8s.io/v1", DRA)
    rig.server.put("/apis/resource.k8s.io/v1/deviceclasses", "gpu")
    for plural in DRA.values():
        gone = rig.server.collections.pop(f"/apis/resource.k8s.io/v1beta1/{plural}")
        for watcher in gone.watchers:
            watcher.put_nowait("close")
    del rig.server.served["resource.k8s.io/v1beta1"]
    status = rig.informers.statuses["DeviceClass"]
    await eventually(lambda: status.state == "waiting")
    rig.clock.advance(5)
    await eventually(lambda: status.problem_code == 404)
    rig.clock.advance(330)
    await eventually(lambda: rig.store.classes)


BROKEN = {
    "500 for ever": apiserver.refusal(500, "InternalError"),
    "never answers": apiserver.Fault(mute=True),
    "answers and says nothing": apiserver.Fault(then="silence"),
    "drips": apiserver.Fault(body=b" " * 3000, then="drip"),
    "cut JSON": apiserver.Fault(body=b'{"kind": "NodeResourceTopologyList", "items": [{"meta'),
    "a web page": apiserver.Fault(
        body=b"<html>502 Bad Gateway</html>", headers={"Content-Type": "text/html"}
    ),
    "redirect": apiserver.Fault(status=302, headers={"Location": "https://elsewhere.example/"}),
    "reset": apiserver.Fault(then="reset"),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("place", ["discovery", "list"])
@pytest.mark.parametrize("kind", ["NodeResourceTopology", "DeviceClass"])
async def test_a_broken_kind_that_is_not_required_is_waited_for_30_seconds(
    rig, kind, place, broken, monkeypatch
):
    monkeypatch.setattr(client, "_GET_SECONDS", 0.2)  # this one is of real time
    rig.serve("resource.k8s.io/v1", {**DRA, "DeviceTaintRule": "devicetaintrules"})
    rig.serve(TOPOLOGY, {"NodeResourceTopology": "noderesourcetopologies"})
    wanted = next(each for each in informers.KINDS if each.kind == kind)
    path = wanted.at(wanted.versions[0]).path
    hurt = path.rpartition("/")[0] if place == "discovery" else path
    rig.server.broken[hurt] = BROKEN[broken]
    rig.server.put("/api/v1/nodes", "n")
    rig.start()
    group = [each.kind for each in informers.KINDS if each.versions == wanted.versions]
    awaited = set(group if place == "discovery" else [kind])
    await eventually(lambda: set(rig.informers.waiting_for()) == awaited)
    rig.clock.advance(29)
    assert set(rig.informers.waiting_for()) == awaited
    rig.clock.advance(1)
    await eventually(lambda: not rig.informers.waiting_for())
    assert awaited <= rig.store.silent - rig.store.read
    assert wanted.without in rig.informers.degraded()[kind]
    rig.server.broken.clear()
    for _ in range(60):
        if rig.informers.statuses[kind].synced:
            break
        rig.clock.advance(5)
        await asyncio.sleep(0.005)
    assert rig.informers.statuses[kind].synced
    assert not rig.informers.degraded()
    assert kind not in rig.store.silent


async def test_a_required_kind_is_waited_for_however_long(rig):
    rig.server.broken["/api/v1/nodes"] = apiserver.refusal(500, "InternalError")
    rig.start()
    for _ in range(30):
        rig.clock.advance(10)
        await asyncio.sleep(0.002)
    assert set(rig.informers.waiting_for()) == {"Node"}
    assert "InternalError" in rig.informers.waiting_for()["Node"]


async def test_a_kind_whose_follower_fails_by_a_bug_is_followed_again_and_the_others_go_on(rig):
    rig.serve("resource.k8s.io/v1", DRA)

    def lost(kind, reason):
        raise RuntimeError(f"{kind}: {reason}")

    rig.store.lost = lost
    rig.server.broken["/apis/resource.k8s.io/v1/deviceclasses"] = apiserver.refusal(500, "Broken")
    rig.start()
    status = rig.informers.statuses["DeviceClass"]
    failing = rig.informers._background
    await eventually(lambda: failing.restarts["reflector DeviceClass"])
    rig.server.broken.clear()
    rig.clock.advance(5)
    await eventually(lambda: status.synced)
    assert not rig.task.done()
    assert all(rig.informers.statuses[kind].synced for kind in ("Node", "Pod", *DRA))


async def test_the_policy_is_one_config_map_by_its_name(rig):
    path = "/api/v1/namespaces/railyard/configmaps"
    rig.server.add(path, "ConfigMap")
    rig.server.put(path, "policy", namespace="railyard", data={"policy.yaml": "{}"})
    rig.server.put(path, "other", namespace="railyard")
    wanted = informers.config_map("railyard", "policy")
    rig.start(wanted)
    await rig.ready()
    (asked,) = [seen for seen in rig.server.requests if seen.path == path]
    assert asked.query["fieldSelector"] == "metadata.name=policy"
    assert rig.informers.statuses["ConfigMap"].events == 1


async def test_stopping_ends_every_task_and_connection(rig):
    rig.serve("resource.k8s.io/v1", DRA)
    rig.start()
    await rig.ready()
    await rig.stop()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("reflector")]
    collections = rig.server.collections.values()
    await eventually(lambda: not any(each.watchers for each in collections))
