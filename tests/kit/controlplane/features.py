"""What of DRA must be switched on, per Kubernetes version, so that all of it can be tested."""

from __future__ import annotations

# (gate, first minor version that knows it, first that has it on by default); no gate is listed for
# what is alpha in the newest version.
GATES = (
    ("DRAPartitionableDevices", 33, 36),
    ("DRADeviceTaints", 33, 36),
    ("DRADeviceTaintRules", 35, 37),
    ("DRAConsumableCapacity", 34, 36),
    ("DRADeviceBindingConditions", 34, 36),
    ("DRAExtendedResource", 34, 36),
)
# minor version → where DeviceTaintRule is served when asked for; from 1.37 it is in v1
TAINT_RULE_API = {
    34: "resource.k8s.io/v1alpha3",
    35: "resource.k8s.io/v1alpha3",
    36: "resource.k8s.io/v1beta2",
}
# Since this minor version a slice holds either devices or the counters they share; before it, a
# device could draw only from counters of its own slice.
COUNTERS_APART = 35


def minor_of(version: str) -> int:
    return int(version.split(".")[1])


def gates(version: str) -> dict[str, bool]:
    """Return the feature gates to switch on, by name."""
    minor = minor_of(version)
    return {gate: True for gate, known, default in GATES if known <= minor < default}


def runtime_config(version: str) -> list[str]:
    """Return what kube-apiserver must serve besides its defaults."""
    api = TAINT_RULE_API.get(minor_of(version))
    return [f"{api}=true"] if api else []
