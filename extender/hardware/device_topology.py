"""How close the devices of a node are to each other, from where each of them sits.

What no attribute tells is UNKNOWN, never far. Two inferences are made, because they are sound: a
PCIe root belongs to one NUMA node, so one device that tells it tells it for all; and on GB200 and
GB300 the PCI domain names the Grace socket.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Sequence
from typing import NamedTuple, TypeVar

from extender.hardware import fabric, shape
from extender.hardware.dra import device_facts

_T = TypeVar("_T")
_GRACE = ("GB200", "GB300")
_GRACE_DOMAINS_PER_SOCKET = 0x10  # 0008, 0009 on the first socket, 0018, 0019 on the second


class DeviceTopology(NamedTuple):
    """The values of a Shape; the diagonal of `levels` says nothing.

    `rail` and `partitions` are by device, too, or empty where no device tells any.
    """

    levels: tuple[bytes, ...]
    numa: tuple[int | None, ...]
    root: tuple[str | None, ...]
    rail: tuple[str, ...] = ()
    partitions: tuple[fabric.Partitions, ...] = ()


def device_topology(
    devices: Sequence[device_facts.DeviceFacts], *, linked: Container[str] = frozenset()
) -> DeviceTopology:
    """How close the devices of one node are to each other.

    `linked` names the products (see `plain`) whose GPUs are all joined by NVLink or its like
    within a node: no driver publishes that.
    """
    placed = _with_inferred_numa(devices)
    return DeviceTopology(
        levels=_levels(placed, linked),
        numa=tuple(fact.numa[0] if fact.numa else None for fact in placed),
        root=tuple(fact.roots[0] if len(fact.roots) == 1 else None for fact in placed),
        rail=_if_any([fact.rail for fact in placed]),
        partitions=_if_any([fact.partitions for fact in placed]),
    )


def _if_any(values: Sequence[_T]) -> tuple[_T, ...]:
    """The values by device, none at all where every one is empty."""
    return tuple(values) if any(values) else ()


def levels(
    devices: Sequence[device_facts.DeviceFacts], *, linked: Container[str] = frozenset()
) -> tuple[bytes, ...]:
    """`Shape.levels` of these devices; see `links`."""
    return device_topology(devices, linked=linked).levels


def _with_inferred_numa(
    devices: Sequence[device_facts.DeviceFacts],
) -> list[device_facts.DeviceFacts]:
    of_root: dict[str, tuple[int, ...]] = {}
    for fact in devices:
        for root in fact.roots if fact.numa else ():
            of_root[root] = min(of_root.get(root, fact.numa), fact.numa)
    placed = []
    for fact in devices:
        numa = fact.numa
        if not numa and fact.roots:
            numa = of_root.get(fact.roots[0], ())
        if not numa and fact.address and any(name in fact.product for name in _GRACE):
            socket = fact.address.domain // _GRACE_DOMAINS_PER_SOCKET
            numa = (socket,) if socket <= 1 else ()
        placed.append(fact if numa == fact.numa else dataclasses.replace(fact, numa=numa))
    return placed


class _Attachment(NamedTuple):
    """What tells how close two devices are, whichever physical device each is a part of."""

    product: str | None  # of a GPU that is joined with all others of its product
    bus: tuple[int, int] | None  # PCI domain and bus
    roots: frozenset[str]
    bridged: bool
    numa: tuple[int, ...]


def _levels(
    devices: Sequence[device_facts.DeviceFacts], linked: Container[str]
) -> tuple[bytes, ...]:
    """The level of each pair: by attachment, which are few, and of parts of one physical device."""
    products = {fact.product for fact in devices if fact.kind is shape.Kind.GPU}
    joined = {product for product in products if device_facts.plain_value(product) in linked}
    own = [_attachment(fact, joined) for fact in devices]
    numbers = {attachment: number for number, attachment in enumerate(dict.fromkeys(own))}
    positions = [numbers[attachment] for attachment in own]
    parts: dict[str | device_facts.PciAddress, list[int]] = {}  # physical device → its devices
    for number, fact in enumerate(devices):
        if fact.body:
            parts.setdefault(fact.body, []).append(number)
    by_attachment = [
        bytes([row[position] for position in positions]) for row in _by_attachment([*numbers])
    ]
    rows: dict[tuple[int, str | device_facts.PciAddress], bytes] = {}
    for position, fact in zip(positions, devices, strict=True):
        if (position, fact.body) not in rows:
            row = bytearray(by_attachment[position])
            for number in parts.get(fact.body, ()):
                row[number] = shape.Level.PIX
            rows[position, fact.body] = bytes(row)
    return tuple(
        [rows[position, fact.body] for position, fact in zip(positions, devices, strict=True)]
    )


def _by_attachment(attachments: Sequence[_Attachment]) -> list[bytearray]:
    """The level of each pair of attachments; it is the same both ways."""
    rows = [bytearray(len(attachments)) for _ in attachments]
    for number, one in enumerate(attachments):
        row = rows[number]
        for other in range(number, len(attachments)):
            row[other] = rows[other][number] = _level(one, attachments[other])
    return rows


def _attachment(fact: device_facts.DeviceFacts, joined: Container[str]) -> _Attachment:
    return _Attachment(
        fact.product if fact.kind is shape.Kind.GPU and fact.product in joined else None,
        fact.address and fact.address[:2],
        frozenset(fact.roots),
        _behind_bridge(fact),
        fact.numa,
    )


def _level(one: _Attachment, other: _Attachment) -> int:
    """A bound that holds for sure: the devices are no farther apart than this."""
    product, bus, roots, bridged, numa = one
    if product is not None and product == other.product:
        return _NVLINK
    same_bus = bus is not None and bus == other.bus
    if same_bus or not roots.isdisjoint(other.roots):
        return _PIX if same_bus and (bridged or other.bridged) else _PHB
    if not numa or not other.numa:
        return _UNKNOWN
    return _NODE if numa[0] in other.numa or other.numa[0] in numa else _SYS


# As plain numbers: a machine of 200 devices has 20,000 pairs.
_NVLINK, _PIX, _PHB = (int(each) for each in (shape.Level.NVLINK, shape.Level.PIX, shape.Level.PHB))
_NODE, _SYS, _UNKNOWN = (
    int(each) for each in (shape.Level.NODE, shape.Level.SYS, shape.Level.UNKNOWN)
)


def _behind_bridge(fact: device_facts.DeviceFacts) -> bool:
    """Whether the device's bus is not the root's own: devices there share a bridge."""
    if fact.address is None or len(fact.roots) != 1:
        return False
    return not fact.roots[0].endswith(f":{fact.address.bus:02x}")
