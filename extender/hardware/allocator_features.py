"""What a Kubernetes version's allocator can do, and which of its known defects it has.

Source: pkg/features/kube_features.go for the gates; the structured allocator of
k8s.io/dynamic-resource-allocation v0.34 to v0.37 for the rest; each defect names its issue.
Which version has what is established with the allocators of 0.34.9, 0.35.6, 0.36.2, 0.36.3 and
0.37.1: tests/demand/allocator/test_defects.py has a smallest case for each switch and asks all of
them. Of the repairs announced for 1.36, only that of the leak is in 0.36.3; 0.37.1 has none of
these defects.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping

# What vendors append begins with - or +: v1.36.3-gke.1200, v1.36.3+k3s1, 1.36+.
_FORM = re.compile(r"v?(\d{1,3})\.(\d{1,3})(?:\.(\d{1,6}))?(?:[-+][\w.+-]*)?", re.ASCII)
_OLDEST, _NEWEST = (1, 34), (1, 37)
NEWEST = "{}.{}".format(*_NEWEST)
# A version without a patch ("1.36") means the newest patch of it.
_LATEST_PATCH = 10**6

_BINDING, _STATUS = "DRADeviceBindingConditions", "DRAResourceClaimDeviceStatus"
_CONSUMABLE, _LISTS = "DRAConsumableCapacity", "DRAListTypeAttributes"
# gate → the release from which it is on by default; None: off in all releases known here
GATES: dict[str, tuple[int, int] | None] = {
    "DRAAdminAccess": (1, 34),
    "DRAPrioritizedList": (1, 34),
    _STATUS: (1, 34),
    "DRAPartitionableDevices": (1, 36),
    "DRADeviceTaints": (1, 36),
    _CONSUMABLE: (1, 36),
    _BINDING: (1, 36),
    "DRAExtendedResource": (1, 36),
    "DRADeviceTaintRules": (1, 37),
    "DRAFractionalCapacityRange": (1, 37),
    _LISTS: None,
}


@dataclasses.dataclass(frozen=True, slots=True)
class AllocatorFeatures:
    """Switches of the allocator: feature gates, behaviour by version, known defects.

    The defaults are those of the newest version known here, without defects.
    """

    # Feature gates.
    admin_access: bool = True
    prioritized_list: bool = True
    partitionable: bool = True
    consumable_capacity: bool = True
    device_taints: bool = True
    taint_rules: bool = True
    binding_conditions: bool = True
    extended_resources: bool = True
    list_attributes: bool = False

    # Upstream keeps three variants of the allocator. The older ones do not know distinctAttribute,
    # do not refuse capacity requests while their gate is off, and do not show selectors which
    # devices allow multiple allocations.
    newer_variant: bool = True

    # Behaviour that changed between versions.
    pool_order_known: bool = True  # pools and slices are sorted; before 1.36 the order is random
    counters_everywhere: bool = False  # up to 1.36: counter slices concern every node
    all_by_remaining: bool = False  # up to 1.36: mode All passes over devices that are used up
    whole_steps: bool = False  # up to 1.36: steps of a capacity range are counted in whole units
    unchecked_capacity: bool = False  # up to 1.36: amounts beyond 64 bits wrap around
    selectors_refuse_lists: bool = False  # up to 1.36: without the gate, a list fails all selectors
    selectors_minor: int = 37  # of Kubernetes 1.x: whose CEL the selectors are written in
    permutations: bool = False  # up to 1.35: a request's next device may stand before its last
    # 1.34: each slice has its own counters and may hold devices beside them; an incomplete pool is
    # used, an invalid one fails the pod; a taint of any effect repels; each share draws counters;
    # distinctAttribute only tells a device from itself.
    mixed_slices: bool = False

    # Known defects (kubernetes/kubernetes issues).
    leak: bool = False  # 140436: a refused candidate keeps its counters, constraints and marks
    key: bool = False  # 140434: counters are kept per pool name, whatever the driver
    distinct: bool = False  # 140438: distinctAttribute remembers one value per request
    list_undo: bool = False  # 140300: matchAttribute on lists is not restored on undo
    share_marker: bool = False  # 140433: a share without capacity draws its counters again
    shared_uncounted: bool = False  # 139040: shares in use draw no counters at all
    # Mode All in a list goes on with the list's first choice, and lists by the one before it.
    all_forgets_choice: bool = False


def features_of(version: str, *, gates: Mapping[str, bool] | None = None) -> AllocatorFeatures:
    """Return the switches of a Kubernetes version: "1.36", "v1.36.3+k3s1".

    `gates` are feature gates set against their defaults, by name; others are passed over.
    Later versions count as the newest known, earlier ones as the oldest; ValueError when the text
    is not a version.
    """
    match = _FORM.fullmatch(version.strip())
    if match is None:
        raise ValueError(f"{version[:60]!r} is not a Kubernetes version such as {NEWEST}")
    release = min(max((int(match[1]), int(match[2])), _OLDEST), _NEWEST)
    patch = int(match[3]) if match[3] else _LATEST_PATCH
    on = {
        gate: (gates or {}).get(gate, since is not None and release >= since)
        for gate, since in GATES.items()
    }
    features = dataclasses.replace(
        _behaviour(release, patch),
        admin_access=on["DRAAdminAccess"],
        prioritized_list=on["DRAPrioritizedList"],
        partitionable=on["DRAPartitionableDevices"],
        consumable_capacity=on[_CONSUMABLE],
        device_taints=on["DRADeviceTaints"],
        # 1.34 has one gate for both.
        taint_rules=on["DRADeviceTaints" if release == (1, 34) else "DRADeviceTaintRules"],
        binding_conditions=on[_BINDING] and on[_STATUS],
        extended_resources=on["DRAExtendedResource"],
        list_attributes=on[_LISTS],
        whole_steps=not on["DRAFractionalCapacityRange"],
    )
    return _as_variant(features, release, on)


def is_version(text: str) -> bool:
    """Whether `features_of` reads the text."""
    return _FORM.fullmatch(text.strip()) is not None


def remark(version: str) -> str:
    """What is to be said of predicting as this version, "" where its rules are known here."""
    match = _FORM.fullmatch(version.strip())
    if match is None:
        return f"{version[:60]!r} is not a Kubernetes version such as {NEWEST}"
    release = int(match[1]), int(match[2])
    if _OLDEST <= release <= _NEWEST:
        return ""
    age, used = ("older", _OLDEST) if release < _OLDEST else ("newer", _NEWEST)
    return (
        f"{version[:60]} is {age} than the versions whose rules are known here "
        f"({_OLDEST[0]}.{_OLDEST[1]} to {NEWEST}): predicting as {used[0]}.{used[1]}"
    )


def unknown_gates(gates: Mapping[str, bool]) -> tuple[str, ...]:
    """A sentence for each gate that no prediction depends on: another's, or misspelt."""
    found = []
    for gate in sorted(gates.keys() - GATES.keys()):
        close = difflib.get_close_matches(gate[:80], GATES, 1, cutoff=0.8)
        hint = f"; did you mean {close[0]}?" if close else ""
        found.append(f"feature gate {gate[:80]}: no prediction depends on it{hint}")
    return tuple(found)


