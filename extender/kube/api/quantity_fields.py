"""Every quantity of an object that we compute with, and where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from extender.kube.api import condensed_devices, objects, quantity

# What is said of a location, and what fills its braces: put together only where something is wrong.
_Location: TypeAlias = tuple[str, ...]
_Found: TypeAlias = Iterator[tuple[_Location, objects.Quantity]]


def malformed(value: objects.Object) -> list[str]:
    """What is no quantity where there should be one, each with its location."""
    found = []
    for location, amount in _quantities(value):
        try:
            quantity.parse(amount)
        except ValueError as error:
            found.append(f"{location[0].format(*location[1:])}: {error}")
    return found


def _quantities(value: objects.Object) -> _Found:
    if isinstance(value, objects.Node):
        yield from _each("status.allocatable[{}]", value.status.allocatable)
        yield from _each("status.capacity[{}]", value.status.capacity)
    elif isinstance(value, objects.Pod):
        yield from _of_pod(value.spec)
    elif isinstance(value, objects.ResourceSlice):
        yield from _of_slice(value.spec)
    elif isinstance(value, objects.ResourceClaim):
        yield from _of_claim(value.spec)
        allocation = value.status.allocation
        for result in (allocation.devices.results or ()) if allocation else ():
            for name, amount in (result.consumed_capacity or {}).items():
                yield ("status.allocation of {}[{}]", result.device, name), amount
    elif isinstance(value, objects.ResourceClaimTemplate):
        yield from _of_claim(value.spec.spec)
    elif isinstance(value, objects.NodeResourceTopology):
        for zone in value.zones or ():
            for resource in zone.resources or ():
                for amount in (resource.capacity, resource.allocatable, resource.available):
                    yield ("zone {}, {}", zone.name, resource.name), amount


def _each(where: str, amounts: objects.Quantities | None, *owner: str) -> _Found:
    for name, amount in (amounts or {}).items():
        yield (where, *owner, name), amount


def _of_pod(spec: objects.PodSpec) -> _Found:
    for container in (*(spec.init_containers or ()), *(spec.containers or ())):
        asked, name = container.resources, container.name
        yield from _each("container {}, requests[{}]", asked.requests, name)
        yield from _each("container {}, limits[{}]", asked.limits, name)
    if spec.resources is not None:
        yield from _each("spec.resources.requests[{}]", spec.resources.requests)
        yield from _each("spec.resources.limits[{}]", spec.resources.limits)
    yield from _each("spec.overhead[{}]", spec.overhead)


def _of_slice(spec: objects.ResourceSliceSpec) -> _Found:
    for counter_set in spec.shared_counters or ():
        for name, counter in (counter_set.counters or {}).items():
            yield ("counter set {}[{}]", counter_set.name, name), counter.value
    sizes: object = None
    drawing: object = None
    for device in condensed_devices.alike(spec.devices):
        # What was interned is one object for many devices.
        if device.capacity and device.capacity is not sizes:
            sizes = device.capacity
            for name, capacity in device.capacity.items():
                yield from _of_capacity(device.name, name, capacity)
        if device.consumes_counters and device.consumes_counters is not drawing:
            drawing = device.consumes_counters
            for drawn in device.consumes_counters:
                for name, counter in (drawn.counters or {}).items():
                    location = (
                        "device {}, counter set {}[{}]",
                        device.name,
                        drawn.counter_set,
                        name,
                    )
                    yield location, counter.value


def _of_capacity(
    device: str, name: str, capacity: objects.DeviceCapacity | objects.Quantity
) -> _Found:
    location = ("device {}[{}]", device, name)
    if not isinstance(capacity, objects.DeviceCapacity):
        yield location, capacity
        return
    yield location, capacity.value
    policy = capacity.request_policy
    if policy is None:
        return
    limits = policy.valid_range or objects.CapacityRequestPolicyRange()
    amounts = (policy.default, *(policy.valid_values or ()), limits.min, limits.max, limits.step)
    for amount in amounts:
        if amount is not None:
            yield ("device {}[{}], requestPolicy", device, name), amount


def _of_claim(spec: objects.ResourceClaimSpec) -> _Found:
    for request in spec.devices.requests or ():
        for part in (request.exactly, *(request.first_available or ())):
            if part is not None and part.capacity is not None:
                yield from _each("request {}[{}]", part.capacity.requests, request.name)
