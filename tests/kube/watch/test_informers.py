"""Which kinds are followed, in which version, and what is done without one."""

import asyncio

import pytest

from extender.kube.watch import informers
from tests.kit import apiserver, virtual_time
from tests.kit.clock import eventually
from tests.kit.rigs.informer_rig import CORE, Rig

LOOP = virtual_time.Loop

DRA = {
    "ResourceSlice": "resourceslices",
    "ResourceClaim": "resourceclaims",
    "ResourceClaimTemplate": "resourceclaimtemplates",
    "DeviceClass": "deviceclasses",
}


TOPOLOGY = "topology.node.k8s.io/v1alpha2"


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
