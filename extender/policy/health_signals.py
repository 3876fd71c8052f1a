"""What health monitors and operators write on nodes and devices, and how bad each of it is.

Sources: NVSentinel docs (labels, node conditions, expected device counts); GPU operator
documentation, driver upgrades and MIG manager; NVIDIA's DRA driver, device health.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from extender.hardware.shape import Device
from extender.kube.api import objects

# Of a node where the pod may well fail: with the default weights ten points, as much as the
# farthest place for a gang, and more than any locality of devices on one node.
UNFIT = 40.0

# ---------------------------------------------------------------- taints of devices

# Of a taint that nobody here knows, by effect; the pod tolerates it, or it has none yet. Something
# is said of the device, but not that it is broken. With the default weight 4 are one point.
_TAINTED = {"None": 2.0, "NoSchedule": 4.0, "NoExecute": 8.0}
# the last part of a known key → (cost where the effect is None, where it is another)
_KNOWN_TAINTS = {
    "unmonitored": (0.5, 2.0),  # NVML cannot watch the device: nothing is said of its health
    "xid": (4.0, UNFIT / 2),  # None: an error of an application; else of the hardware
    "gpu-lost": (UNFIT, UNFIT),  # the driver cannot reach the device any more
}


def tainted(devices: Sequence[Device]) -> float:
    """The cost of devices that carry a taint: by their share, a broken one by itself."""
    costs = [max(map(_of_taint, device.taints), default=0.0) for device in devices]
    worst = max(costs, default=0.0)
    # A job runs on all of its devices, and fails with the one that fails.
    return worst if worst >= UNFIT / 2 else sum(costs) / max(len(costs), 1)


def _of_taint(taint: objects.DeviceTaint) -> float:
    known = _KNOWN_TAINTS.get(taint.key.rpartition("/")[2])
    if known is not None:
        return known[taint.effect != "None"]
    return _TAINTED.get(taint.effect, _TAINTED["NoSchedule"])


# ---------------------------------------------------------------- labels of nodes

_NVSENTINEL = "dgxc.nvidia.com/nvsentinel-state"
_MIG_STATE = "nvidia.com/mig.config.state"
_COUNT = "nvsentinel.dgxc.nvidia.com/{}.count.{}"
_COUNTED = {"gpu": "GPUs", "nic": "NICs"}
# Drivers of GPUs, of NICs, and those of other vendors' operators go through the same states.
_UPGRADE = re.compile(r"[^/]+/(?:gpu|vgpu|npu|ofed)-driver-upgrade-state")
# Part of `UNFIT`. A node that waits for its turn is drained within hours, or days; one that has
# been begun with, in a moment.
_UPGRADES = {"upgrade-required": 0.5, "uncordon-required": 0.25}
_UPGRADE_ENDS = ("-done", "-skipped", "")
_MIG_STATES = {"pending": 1.0, "rebooting": 1.0, "failed": 0.5}
# Part of `UNFIT` by what NVSentinel calls the node: taken out of service, about to be given back,
# or well. A state that is not known says little.
_SENTINEL_STATES = {
    **dict.fromkeys(("quarantined", "draining", "drain-succeeded", "drain-failed"), 1.0),
    **dict.fromkeys(("remediating", "remediation-failed"), 1.0),
    **dict.fromkeys(("remediation-succeeded", "remediated"), 0.5),
    **dict.fromkeys(("", "healthy", "ok", "none", "unquarantined", "uncordoned"), 0.0),
}
_SENTINEL_UNKNOWN = 0.1


def of_labels(labels: Mapping[str, str]) -> Iterator[tuple[float, str]]:
    """(cost, in words) of everything that the node's labels say against it."""
    state = labels.get(_NVSENTINEL, "")
    if share := _SENTINEL_STATES.get(state.strip().lower(), _SENTINEL_UNKNOWN):
        yield UNFIT * share, f"NVSentinel has it {state}"
    for label, value in labels.items():
        if _UPGRADE.fullmatch(label) and not value.endswith(_UPGRADE_ENDS[:2]) and value:
            yield UNFIT * _UPGRADES.get(value, 1.0), f"its driver is being upgraded ({value})"
    state = labels.get(_MIG_STATE, "")
    if state in _MIG_STATES:
        yield UNFIT * _MIG_STATES[state], f"its MIG partitions are being made anew ({state})"
    for kind, word in _COUNTED.items():
        there = labels.get(_COUNT.format(kind, "current"), "")
        wanted = labels.get(_COUNT.format(kind, "expected"), "")
        if there.isdecimal() and wanted.isdecimal() and int(there) < int(wanted):
            missing = 1 - int(there) / int(wanted)
            yield UNFIT * missing, f"{there} of {wanted} expected {word} are there"


# ---------------------------------------------------------------- conditions of nodes

# Conditions by which health monitors say that hardware of a node is broken, as `TYPE=STATUS`;
# types are patterns, and no status means True. The policy may add its own.
DEGRADED_CONDITIONS = (
    # NVSentinel: its docs/INTEGRATIONS.md, "Standard Condition Types", and the NIC health monitor.
    "Gpu*Watch",
    "SysLogs*",
    "SyslogError",
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
# Errors that hardware and applications go on with, whatever pattern above has their type.
_HARMLESS = "*NonFatal*"


def bad_statuses(kind: str, own: Iterable[str]) -> frozenset[str]:
    """The statuses of such a condition that mark a degraded node; none for most.

    `own` are the policy's entries.
    """
    known = () if fnmatch.fnmatchcase(kind, _HARMLESS) else DEGRADED_CONDITIONS
    found = set()
    for entry in (*known, *own):
        pattern, _, status = entry.partition("=")
        if fnmatch.fnmatchcase(kind, pattern):
            found.add(status or "True")
    return frozenset(found)
