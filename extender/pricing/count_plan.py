"""How many of a unit a state can still give: by arithmetic where that is exact.

Following placements one after the other is always right and costs a search per step. For one plain
device, one share of a device, or one unit of a plug-in, the count is a sum over devices.

Devices that draw counters (MIG placements) overlap. For them the count is of legal placements: how
many could be allocated now, each by itself. Under a first-fit driver that keeps more headroom than
counting one placement after the other: measured by loadtests.quality.mig_churn, 0.5 points of
accepted slices where small profiles prevail.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TypeAlias

from extender import errors
from extender.demand.requests import EXACT, DeviceChoice
from extender.hardware.shape import Device, Kind, Shape
from extender.hardware.usage import Usage
from extender.pricing.mig import placements
from extender.verdicts.query import Query

_UNUSED: dict[str, int] = {}  # of a device that nobody has a share of
_NO_LIMIT = 1 << 62
# (expression, device) → whether the selector admits the device
Matches: TypeAlias = Callable[[str, Device], bool]


@dataclasses.dataclass(frozen=True, slots=True)
class UnitCount:
    """How many of one unit fit one state, and the free device parts large enough for it.

    `parts` is in devices of the unit's kind, 1.0 is a whole one; for a plug-in's unit in GPUs.
    """

    count: int
    parts: float


@dataclasses.dataclass(frozen=True, slots=True)
class CountPlan:
    """How to count one unit on one shape.

    `plain` is the mask of matching whole devices; `shares` are (device, its capacities as `_wants`
    returns them); `partitioned_gpus` are (GPU, mask of its matching devices), empty where no
    matching device draws counters; `resource` is the index of a plug-in's resource, or -1.
    """

    plain: int = 0
    partitioned_gpus: tuple[tuple[placements.PartitionedGpu, int], ...] = ()
    shares: tuple[tuple[int, tuple[tuple[str, int, int], ...]], ...] = ()
    resource: int = -1

    @property
    def mask_only(self) -> bool:
        """Whether the mask of whole devices is all there is to count."""
        return not self.shares and not self.partitioned_gpus and self.resource < 0

    def count_on(self, hardware: Shape, usage: Usage) -> UnitCount:
        """Count for one usage of the shape."""
        if self.resource >= 0:
            resource = hardware.resources[self.resource]
            held = usage.held[self.resource] if usage.held else 0
            left = max(
                resource.count - held, 0
            )  # unhealthy devices: more may be held than is offered
            return UnitCount(left, left * resource.share)
        count = (self.plain & ~usage.taken).bit_count()
        for gpu, matching in self.partitioned_gpus:
            count += (gpu.free(usage) & matching).bit_count()
        parts = float(count)
        if self.shares:
            consumed = {device: dict(amounts) for device, amounts in usage.shared}
            for device, wants in self.shares:
                if usage.taken >> device & 1:
                    continue
                fits, part = _shares(wants, consumed.get(device, _UNUSED))
                count += fits
                parts += part
        return UnitCount(count, parts)


def _shares(wants: tuple[tuple[str, int, int], ...], used: dict[str, int]) -> tuple[int, float]:
    """How many such shares a device still holds, and its free fraction, 0 where it holds none."""
    fits, part = _NO_LIMIT, 1.0
    for name, want, total in wants:
        left = total - used.get(name, 0)
        if left < want:
            return 0, 0.0
        fits = min(fits, left // want)
        part = min(part, left / total)
    return fits, part


def plan(hardware: Shape, unit: Query, matches: Matches) -> CountPlan | None:
    """How to count the unit on the shape; None where only placing it can tell."""
    if not unit.claims and len(unit.extended) == 1:
        return _resource(hardware, unit)
    choice = _single_device(unit)
    if choice is None:
        return None
    try:
        matching_devices = list(_matching_devices(hardware, choice, matches))
    except (errors.SelectorError, errors.UnknownSelectorError):
        return None
    if any(device.taints or device.binding_conditions for _, device in matching_devices):
        return None
    plain, shares, drawing = 0, [], 0
    for position, device in matching_devices:
        if device.allow_multiple_allocations:
            wants = None if device.consumes_counters else _wants(device, choice)
            if wants is None:
                return None
            shares.append((position, wants))
        elif _large_enough(device, choice):
            if device.consumes_counters:
                drawing |= 1 << position
            else:
                plain |= 1 << position
    return _planned(hardware, plain, shares, drawing)


def plan_whole_gpus(hardware: Shape) -> CountPlan:
    """How to count the GPUs of a shape that nobody holds a part of, however they are requested."""
    plain, shares, drawing = 0, [], 0
    shared = {d for resource in hardware.resources if resource.share != 1 for d in resource.devices}
    claimed = any(device.kind is Kind.GPU for device in hardware.devices[: _pooled(hardware)])
    stop = _pooled(hardware) if claimed else len(hardware.devices)  # a plug-in's are the same ones
    for position, device in enumerate(hardware.devices[:stop]):
        if device.kind is not Kind.GPU or position in shared:
            continue
        whole = tuple((name, c.value, c.value) for name, c in device.capacity.items() if c.value)
        if device.consumes_counters:
            drawing |= 1 << position
        elif device.allow_multiple_allocations and whole:
            shares.append((position, whole))
        else:
            plain |= 1 << position
    if plain or shares or drawing:
        return _planned(hardware, plain, shares, drawing)
    for position, resource in enumerate(hardware.resources):
        if resource.kind is Kind.GPU and resource.share == 1:
            return CountPlan(resource=position)
    return CountPlan()


def _pooled(hardware: Shape) -> int:
    """How many devices DRA has; those behind plug-ins come after them."""
    return max((pool.stop for pool in hardware.pools), default=0)


def _planned(
    hardware: Shape,
    plain: int,
    shares: list[tuple[int, tuple[tuple[str, int, int], ...]]],
    drawing: int,
) -> CountPlan:
    """The plan for these devices; `drawing` is the mask of those that draw counters."""
    partitioned_gpus = placements.partitioned_gpus(hardware) if drawing else ()
    return CountPlan(
        plain=plain,
        shares=tuple(shares),
        partitioned_gpus=tuple((gpu, gpu.local(drawing)) for gpu in partitioned_gpus),
    )


def _matching_devices(
    hardware: Shape, choice: DeviceChoice, matches: Matches
) -> Iterator[tuple[int, Device]]:
    """The devices that the choice's selectors admit; those behind a plug-in no claim gets."""
    for position, device in enumerate(hardware.devices):
        pooled = any(pool.start <= position < pool.stop for pool in hardware.pools)
        if pooled and all(matches(expression, device) for expression in choice.selectors):
            yield position, device


