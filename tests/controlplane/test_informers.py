"""What the informers hold is what a real API server has, also after bursts and restarts."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from extender.cluster import store as cluster_store
from extender.kube import client
from extender.kube.auth import kubeconfig
from extender.kube.watch import informers
from tests.kit.controlplane import api as kube_api
from tests.kit.controlplane import configuration, fleet, machines, workload

pytestmark = pytest.mark.controlplane

# A restarted API server is back in 3 s; the reflectors' backoff then adds up to 30 s.
PATIENCE = 60


class Policies(cluster_store.ClusterStore):
    """A store that also keeps ConfigMaps, which in the service go to the policy instead."""

    def __init__(self):
        super().__init__()
        self.maps = {}

    def replace(self, kind, items, resource_version):
        if kind == "ConfigMap":
            self.maps = {item.metadata.name: item for item in items}
        else:
            super().replace(kind, items, resource_version)

    def apply(self, kind, event, item):
        if kind == "ConfigMap":
            self.maps[item.metadata.name] = item
        else:
            super().apply(kind, event, item)


@pytest.fixture
async def watched(plane, api):
    """A store filled by informers that run as Railyard's user, and those informers."""
    store = Policies()
    kinds = (*informers.KINDS, informers.config_map("railyard", "railyard-policy"))
    server = kubeconfig.read(str(plane.kubeconfig("railyard")))
    async with client.Client(server) as ours:
        running = informers.Informers(ours, store, kinds=kinds)
        task = asyncio.create_task(running.run())
        await until(lambda: not running.waiting_for(), task)
        yield store, running
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition, task=None):
    async with asyncio.timeout(PATIENCE):
        while not condition():
            if task is not None and task.done():
                task.result()
            await asyncio.sleep(0.05)


async def assert_same(api, store):
    """Compare pods, nodes, slices and claims with the API server's, waiting for the last events."""
    expected = {
        "pods": {
            (pod["metadata"]["namespace"], pod["metadata"]["name"]): (
                pod["metadata"]["uid"],
                kube_api.node_of(pod),
            )
            for pod in await api.list("Pod", None)
        },
        "nodes": {node["metadata"]["name"] for node in await api.list("Node")},
        "slices": {item["metadata"]["name"] for item in await api.list("ResourceSlice")},
        "claims": {
            (claim["metadata"]["namespace"], claim["metadata"]["name"]): [
                device for *_, device in fleet.allocated_devices(claim)
            ]
            for claim in await api.list("ResourceClaim", None)
        },
    }

    def seen():
        return {
            "pods": {
                key: (pod.metadata.uid, pod.spec.node_name) for key, pod in store.pods.items()
            },
            "nodes": set(store.nodes),
            "slices": set(store.slices),
            "claims": {key: devices_of(claim) for key, claim in store.claims.items()},
        }

    with contextlib.suppress(TimeoutError):
        await until(lambda: seen() == expected)
    assert seen() == expected


def devices_of(claim):
    allocation = claim.status.allocation
    return [result.device for result in allocation.devices.results] if allocation else []


async def test_every_kind_syncs_with_the_permissions_we_ship(watched):
    _, running = watched
    assert {kind for kind, status in running.statuses.items() if status.synced} == {
        "Node",
        "Pod",
        "ResourceSlice",
        "ResourceClaim",
        "ResourceClaimTemplate",
        "DeviceClass",
        "DeviceTaintRule",
        "ConfigMap",
    }
    assert set(running.degraded()) == {"NodeResourceTopology"}


async def test_the_policy_and_no_other_config_map_arrives(api, watched):
    store, _ = watched
    for name in ("another", "railyard-policy"):
        await api.create(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": "railyard"},
                "data": {"policy.yaml": "{}"},
            }
        )
    try:
        await until(lambda: store.maps)
        assert set(store.maps) == {"railyard-policy"}
    finally:
        await api.clear("ConfigMap", "railyard")


async def test_a_burst_of_pods_and_their_devices_arrives_whole(plane, api, watched):
    store, _ = watched
    await api.create_all(machines.device_classes() + workload.templates())
    await api.create_all(machines.machines(60))
    with plane.scheduling(configuration.Scheduling()):
        await api.create_all(workload.pods(100, seed=6))
        await api.wait_bound(100, patience=PATIENCE)
        await assert_same(api, store)


async def test_after_an_api_server_restart_nothing_is_missing_or_left_over(plane, api, watched):
    store, _ = watched
    await api.create(fleet.node("node-0"))
    await api.create_all(fleet.pod(f"before-{number}") for number in range(300))
    creating = asyncio.create_task(
        api.create_all((fleet.pod(f"during-{number}") for number in range(300)), in_flight=4)
    )
    await asyncio.to_thread(plane.restart, "kube-apiserver", kill=True)
    await creating
    for number in range(100):
        await api.delete("Pod", f"before-{number}")
    await assert_same(api, store)
    assert len(store.pods) == 500
