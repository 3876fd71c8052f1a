"""One device of a node: what it is, who holds it, and how close the others are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec

from extender.cluster import index, store
from extender.hardware.shape import Device, Kind, Level
from extender.kube.api import objects
from extender.page import links
from extender.page.views import holders, node_view
from extender.page.views.holders import DeviceHolder
from extender.pools import gpu_states, node_pools

_LEVELS = {
    Level.NVLINK: ("NVLink", "joined by NVLink or its like"),
    Level.PIX: ("PIX", "behind one PCIe bridge"),
    Level.PXB: ("PXB", "several PCIe bridges under one root"),
    Level.PHB: ("PHB", "one PCIe root"),
    Level.NODE: ("NODE", "one NUMA node, other PCIe roots"),
    Level.SYS: ("SYS", "across NUMA nodes"),
    Level.UNKNOWN: ("unknown", "not published"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class DeviceView:
    """The page of a device. `others`: (name, address, level, words), the closest first."""

    node: str
    location: node_pools.NodeLocation
    name: str
    kind: str
    driver: str
    pool: str
    state: str
    numa: int | None
    root: str
    holders: tuple[DeviceHolder, ...]
    attributes: tuple[tuple[str, str], ...]
    capacity: tuple[tuple[str, str], ...]
    taints: tuple[str, ...]
    others: tuple[tuple[str, str, str, str], ...]


_KINDS = {Kind.GPU: "GPU", Kind.PARTITION: "GPU partition", Kind.NIC: "NIC", Kind.OTHER: "device"}


def view(detail: index.Row, source: store.ClusterStore, path: Sequence[str]) -> DeviceView | None:
    """The device that an address names (driver, pool …, device); None where there is none."""
    machine = detail.machine
    hardware = machine.shape
    wanted = links.device(detail.name, path[0], "/".join(path[1:-1]), path[-1])
    position = next(
        (p for p in range(len(hardware.devices)) if node_view.href(detail, p) == wanted), None
    )
    if position is None:
        return None
    device, published = hardware.devices[position], None
    if position < len(machine.inventory.devices):
        published = machine.inventory.published()[position]
    return DeviceView(
        node=detail.name,
        location=node_pools.location_of(detail.node, node_pools.product_of(hardware)),
        name=device.name,
        kind=_KINDS[device.kind],
        driver=device.driver,
        pool="/".join(path[1:-1]),
        state=_state(detail, position),
        numa=hardware.numa[position],
        root=hardware.root[position] or "",
        holders=holders.of_node(detail, source).get(position, ()),
        attributes=tuple(_attributes(published)) if published else tuple(_plain(device)),
        capacity=tuple(_capacity(published)) if published else (),
        taints=tuple(map(node_view.taint_text, device.taints)),
        others=tuple(_others(detail, position)),
    )  # fmt: skip


def _state(detail: index.Row, position: int) -> str:
    for gpu, state in zip(
        gpu_states.of_shape(detail.machine.shape),
        gpu_states.states(detail.machine.shape, detail.usage),
        strict=True,
    ):
        if position in gpu.whole:
            return state
    return node_view.other_view(detail, position, detail.machine.shape.devices[position], ()).state


def _others(detail: index.Row, position: int) -> list[tuple[str, str, str, str]]:
    hardware = detail.machine.shape
    body = next(
        (g.devices for g in gpu_states.of_shape(hardware) if position in g.devices), (position,)
    )
    others = [
        (hardware.levels[position][other], other)
        for other, device in enumerate(hardware.devices)
        if other not in body and device.kind in {Kind.GPU, Kind.NIC}
    ]
    return [
        (hardware.devices[other].name, node_view.href(detail, other), *_LEVELS[Level(level)])
        for level, other in sorted(others)
    ]


def _attributes(published: objects.Device) -> list[tuple[str, str]]:
    found = []
    for name, value in sorted((published.attributes or {}).items()):
        held = next(iter(msgspec.to_builtins(value).values()), "")
        text = ", ".join(map(str, held)) if isinstance(held, list | tuple) else str(held)
        found.append((name, text))
    return found


def _capacity(published: objects.Device) -> list[tuple[str, str]]:
    """The amounts as published; before resource/v1beta2 a bare quantity."""
    return [
        (name, str(given.value if isinstance(given, objects.DeviceCapacity) else given))
        for name, given in sorted((published.capacity or {}).items())
    ]


def _plain(device: Device) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, (_, value) in sorted(device.attributes.items())]