def _resource(hardware: Shape, unit: Query) -> CountPlan | None:
    name, _ = unit.extended[0]
    for position, resource in enumerate(hardware.resources):
        if resource.name == name:
            return CountPlan(resource=position)
    return None if hardware.pools else CountPlan()  # DRA may serve it


def _single_device(unit: Query) -> DeviceChoice | None:
    if len(unit.claims) != 1 or unit.extended or len(unit.claims[0].requests) != 1:
        return None
    request = unit.claims[0].requests[0]
    choice = request.choices[0]
    single = not request.prioritized and choice.mode == EXACT and choice.count == 1
    return choice if single and not choice.admin_access else None


def _large_enough(device: Device, choice: DeviceChoice) -> bool:
    return all(
        name in device.capacity and device.capacity[name].value >= wanted
        for name, wanted in choice.capacity
    )


def _wants(device: Device, choice: DeviceChoice) -> tuple[tuple[str, int, int], ...] | None:
    """(capacity, requested, total) of one share; None where a request policy decides."""
    requested = dict(choice.capacity)
    if not requested or any(capacity.policy is not None for capacity in device.capacity.values()):
        return None
    wants = []
    for name, capacity in device.capacity.items():
        wanted = requested.get(name, capacity.value)  # without a request a share takes it all
        if wanted <= 0 or not capacity.value:
            return None
        wants.append((name, wanted, capacity.value))
    return tuple(wants) if requested.keys() <= device.capacity.keys() else None
