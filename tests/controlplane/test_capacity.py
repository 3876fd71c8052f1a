"""Capacity says what a real kube-scheduler then places, cluster by cluster."""

from __future__ import annotations

import pytest

from extender.capacity import counting, pod_shape
from extender.hardware import allocator_features
from extender.kube import client
from extender.kube.auth import kubeconfig
from extender.policy import config
from extender.service import assembly, cluster_reading
from tests.kit.controlplane import api as kube_api
from tests.kit.controlplane import build, configuration, fleet, machines

pytestmark = pytest.mark.controlplane

PATIENCE = 120
BEYOND = 2  # pods more than fit: kube-scheduler has to say no to these
ROOTS = ["pci0000:00", "pci0000:40", "pci0000:80", "pci0000:c0"]
GPU, NIC = fleet.GPU_DRIVER, fleet.NIC_DRIVER


def plugins():
    """Device plug-ins alone; a cordoned node, and one whose CPU runs out first."""
    for number in range(3):
        yield from machines.plugin(f"plugin-{number}")
    yield fleet.node("small", resources={"cpu": "3", fleet.GPU_RESOURCE: "8"})
    cordoned = fleet.node("cordoned", resources={fleet.GPU_RESOURCE: "8"})
    yield cordoned | {"spec": {"unschedulable": True}}


def dra(roots_of_nics=ROOTS):
    """Four GPUs a node, and a card behind some of their roots."""
    yield from (fleet.gpu_class(), fleet.nic_class())
    for number in range(3):
        name = f"dra-{number}"
        yield fleet.node(name)
        yield fleet.resource_slice(name, GPU, fleet.gpus(ROOTS))
        yield fleet.resource_slice(name, NIC, fleet.nics(roots_of_nics))


def partitions():
    """MIG partitions that share a GPU's counters."""
    yield from machines.device_classes()
    for number in range(2):
        yield from machines.mig(f"mig-{number}")


def mixed():
    """Plug-ins and DRA behind one resource name, as clusters have while they migrate."""
    yield fleet.device_class(
        GPU, f"device.driver == '{GPU}'", extendedResourceName=fleet.GPU_RESOURCE
    )
    yield from machines.plugin("plugin-0")
    yield fleet.node("dra-0")
    yield fleet.resource_slice("dra-0", GPU, fleet.gpus(ROOTS))


def near():
    """A GPU and a card behind one root; the first two GPUs have none."""
    yield from dra(ROOTS[2:])
    yield fleet.gpu_with_near_nic()


async def count(plane):
    """What Railyard counts on the cluster, with the rights that it ships with."""
    server = kubeconfig.read(str(plane.kubeconfig("railyard")))
    async with client.Client(server) as ours:
        read = await cluster_reading.read(ours, patience=PATIENCE, progress=lambda *_: None)
    judging = assembly.assemble(
        policy=config.DEFAULT,
        features=allocator_features.features_of(build.default_version()),
        hardware=assembly.read_catalogue(),
    )
    assembly.feed(judging, read.objects)
    pod = next(item for kind, item in read.objects if kind == "Pod")
    return counting.count(judging, pod_shape.like(pod))


def refused(pod):
    """Whether kube-scheduler looked at all nodes; before its claims are made it does not."""
    return "nodes are available" in kube_api.scheduling_failure(pod)


CLUSTERS = {
    "device plug-ins": (plugins, {"resources": {fleet.GPU_RESOURCE: "3", "cpu": "2"}}, [], 7),
    "claims of two kinds": (
        dra, {}, [fleet.request("g", GPU, count=1), fleet.request("n", NIC, count=1)], 12,
    ),
    "a constraint": (near, {"claim_templates": ["gpu-near-nic"]}, [], 6),
    "partitions": (partitions, {}, None, 8),
    "one name, two ways": (mixed, {"resources": {fleet.GPU_RESOURCE: "2"}}, [], 6),
}  # fmt: skip


@pytest.mark.parametrize(("made", "asked", "requests", "fits"), CLUSTERS.values(), ids=CLUSTERS)
async def test_capacity_is_what_kube_scheduler_then_places(plane, api, made, asked, requests, fits):
    for item in made():
        await api.create(item)
    if requests is None:
        partition = f"device.attributes['{GPU}'].profile == '3g.40gb'"
        requests = [fleet.request("part", machines.MIG_CLASS, partition)]
    if requests:
        await api.create(fleet.claim_template("wanted", requests))
        asked = {"claim_templates": ["wanted"]}
    await api.create(fleet.pod("pod-first", **asked))
    reported = await count(plane)
    assert reported.fits == fits

    with plane.scheduling(configuration.Scheduling()):
        await api.create_all(
            fleet.pod(f"pod-{number}", **asked) for number in range(reported.fits + BEYOND - 1)
        )
        pods = await api.wait(
            "Pod",
            lambda pods: all(kube_api.node_of(pod) or refused(pod) for pod in pods),
            patience=PATIENCE,
        )

    where = [node for pod in pods if (node := kube_api.node_of(pod))]
    assert len(where) == reported.fits > 0
    expected = {node: n for pool in reported.pools for node, n in pool.fits_on.items()}
    assert {node: where.count(node) for node in where} == expected
