"""Match of hardware to need, beyond what fits: nothing precious for small jobs, nothing broken.

Each rule is a cost; the profile weighs their sum, and none of them ever refuses a node. What only
wastes hardware costs 0 to 1; what may well fail the pod costs up to `UNFIT`. The rules and their
sizes are our own; whose conditions, labels and names they read stands beside each.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence

from extender import bounded_cache
from extender.demand.allocator.outcome import Pick
from extender.demand.requests import ClaimDemand
from extender.hardware.shape import Kind, Level, Shape
from extender.kube.api import objects, quantity
from extender.policy import health_signals

UNFIT = health_signals.UNFIT
# Of a GPU where the pod asked for a whole one and would get a share: others may take the memory it
# counts on. With the default weight two points.
_SHARED = 8.0
# How soon a later choice of a `firstAvailable` list costs half of `UNFIT`: at this rank. The first
# step costs two points with the default weight, more than all NVLink that a pod can waste.
_HALF_RANK = 4.0


class Sandbox(enum.IntEnum):
    """How a GPU reaches the workload; a greater one needs more of the node."""

    NONE = 0  # a container on the host's driver
    VIRTUAL = 1  # passed through to a virtual machine
    CONFIDENTIAL = 2  # passed through to a confidential one, with the GPU's own protection on


# Words of runtime classes, device classes and resources.
_CONFIDENTIAL_WORDS = frozenset({"confidential", "cc", "coco", "snp", "tdx"})
_VIRTUAL_WORDS = frozenset({"kata", "vfio", "pgpu"})  # nvidia.com/pgpu is Kata's name of a GPU
_VFIO = "-vfio-"  # in names of devices: "gpu-vfio-0"
_WORKLOAD_LABEL = "nvidia.com/gpu.workload.config"
# Parts of the GPU operator that hand GPUs to virtual machines; nodes have no workload label where
# that is the default.
_PASSTHROUGH_LABELS = (
    "nvidia.com/gpu.deploy.vfio-manager",
    "nvidia.com/gpu.deploy.kata-sandbox-device-plugin",
    "nvidia.com/gpu.deploy.sandbox-device-plugin",
)
_KATA_LABEL = "katacontainers.io/kata-runtime"
_CONFIDENTIAL_LABEL = "nvidia.com/cc.ready.state"
_CAPABLE_LABEL = "nvidia.com/cc.capable"
_LAUNCHER = ("kubevirt.io", "virt-launcher")  # label of the pod that runs a KubeVirt machine


# ---------------------------------------------------------------- devices


def wasted(hardware: Shape, devices: Sequence[int]) -> float:
    """The share of an NVLink island that the pod cannot use: 1 GPU of 8 linked ones wastes 7/8.

    0 on machines without NVLink, and for pods without GPUs.
    """
    used, joined = linked(hardware, devices)
    return max(0.0, 1 - used / joined) if joined else 0.0


def linked(hardware: Shape, devices: Sequence[int]) -> tuple[int, int]:
    """How many GPUs the pod gets, and how many its first one is joined with, itself included."""
    gpus = [d for d in devices if hardware.devices[d].kind is Kind.GPU]
    if not gpus:
        return 0, 0
    row = hardware.levels[gpus[0]]
    others = row.count(Level.NVLINK) - (row[gpus[0]] == Level.NVLINK)
    return len(gpus), others + 1


def tainted(hardware: Shape, devices: Sequence[int]) -> float:
    """The cost of devices that carry a taint, tolerated or without effect."""
    return health_signals.tainted([hardware.devices[position] for position in devices])


def shared(hardware: Shape, extended: Iterable[tuple[str, int]]) -> float:
    """The cost of getting shares where the resources' names stand for whole GPUs."""
    asked = {name for name, _ in extended}
    return max(
        (_SHARED * (1 - r.share) for r in hardware.resources if r.named_whole and r.name in asked),
        default=0.0,
    )


def later_choices(claims: Sequence[ClaimDemand], picks: Iterable[Pick]) -> int:
    """How many places down their `firstAvailable` lists the picked choices stand, in all."""
    picked = {(pick.claim, pick.request) for pick in picks}
    return sum(
        rank
        for number, claim in enumerate(claims)
        for request in claim.requests
        if request.prioritized
        for rank, choice in enumerate(request.choices)
        if (number, choice.name) in picked
    )


def out_of_order(ranks: int) -> float:
    """The cost of later choices: each step more, and never as much as a broken node.

    kube-scheduler scores nodes by the same order since 1.35.
    """
    return UNFIT * ranks / (ranks + _HALF_RANK)


