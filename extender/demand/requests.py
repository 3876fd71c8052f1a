"""What a claim asks for, as the allocator reads it: values, hashable, canonical: the memo key.

Source: resource.k8s.io/v1 types; k8s.io/dynamic-resource-allocation structured allocator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TypeAlias

from extender import errors
from extender.hardware import allocator_features
from extender.kube.api import objects, quantity

EXACT, ALL = "ExactCount", "All"

_Asked: TypeAlias = objects.ExactDeviceRequest | objects.DeviceSubRequest


@dataclasses.dataclass(frozen=True, slots=True)
class DeviceChoice:
    """One way to satisfy a request: the request itself, or one of its `firstAvailable` choices.

    `name` is what results say: "req" or "req/sub". `selectors` are the class's CEL expressions,
    then the request's; the first `of_class` are the class's. `capacity` is (capacity name, nano
    units), sorted.
    """

    name: str
    device_class: str
    selectors: tuple[str, ...] = ()
    mode: str = EXACT
    count: int = 1
    admin_access: bool = False
    tolerations: tuple[objects.DeviceToleration, ...] = ()
    capacity: tuple[tuple[str, int], ...] = ()
    of_class: int = 0


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
    features: allocator_features.AllocatorFeatures,
) -> ClaimDemand:
    """Read a claim's spec; raises errors.ClaimError where kube-scheduler fails the whole pod."""
    claim = spec.devices
    requests = tuple(_request(r, classes, features) for r in claim.requests or ())
    constraints = tuple(
        _constraint(number, c, features) for number, c in enumerate(claim.constraints or ())
    )
    return ClaimDemand(requests, constraints)


def _request(
    request: objects.DeviceRequest,
    classes: Mapping[str, objects.DeviceClass],
    features: allocator_features.AllocatorFeatures,
) -> Request:
    subs = request.first_available or ()
    if subs and not features.prioritized_list:
        raise errors.ClaimError(
            f"request {request.name}: has subrequests, but DRAPrioritizedList is off"
        )
    if subs:
        choices = tuple(
            _choice(f"{request.name}/{sub.name}", sub, None, classes, features) for sub in subs
        )
        return Request(request.name, choices, prioritized=True)
    if request.exactly is None:
        raise errors.ClaimError(f"request {request.name}: unsupported request type")
    exactly = request.exactly
    choice = _choice(request.name, exactly, exactly.admin_access, classes, features)
    return Request(request.name, (choice,))


def _choice(
    name: str,
    asked: _Asked,
    admin_access: bool | None,
    classes: Mapping[str, objects.DeviceClass],
    features: allocator_features.AllocatorFeatures,
) -> DeviceChoice:
    if asked.capacity is not None and _refuses_capacity(features):
        raise errors.ClaimError(
            f"request {name}: has capacity requests, but DRAConsumableCapacity is off"
        )
    own = _expressions(f"request {name}", asked.selectors)
    if admin_access is not None and not features.admin_access:
        raise errors.ClaimError(f"request {name}: admin access is requested, but the gate is off")
    found = classes.get(asked.device_class_name)
    if found is None:
        raise errors.ClaimError(
            f"request {name}: could not retrieve device class {asked.device_class_name}"
        )
    mode = asked.allocation_mode or EXACT
    if mode not in {EXACT, ALL}:
        raise errors.ClaimError(f"request {name}: unsupported count mode {mode}")
    wanted = asked.capacity.requests if asked.capacity else None
    of_class = _expressions(f"class {asked.device_class_name}", found.spec.selectors)
    return DeviceChoice(
        name=name,
        device_class=asked.device_class_name,
        selectors=of_class + own,
        of_class=len(of_class),
        mode=mode,
        # The API server fills in 1; objects that have not passed it may lack it.
        count=_count(asked) if mode == EXACT else 0,
        admin_access=bool(admin_access),
        tolerations=tuple(asked.tolerations or ()),
        capacity=tuple(sorted((key, quantity.nano(v)) for key, v in (wanted or {}).items())),
    )


def _refuses_capacity(features: allocator_features.AllocatorFeatures) -> bool:
    return features.newer_variant and not features.consumable_capacity


def _count(asked: _Asked) -> int:
    return asked.count or (0 if asked.allocation_mode else 1)


def _expressions(
    owner: str, selectors: tuple[objects.DeviceSelector, ...] | None
) -> tuple[str, ...]:
    expressions = []
    for number, selector in enumerate(selectors or ()):
        if selector.cel is None:
            raise errors.ClaimError(f"{owner}, selector #{number}: unsupported selector type")
        expressions.append(selector.cel.expression)
    return tuple(expressions)


def _constraint(
    number: int,
    constraint: objects.DeviceConstraint,
    features: allocator_features.AllocatorFeatures,
) -> Constraint:
    requests = tuple(sorted(constraint.requests or ()))
    if constraint.match_attribute is not None:
        return Constraint(requests, constraint.match_attribute)
    if constraint.distinct_attribute is not None and features.newer_variant:
        return Constraint(requests, constraint.distinct_attribute, distinct=True)
    raise errors.ClaimError(f"constraint #{number}: unsupported constraint type")
