"""Match of hardware to need, beyond what fits: nothing precious for small jobs, nothing degraded.

Each rule is a cost from 0 to 1; the profile weighs their sum. None of them ever refuses a node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from extender.hardware.shape import Kind, Level, Shape
from extender.kube import objects

# Node conditions that health monitors set while a node still runs pods (node-problem-detector and
# NVSentinel name them so); the policy may add its own.
DEGRADED_CONDITIONS = (
    "GpuUnhealthy",
    "GPUUnhealthy",
    "GpuXidError",
    "GpuNvLinkError",
    "GpuThermalViolation",
    "NVLinkDown",
    "InfinibandDown",
    "RdmaUnhealthy",
)
# Runtime classes that want a GPU passed through to a virtual machine.
_SANDBOXES = ("kata", "confidential", "-cc", "snp", "tdx")
_WORKLOAD_LABEL = "nvidia.com/gpu.workload.config"
_CONFIDENTIAL_LABEL = "nvidia.com/cc.ready.state"


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
    """The share of the devices that carry a taint, tolerated or without effect."""
    if not devices:
        return 0.0
    return sum(bool(hardware.devices[d].taints) for d in devices) / len(devices)


def degraded(node: objects.Node, conditions: Sequence[str]) -> float:
    """1 where a health condition is true, or the node is cordoned; else 0."""
    return float(bool(troubles(node, conditions)))


def troubles(node: objects.Node, conditions: Sequence[str]) -> list[str]:
    """What makes the node degraded, in words; `conditions` are those of the policy's own."""
    bad = {*DEGRADED_CONDITIONS, *conditions}
    found = [
        f"condition {condition.type} is true"
        for condition in node.status.conditions or ()
        if condition.type in bad and condition.status == "True"
    ]
    return [*found, "the node is cordoned"] if node.spec.unschedulable else found


def sandboxed(pod: objects.Pod) -> bool:
    """Whether the pod runs in a virtual machine, and so wants a GPU passed through."""
    runtime = (pod.spec.runtime_class_name or "").lower()
    return any(word in runtime for word in _SANDBOXES)


def passthrough(labels: Mapping[str, str]) -> bool:
    """Whether the node's GPUs are set up for virtual machines or confidential computing."""
    workload = labels.get(_WORKLOAD_LABEL, "")
    return workload.startswith("vm-") or labels.get(_CONFIDENTIAL_LABEL) == "true"
