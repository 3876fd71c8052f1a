"""The physical GPUs of a machine, and how each one stands: free, held, partly held, not usable.

A GPU may be published as one device, and once more as the partitions that it can be cut into; here
it is one. MIG devices show which memory slices they take.
"""

from __future__ import annotations

import dataclasses
import re

from extender import bounded_cache
from extender.hardware import gpu_count
from extender.hardware.shape import Device, Kind, PluginResource, Shape
from extender.hardware.usage import Usage

FREE, PART, HELD, UNUSABLE = "free", "part", "held", "unusable"
WORDS = {FREE: "free", PART: "partly held", HELD: "held", UNUSABLE: "not usable"}
_KEEPS_AWAY = frozenset({"NoSchedule", "NoExecute"})
_SLICE = re.compile(r"memory-slice-(\d{1,2})")
_MOST_KEPT = 4096  # shapes and states whose GPUs are remembered


@dataclasses.dataclass(frozen=True, slots=True)
class GpuDevices:
    """One physical GPU: the devices it is published as; the first one names it."""

    devices: tuple[int, ...]
    whole: tuple[int, ...]  # of these, those that are all of it
    slots: int = 0  # memory slices that its partitions are made of; 0 where it tells none


@bounded_cache.remembered("gpus-of-shapes", _MOST_KEPT)
def of_shape(hardware: Shape) -> tuple[GpuDevices, ...]:
    """The GPUs of a machine in the order in which they are published."""
    bodies: dict[object, list[int]] = {}
    for number, device in enumerate(hardware.devices):
        if device.kind in {Kind.GPU, Kind.PARTITION}:
            bodies.setdefault(_body(hardware, number, device), []).append(number)
    return tuple(
        GpuDevices(
            devices=tuple(numbers),
            whole=tuple(p for p in numbers if hardware.devices[p].kind is Kind.GPU),
            slots=max(max(_slices(hardware.devices[p]), default=-1) for p in numbers) + 1,
        )
        for numbers in bodies.values()
    )


def _body(hardware: Shape, number: int, device: Device) -> object:
    """What the parts of one GPU have in common."""
    if number < len(hardware.body) and hardware.body[number] is not None:
        return hardware.body[number]
    if device.consumes_counters:
        return device.driver, device.consumes_counters[0][0]
    return device.driver, device.name


def slices_of(device: Device) -> tuple[int, ...]:
    """The memory slices of its GPU that a MIG device takes; none where it is no MIG device."""
    return _slices(device) if device.kind is Kind.PARTITION else ()


def _slices(device: Device) -> tuple[int, ...]:
    names = (name for _, counters in device.consumes_counters for name, _ in counters)
    return tuple(sorted(int(match[1]) for match in map(_SLICE.fullmatch, names) if match))


def usable(device: Device) -> bool:
    """Whether a claim without tolerations may get the device."""
    return device.selectable and not any(each.effect in _KEEPS_AWAY for each in device.taints)


def state_of(gpu: GpuDevices, hardware: Shape, usage: Usage) -> str:
    """How the GPU stands: one of FREE, PART, HELD, UNUSABLE."""
    taken = [number for number in gpu.devices if usage.taken >> number & 1]
    if set(taken) & set(gpu.whole):
        return HELD
    if taken or set(dict(usage.shared)) & set(gpu.devices):
        return PART
    if not any(usable(hardware.devices[number]) for number in gpu.devices):
        return UNUSABLE
    return FREE


def behind_shares(hardware: Shape, usage: Usage) -> frozenset[int]:
    """Devices of which units are held, nobody can tell which: those behind shares in use."""
    held = usage.held or (0,) * len(hardware.resources)
    return frozenset(
        device
        for resource, units in zip(hardware.resources, held, strict=True)
        if units and resource.replicas > 1
        for device in resource.devices
    )


def held_part(gpu: GpuDevices, hardware: Shape, usage: Usage) -> float:
    """How much of a partly held GPU is held, by memory slices; half if that is unknown."""
    taken = {
        part
        for number in gpu.devices
        if usage.taken >> number & 1
        for part in slices_of(hardware.devices[number])
    }
    return len(taken) / gpu.slots if taken and gpu.slots else 0.5


@bounded_cache.remembered("gpu-shares", _MOST_KEPT)
def fills(hardware: Shape, usage: Usage) -> tuple[float, ...]:
    """How much of each GPU is held, parallel to `states`."""
    return tuple(
        held_part(gpu, hardware, usage) if state == PART else float(state == HELD)
        for gpu, state in zip(of_shape(hardware), states(hardware, usage), strict=True)
    )


@bounded_cache.remembered("gpu-states", _MOST_KEPT)
def states(hardware: Shape, usage: Usage) -> tuple[str, ...]:
    """How each GPU of the machine stands, parallel to `of_shape`."""
    shared = behind_shares(hardware, usage)
    found = []
    for gpu in of_shape(hardware):
        state = state_of(gpu, hardware, usage)
        found.append(PART if state == FREE and shared & set(gpu.devices) else state)
    return tuple(found)


@dataclasses.dataclass(frozen=True, slots=True)
class UnitStates:
    """A resource of a device plug-in: units there are, and those that pods hold."""

    resource: PluginResource
    held: int

    @property
    def words(self) -> str:
        """What is known of the devices behind the units."""
        if self.resource.replicas > 1:
            return f"{self.resource.replicas} units share a device; which one is not published"
        if not self.resource.devices:
            return "which devices the units are is not published"
        return "one unit is one device"


def units(hardware: Shape, usage: Usage) -> tuple[UnitStates, ...]:
    """The plug-in resources of a machine."""
    held = usage.held or (0,) * len(hardware.resources)
    return tuple(UnitStates(*each) for each in zip(hardware.resources, held, strict=True))


def nics(hardware: Shape, usage: Usage) -> tuple[int, int]:
    """Free NICs, and NICs."""
    numbers = [number for number, device in enumerate(hardware.devices) if device.kind is Kind.NIC]
    return sum(not usage.taken >> number & 1 for number in numbers), len(numbers)


def profile(device: Device) -> str:
    """The MIG profile of a partition, or what else its driver calls it."""
    return gpu_count.profile(device)
