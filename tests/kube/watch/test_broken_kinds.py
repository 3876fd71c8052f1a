"""Kinds that break, bugs of ours, and the end: what the informers do then."""

import asyncio

import pytest

from extender.kube import client
from extender.kube.watch import informers
from tests.kit import apiserver, virtual_time
from tests.kit.clock import eventually
from tests.kit.rigs.informer_rig import Rig

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
LASTING = {"never answers", "answers and says nothing", "drips"}  # they end by a limit alone


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("place", ["discovery", "list"])
@pytest.mark.parametrize("kind", ["NodeResourceTopology", "DeviceClass"])
async def test_a_broken_kind_that_is_not_required_is_waited_for_30_seconds(
    rig, kind, place, broken, monkeypatch
):
    if broken in LASTING:  # this limit is of real time, also for the kinds that are well
        monkeypatch.setattr(client, "_GET_SECONDS", 0.5)
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
    for _ in range(400):  # a request that is under way ends by the limit first
        if rig.informers.statuses[kind].synced:
            break
        rig.clock.advance(5)
        await asyncio.sleep(0.005)  # a server that drips is never done
    assert rig.informers.statuses[kind].synced
    assert not rig.informers.degraded()
    assert kind not in rig.store.silent


async def test_a_required_kind_is_waited_for_however_long(rig):
    rig.server.broken["/api/v1/nodes"] = apiserver.refusal(500, "InternalError")
    rig.start()
    await rig.clock.let_pass(300)
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
