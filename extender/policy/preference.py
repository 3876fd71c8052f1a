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
    gpus = [d for d in devices if hardware.devices[d].kind is Kind.GPU]
    if not gpus:
        return 0.0
    first = gpus[0]
    linked = sum(level == Level.NVLINK for level in hardware.levels[first])
    island = linked + 1 if hardware.levels[first][first] != Level.NVLINK else linked
    return max(0.0, 1 - len(gpus) / island)


def tainted(hardware: Shape, devices: Sequence[int]) -> float:
    """The share of the devices that carry a taint, tolerated or without effect."""
    if not devices:
        return 0.0
    return sum(bool(hardware.devices[d].taints) for d in devices) / len(devices)


def degraded(node: objects.Node, conditions: Sequence[str]) -> float:
    """1 where a health condition is true, or the node is cordoned; else 0."""
    bad = {*DEGRADED_CONDITIONS, *conditions}
    found = any(
        condition.type in bad and condition.status == "True"
        for condition in node.status.conditions or ()
    )
    return float(found or node.spec.unschedulable)


def sandboxed(pod: objects.Pod) -> bool:
    """Whether the pod runs in a virtual machine, and so wants a GPU passed through."""
    runtime = (pod.spec.runtime_class_name or "").lower()
    return any(word in runtime for word in _SANDBOXES)


def passthrough(labels: Mapping[str, str]) -> bool:
    """Whether the node's GPUs are set up for virtual machines or confidential computing."""
    workload = labels.get(_WORKLOAD_LABEL, "")
    return workload.startswith("vm-") or labels.get(_CONFIDENTIAL_LABEL) == "true"
