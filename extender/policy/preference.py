"""Match of hardware to need, beyond what fits: nothing precious for small jobs, nothing broken.

Each rule is a cost; the profile weighs their sum, and none of them ever refuses a node. What only
wastes hardware costs 0 to 1; what may well fail the pod costs up to `UNFIT`. The rules and their
sizes are our own; whose conditions, labels and names they read stands beside each.
"""

from __future__ import annotations

import enum
import fnmatch
import functools
from collections.abc import Iterable, Mapping, Sequence

from extender.hardware import resources
from extender.hardware.shape import Kind, Level, Shape
from extender.kube import objects, quantity

# Of a node where the pod may well fail: with the default weights ten points, as much as the
# farthest place for a gang, and more than any nearness of devices on one node.
UNFIT = 40.0
# Of devices with a taint that the pod tolerates, or that has no effect yet: something is said of
# them, but not that they are broken. With the default weight one point.
_TAINTED = 4.0

# Conditions by which health monitors say that hardware of a node is broken, as `TYPE=STATUS`;
# types are patterns, and no status means True. The policy may add its own.
DEGRADED_CONDITIONS = (
    # NVSentinel: its docs/INTEGRATIONS.md, "Standard Condition Types", and the NIC health monitor.
    "Gpu*Watch",
    "SysLogs*",
    "NVSwitch*",
    "DCGMError",
    "CSPMaintenance",
    "InfiniBand*Check",
    "Ethernet*Check",
    # node-problem-detector as AKS extends it for GPU nodes.
    "GPUMissing",
    "NVLinkStatusInactive",
    "XIDErrors",
    "IBLinkFlapping",
    "GPUClockThrottling",
    "UnhealthyNvidia*",
    # EKS node monitoring agent.
    "AcceleratedHardwareReady=False",
)


class Sandbox(enum.IntEnum):
    """How a GPU reaches the workload; a greater one needs more of the node."""

    NONE = 0  # a container on the host's driver
    VIRTUAL = 1  # passed through to a virtual machine
    CONFIDENTIAL = 2  # passed through to a confidential one, with the GPU's own protection on


_CONFIDENTIAL_WORDS = ("confidential", "-cc", "coco", "snp", "tdx")
_VIRTUAL_WORDS = (
    "kata",
    "vfio",
    "pgpu",
)  # "nvidia.com/pgpu" is Kata's name of a passed-through GPU
_VFIO = "-vfio-"  # in names of devices: "gpu-vfio-0"
_WORKLOAD_LABEL = "nvidia.com/gpu.workload.config"
_CONFIDENTIAL_LABEL = "nvidia.com/cc.ready.state"
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
    others = sum(level == Level.NVLINK for place, level in enumerate(row) if place != gpus[0])
    return len(gpus), others + 1


def tainted(hardware: Shape, devices: Sequence[int]) -> float:
    """The cost of devices that carry a taint, tolerated or without effect: by their share."""
    if not devices:
        return 0.0
    return _TAINTED * sum(bool(hardware.devices[d].taints) for d in devices) / len(devices)


# ---------------------------------------------------------------- the node's health


def degraded(node: objects.Node, conditions: Sequence[str]) -> float:
    """The cost of what is broken on the node: `UNFIT` where a monitor says so, or it is cordoned.

    Where a device plug-in counts some of its units as unhealthy, by their share.
    """
    if node.spec.unschedulable or any(_bad_conditions(node, conditions)):
        return UNFIT
    return UNFIT * max((bad / count for _, bad, count in _unhealthy(node)), default=0.0)


def troubles(node: objects.Node, conditions: Sequence[str]) -> list[str]:
    """What makes the node degraded, in words; `conditions` are those of the policy's own."""
    found = [
        f"condition {condition.type} is {condition.status.lower()}"
        for condition in _bad_conditions(node, conditions)
    ]
    found += [f"{bad} of {count} {name} are unhealthy" for name, bad, count in _unhealthy(node)]
    return [*found, "the node is cordoned"] if node.spec.unschedulable else found


def _bad_conditions(
    node: objects.Node, conditions: Sequence[str]
) -> Iterable[objects.NodeCondition]:
    for condition in node.status.conditions or ():
        if condition.status in _bad_statuses(condition.type, tuple(conditions)):
            yield condition


@functools.lru_cache(maxsize=1024)
def _bad_statuses(kind: str, conditions: tuple[str, ...]) -> frozenset[str]:
    """The statuses of such a condition that mark a degraded node; none for most."""
    found = set()
    for entry in (*DEGRADED_CONDITIONS, *conditions):
        pattern, _, status = entry.partition("=")
        if fnmatch.fnmatchcase(kind, pattern):
            found.add(status or "True")
    return frozenset(found)


def _unhealthy(node: objects.Node) -> Iterable[tuple[str, int, int]]:
    """(resource, unhealthy, all) of each device plug-in that counts more units than it offers."""
    allocatable = node.status.allocatable or {}
    for name, amount in (node.status.capacity or {}).items():
        if resources.is_device_resource(name):
            count, offered = quantity.whole(amount), quantity.whole(allocatable.get(name, 0))
            if 0 < offered < count:  # 0 is a plug-in that stopped, or made partitions of them
                yield name, count - offered, count


# ---------------------------------------------------------------- virtual machines


def wanted(pod: objects.Pod, names: Iterable[str] = ()) -> Sandbox:
    """What the pod's runtime class and labels, and the classes and resources it asks for, want.

    Runtime classes are named as Kata Containers and Confidential Containers name theirs.
    """
    runtime = (pod.spec.runtime_class_name or "").lower()
    if any(word in runtime for word in _CONFIDENTIAL_WORDS):
        return Sandbox.CONFIDENTIAL
    texts = (runtime, *names)
    label, value = _LAUNCHER
    launches = (pod.metadata.labels or {}).get(label) == value
    if launches or any(word in text for word in _VIRTUAL_WORDS for text in texts):
        return Sandbox.VIRTUAL
    return Sandbox.NONE


def offered(labels: Mapping[str, str], hardware: Shape) -> Sandbox:
    """What the node is set up for: by the GPU operator's labels, or by the devices it shows."""
    if labels.get(_CONFIDENTIAL_LABEL) == "true":
        return Sandbox.CONFIDENTIAL
    shown = any(_VFIO in device.name for device in hardware.devices)
    if shown or labels.get(_WORKLOAD_LABEL, "").startswith("vm-"):
        return Sandbox.VIRTUAL
    return Sandbox.NONE


def misfit(wants: Sandbox, offers: Sandbox) -> float:
    """The cost of a node that offers less than the pod wants (`UNFIT`), or more (1)."""
    if wants == offers:
        return 0.0
    return UNFIT if wants > offers else 1.0