def _behaviour(release: tuple[int, int], patch: int) -> AllocatorFeatures:
    """What a version does whatever its gates, known defects included."""
    if release >= (1, 37):
        return AllocatorFeatures()
    newest = release == (1, 36)
    return AllocatorFeatures(
        pool_order_known=newest,
        counters_everywhere=True,
        all_by_remaining=release != (1, 34),
        unchecked_capacity=True,
        selectors_refuse_lists=True,
        selectors_minor=release[1],
        permutations=not newest,
        mixed_slices=release == (1, 34),
        leak=not newest or patch < 3,
        key=release != (1, 34),
        distinct=True,
        list_undo=True,
        share_marker=True,
        shared_uncounted=not newest,
        all_forgets_choice=not newest,
    )


def _as_variant(
    features: AllocatorFeatures, release: tuple[int, int], on: Mapping[str, bool]
) -> AllocatorFeatures:
    """Adapt to the variant of the allocator that kube-scheduler takes for these gates.

    It takes the oldest one that knows every gate that is on.
    """
    advanced = features.consumable_capacity or features.binding_conditions or on[_LISTS]
    if release >= (1, 36):
        if advanced:
            return features
        return dataclasses.replace(
            features, pool_order_known=False, permutations=True, newer_variant=False
        )
    if release == (1, 34):
        advanced = advanced or on[_BINDING] or on[_STATUS]
    return dataclasses.replace(features, newer_variant=advanced)
