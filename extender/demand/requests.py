"""What a claim asks for, as the allocator reads it: values, hashable, canonical: the memo key.

Source: dra.md §1.2 and §2.3; k8s.io/dynamic-resource-allocation structured allocator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from extender.hardware import versions
from extender.kube import objects

EXACT, ALL = "ExactCount", "All"


@dataclasses.dataclass(frozen=True, slots=True)
class DeviceChoice:
    """One way to satisfy a request: the request itself, or one of its `firstAvailable` choices.

    `name` is what results say: "req" or "req/sub". `selectors` are the class's CEL expressions,
    then the request's. `capacity` is (capacity name, nano units), sorted.
    """

    name: str
    device_class: str
    selectors: tuple[str, ...] = ()
    mode: str = EXACT
    count: int = 1
    admin_access: bool = False
    tolerations: tuple[objects.DeviceToleration, ...] = ()
    capacity: tuple[tuple[str, int], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One request of a claim; `prioritized` when its choices are a `firstAvailable` list."""

    name: str
    choices: tuple[DeviceChoice, ...]
    prioritized: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Constraint:
    """matchAttribute, or distinctAttribute, over the named requests; over all when none is named.

    `attribute` is fully qualified ("resource.kubernetes.io/pcieRoot").
    """

    requests: tuple[str, ...]
    attribute: str
    distinct: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class ClaimDemand:
    """One claim of a pod that is still to be allocated."""

    requests: tuple[Request, ...]
    constraints: tuple[Constraint, ...] = ()


def claim_demand(
    spec: objects.ResourceClaimSpec,
    classes: Mapping[str, objects.DeviceClass],  # by name
    *,
    features: versions.Features,
) -> ClaimDemand:
    """Read a claim's spec; raises errors.ClaimError where kube-scheduler fails the whole pod."""
    raise NotImplementedError
