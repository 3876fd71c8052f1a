"""How many units of a demand a state can still give: by arithmetic where that is exact.

Following placements one after the other is always right and costs a search per step. For one plain
device, one share of a device, or one unit of a plug-in, the count is a sum over devices.

Devices that draw counters (MIG placements) overlap. For them the count is of legal placements: how
many could be allocated now, each by itself. Under a first-fit driver that keeps more room than
counting a chain of placements: measured by loadtests.quality.mig_churn, 0.5 points of accepted
slices where small profiles prevail.
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
    """What one state gives to one unit: placements, and GPUs in parts large enough for it.

    `parts` is in units' own devices, 1.0 is a whole one; of a plug-in's units in GPUs.
    """

    count: int
    parts: float


@dataclasses.dataclass(frozen=True, slots=True)
class CountPlan:
    """How to count one unit on one shape.

    `plain` is the mask of whole devices that suit; `shares` are (device, wanted fraction of its
    scarcest capacity by name); `boards` are those of the shape, each with its devices that suit, as
    bits, or empty where no device that suits draws counters; `resource` is the place of a plug-in's
    resource, or -1.
    """

    plain: int = 0
    boards: tuple[tuple[placements.PartitionedGpu, int], ...] = ()
    shares: tuple[tuple[int, tuple[tuple[str, int, int], ...]], ...] = ()
    resource: int = -1

    @property
    def masked(self) -> bool:
        """Whether the mask of whole devices is all there is to count."""
        return not self.shares and not self.boards and self.resource < 0

    def room(self, hardware: Shape, usage: Usage) -> UnitCount:
        """Count on one usage of the shape."""
        if self.resource >= 0:
            resource = hardware.resources[self.resource]
            held = usage.held[self.resource] if usage.held else 0
            left = max(resource.count - held, 0)  # ill devices: more may be held than is offered
            return UnitCount(left, left * resource.share)
        count = (self.plain & ~usage.taken).bit_count()
        for board, suits in self.boards:
            count += (board.free(usage) & suits).bit_count()
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
    """How to count the unit on the shape; None where only placing it tells."""
    if not unit.claims and len(unit.extended) == 1:
        return _resource(hardware, unit)
    choice = _single_device(unit)
    if choice is None:
        return None
    try:
        suiting = list(_suiting(hardware, choice, matches))
    except (errors.SelectorError, errors.UnknownSelectorError):
        return None
    if any(device.taints or device.binding_conditions for _, device in suiting):
        return None
    plain, shares, drawing = 0, [], 0
    for place, device in suiting:
        if device.allow_multiple_allocations:
            wants = None if device.consumes_counters else _wants(device, choice)
            if wants is None:
                return None
            shares.append((place, wants))
        elif _large_enough(device, choice):
            if device.consumes_counters:
                drawing |= 1 << place
            else:
                plain |= 1 << place
    return _planned(hardware, plain, shares, drawing)


def plan_whole_gpus(hardware: Shape) -> CountPlan:
    """How to count the GPUs of a shape that nobody holds a part of, however they are asked for."""
    plain, shares, drawing = 0, [], 0
    shared = {d for resource in hardware.resources if resource.share != 1 for d in resource.devices}
    claimed = any(device.kind is Kind.GPU for device in hardware.devices[: _pooled(hardware)])
    stop = _pooled(hardware) if claimed else len(hardware.devices)  # a plug-in's are the same ones
    for place, device in enumerate(hardware.devices[:stop]):
        if device.kind is not Kind.GPU or place in shared:
            continue
        whole = tuple((name, c.value, c.value) for name, c in device.capacity.items() if c.value)
        if device.consumes_counters:
            drawing |= 1 << place
        elif device.allow_multiple_allocations and whole:
            shares.append((place, whole))
        else:
            plain |= 1 << place
    if plain or shares or drawing:
        return _planned(hardware, plain, shares, drawing)
    for place, resource in enumerate(hardware.resources):
        if resource.kind is Kind.GPU and resource.share == 1:
            return CountPlan(resource=place)
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
    boards = placements.partitioned_gpus(hardware) if drawing else ()
    return CountPlan(
        plain=plain,
        shares=tuple(shares),
        boards=tuple((board, board.local(drawing)) for board in boards),
    )


def _suiting(
    hardware: Shape, choice: DeviceChoice, matches: Matches
) -> Iterator[tuple[int, Device]]:
    """The devices that the choice's selectors admit; those behind a plug-in no claim gets."""
    for place, device in enumerate(hardware.devices):
        pooled = any(pool.start <= place < pool.stop for pool in hardware.pools)
        if pooled and all(matches(expression, device) for expression in choice.selectors):
            yield place, device


def _resource(hardware: Shape, unit: Query) -> CountPlan | None:
    name, _ = unit.extended[0]
    for place, resource in enumerate(hardware.resources):
        if resource.name == name:
            return CountPlan(resource=place)
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
    """(capacity, wanted, all there is) of one share; None where a request policy decides."""
    asked = dict(choice.capacity)
    if not asked or any(capacity.policy is not None for capacity in device.capacity.values()):
        return None
    wants = []
    for name, capacity in device.capacity.items():
        wanted = asked.get(name, capacity.value)  # without a request a share takes it all
        if wanted <= 0 or not capacity.value:
            return None
        wants.append((name, wanted, capacity.value))
    return tuple(wants) if asked.keys() <= device.capacity.keys() else None
