"""What of a node is free and what a pod takes of it, in amounts that can be added up.

From them follows a bound: however pods are moved, no more fit than what is free in all is enough
for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from extender.hardware.shape import Device, Shape
from extender.hardware.usage import NOTHING, NodeState, Usage

# (what is counted, whose it is, its kind or name) → how much
Amounts: TypeAlias = Counter[tuple[str, str, str]]

DEVICES, CAPACITY, UNITS = "devices", "capacity", "units"
# Names under which drivers publish what tells devices of one kind apart.
_MODELS = ("productName", "product", "model", "gpuModel", "profile", "deviceName")


def taken(hardware: Shape, usage: Usage) -> Amounts:
    """What is in use: devices of claims, capacity of devices that are shared, plug-in units."""
    found: Amounts = Counter()
    for number in range(_claimable(hardware)):
        if usage.taken >> number & 1:
            found.update(_whole(hardware.devices[number]))
    for number, amounts in usage.shared:
        device = hardware.devices[number]
        for name, nano in amounts:
            found[CAPACITY, device.driver, name] += nano
    for resource, held in zip(hardware.resources, usage.held, strict=False):
        found[UNITS, "", resource.name] += held
    return found


def total(hardware: Shape) -> Amounts:
    """All that there is."""
    found: Amounts = Counter()
    for device in hardware.devices[: _claimable(hardware)]:
        found.update(_whole(device))
    for resource in hardware.resources:
        found[UNITS, "", resource.name] += resource.count
    return found


def free(state: NodeState, everything: Amounts) -> Amounts:
    """What nobody holds of `everything`, which is the `total` of the state's shape."""
    found = everything.copy()
    found.subtract(taken(state.shape, state.usage))
    return found


def needed(hardware: Shape, after: Usage) -> Amounts:
    """What a pod takes of an unused node that it leaves like this."""
    found = taken(hardware, after)
    found.subtract(taken(hardware, NOTHING))
    return +found


def bound(available: Iterable[Amounts], wanted: Iterable[Amounts], most: int) -> int:
    """How many pods at the most what is free in all is enough for; never above `most`.

    `wanted` is what a pod takes on each node: of each amount the least counts, so that the bound
    holds wherever the pods go.
    """
    least: dict[tuple[str, str, str], int] | None = None
    for each in wanted:
        if least is None:
            least = dict(each)
        else:
            least = {key: min(amount, each[key]) for key, amount in least.items() if each[key]}
    have: Amounts = Counter()
    for amounts in available:
        have.update(amounts)
    return min([most, *(have[key] // amount for key, amount in (least or {}).items())])


def model_of(device: Device) -> str:
    """The model that a device's driver publishes; empty where it tells none."""
    for key in _MODELS:
        for name, (_, value) in _named(device.attributes, key):
            if name and isinstance(value, str):
                return value
    return ""


def _named(
    attributes: Mapping[str, tuple[str, object]], key: str
) -> Iterable[tuple[str, tuple[str, object]]]:
    return (item for item in attributes.items() if item[0].rpartition("/")[2] == key)


def _whole(device: Device) -> Amounts:
    if device.allow_multiple_allocations:
        return Counter({
            (CAPACITY, device.driver, name): capacity.value
            for name, capacity in device.capacity.items()
        })  # fmt: skip
    return Counter({(DEVICES, device.driver, f"{device.kind.value} {model_of(device)}"): 1})


def _claimable(hardware: Shape) -> int:
    """How many of the devices are offered to claims: they come first."""
    return max((pool.stop for pool in hardware.pools), default=0)