# ---------------------------------------------------------------- the node's health


def degraded(node: objects.Node, conditions: Sequence[str], hardware: Shape) -> float:
    """The cost of what is broken on the node: `UNFIT` where a monitor says so, or it is cordoned.

    Where a device plug-in counts some of its units as unhealthy, by their share.
    """
    if node.spec.unschedulable or any(_bad_conditions(node, conditions)):
        return UNFIT
    reported = [cost for cost, _ in health_signals.of_labels(node.metadata.labels or {})]
    reported += [UNFIT * bad / count for _, bad, count in _unhealthy(node, hardware)]
    return max(reported, default=0.0)


def troubles(node: objects.Node, conditions: Sequence[str], hardware: Shape) -> list[str]:
    """What makes the node degraded, in words; `conditions` are those of the policy's own."""
    found = [
        f"condition {condition.type} is {condition.status.lower()}"
        for condition in _bad_conditions(node, conditions)
    ]
    found += [words for _, words in health_signals.of_labels(node.metadata.labels or {})]
    found += [
        f"{bad} of {count} {name} are unhealthy" for name, bad, count in _unhealthy(node, hardware)
    ]
    return [*found, "the node is cordoned"] if node.spec.unschedulable else found


def _bad_conditions(
    node: objects.Node, conditions: Sequence[str]
) -> Iterable[objects.NodeCondition]:
    for condition in node.status.conditions or ():
        if condition.status in _bad_statuses(condition.type, tuple(conditions)):
            yield condition


_bad_statuses = bounded_cache.remembered("bad-conditions", 1024)(health_signals.bad_statuses)


def _unhealthy(node: objects.Node, hardware: Shape) -> Iterable[tuple[str, int, int]]:
    """(resource, unhealthy, all) of each device plug-in that counts more units than it offers.

    One that offers none has stopped, or made partitions of them.
    """
    capacity = node.status.capacity or {}
    for resource in hardware.resources:
        count = quantity.whole(capacity.get(resource.name, 0))
        if resource.kind is not None and resource.count < count:
            yield resource.name, count - resource.count, count


# ---------------------------------------------------------------- virtual machines


def wanted(pod: objects.Pod, names: Iterable[str] = (), *, passed: bool = False) -> Sandbox:
    """What the pod's runtime class and labels, and the classes and resources it asks for, want.

    Runtime classes are named as Kata Containers and Confidential Containers name theirs. `passed`:
    a resource that it asks for is handed to virtual machines.
    """
    runtime = _words(pod.spec.runtime_class_name or "")
    if runtime & _CONFIDENTIAL_WORDS:
        return Sandbox.CONFIDENTIAL
    label, value = _LAUNCHER
    launches = (pod.metadata.labels or {}).get(label) == value
    if (
        launches
        or passed
        or any(words & _VIRTUAL_WORDS for words in (runtime, *map(_words, names)))
    ):
        return Sandbox.VIRTUAL
    return Sandbox.NONE


@bounded_cache.remembered("runtime-classes", 4096)
def _words(name: str) -> frozenset[str]:
    return frozenset(re.split(r"[^a-z0-9]+", name.lower()))


def offered(labels: Mapping[str, str], hardware: Shape) -> Sandbox:
    """What the node is set up for: by the GPU operator's labels, or by the devices it shows."""
    if labels.get(_CONFIDENTIAL_LABEL) == "true":
        return Sandbox.CONFIDENTIAL
    if not _passes_through(labels, hardware):
        return Sandbox.NONE
    capable = labels.get(_CAPABLE_LABEL) == "true" and _CONFIDENTIAL_LABEL not in labels
    return Sandbox.CONFIDENTIAL if capable else Sandbox.VIRTUAL


def _passes_through(labels: Mapping[str, str], hardware: Shape) -> bool:
    if any(_VFIO in device.name for device in hardware.devices):
        return True
    if any(resource.virtual for resource in hardware.resources):
        return True
    workload = labels.get(_WORKLOAD_LABEL, "")
    if workload:
        return workload.startswith("vm-")
    if any(labels.get(label) == "true" for label in _PASSTHROUGH_LABELS):
        return True
    # Kata alone says nothing of GPUs that containers use.
    whole = any(r.kind in {Kind.GPU, Kind.PARTITION} for r in hardware.resources)
    return labels.get(_KATA_LABEL) == "true" and not whole


def misfit(wants: Sandbox, offers: Sandbox) -> float:
    """The cost of a node that offers less than the pod wants (`UNFIT`), or more (1)."""
    if wants == offers:
        return 0.0
    return UNFIT if wants > offers else 1.0
