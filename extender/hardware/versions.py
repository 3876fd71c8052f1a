"""What a Kubernetes version's allocator can do, and which of its known defects it has.

Source: pkg/features/kube_features.go for the gates; the structured allocator of
k8s.io/dynamic-resource-allocation v0.34 to v0.37 for the rest; each defect names its issue.
"""

from __future__ import annotations

import dataclasses
import re

_FORM = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
_OLDEST, _NEWEST = (1, 34), (1, 37)
# A version without a patch ("1.36") means the newest patch of it.
_LATEST_PATCH = 10**6


@dataclasses.dataclass(frozen=True, slots=True)
class Features:
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

    distinct_attribute: bool = True  # 1.35's default allocator does not know this constraint

    # Behaviour that changed between versions.
    pool_order_known: bool = True  # pools and slices are sorted; before 1.36 the order is random
    counters_everywhere: bool = False  # up to 1.36: counter slices concern every node
    all_by_remaining: bool = False  # up to 1.36: mode All passes over devices that are used up
    whole_steps: bool = False  # up to 1.36: steps of a capacity range are counted in whole units
    selectors_refuse_lists: bool = False  # up to 1.36: without the gate, a list fails all selectors
    permutations: bool = False  # up to 1.35: a request's next device may stand before its last
    # 1.34: each slice has its own counters and may hold devices beside them; an incomplete pool is
    # used, an invalid one fails the pod; a taint of any effect repels; each share draws counters.
    mixed_slices: bool = False

    # Known defects (kubernetes/kubernetes issues).
    leak: bool = False  # 140436: a refused candidate keeps its counters, constraints and marks
    key: bool = False  # 140434: counters are kept per pool name, whatever the driver
    distinct: bool = False  # 140438: distinctAttribute remembers one value per request
    list_undo: bool = False  # 140300: matchAttribute on lists is not restored on undo
    share_marker: bool = False  # 140433: a share without capacity draws its counters again
    shared_uncounted: bool = False  # 139040: shares in use draw no counters at all
    all_forgets_choice: bool = False  # mode All in a list goes on with the list's first choice


def features_of(version: str) -> Features:
    """Return the default switches of a Kubernetes version: "1.36", "v1.36.3+k3s1".

    Later versions count as the newest known, earlier ones as the oldest; ValueError when the text
    is not a version.
    """
    match = _FORM.match(version.strip())
    if match is None:
        raise ValueError(f"{version!r} is not a Kubernetes version")
    release = min(max((int(match[1]), int(match[2])), _OLDEST), _NEWEST)
    patch = int(match[3]) if match[3] else _LATEST_PATCH
    if release >= (1, 37):
        return Features()
    if release == (1, 36):
        return Features(
            taint_rules=False,
            counters_everywhere=True,
            all_by_remaining=True,
            whole_steps=True,
            selectors_refuse_lists=True,
            leak=patch < 3,
            key=True,
            distinct=True,
            list_undo=True,
            share_marker=True,
        )
    return Features(
        partitionable=False,
        consumable_capacity=False,
        device_taints=False,
        taint_rules=False,
        binding_conditions=False,
        extended_resources=False,
        distinct_attribute=release == (1, 34),
        pool_order_known=False,
        counters_everywhere=True,
        all_by_remaining=True,
        whole_steps=True,
        selectors_refuse_lists=True,
        permutations=True,
        mixed_slices=release == (1, 34),
        leak=True,
        key=release == (1, 35),
        distinct=True,
        list_undo=True,
        share_marker=True,
        shared_uncounted=True,
        all_forgets_choice=True,
    )
