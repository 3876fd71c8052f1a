"""The devices of a node that runs device plug-ins: what labels and allocatable tell, and the rest.

The node's status says how many units there are, GPU feature discovery's labels say what they are,
and the catalogue says where they sit on the machines it knows. Without the latter there still are
devices, of unknown place. Units that are parts or shares of GPUs nobody can tell which (MIG) have
no devices at all, only a count.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from extender import bounded_cache
from extender.hardware import physical_gpus, resource_names, shape
from extender.hardware.catalogue import catalogue, label_evidence
from extender.hardware.catalogue.platforms import Platform
from extender.hardware.catalogue.products import Product
from extender.hardware.dra import device_facts
from extender.kube.api import objects, quantity

# A device as the catalogue counts it: (GPU or NIC, number)
_Slot = tuple[shape.Kind, int]


@dataclasses.dataclass(frozen=True, slots=True)
class PluginInventory:
    """What a `shape.Shape` needs of a node's device plug-ins; appended after the DRA devices.

    `resources[i].devices` count from the `first` given; the other fields start at 0.
    """

    devices: tuple[shape.Device, ...] = ()
    resources: tuple[shape.PluginResource, ...] = ()
    levels: tuple[bytes, ...] = ()
    numa: tuple[int | None, ...] = ()
    root: tuple[str | None, ...] = ()
    product: str = ""
    platform: str = ""
    sources: frozenset[str] = frozenset()


class NodeFacts(NamedTuple):
    """All that a node tells of its device plug-ins; nodes that tell the same have the same devices.

    `counts` are device resources, the units offered and those that there are in all, sorted,
    without those that have none. `labels` are those that tell something of accelerators.
    """

    counts: tuple[tuple[str, int, int], ...]
    labels: tuple[tuple[str, str], ...]


def node_facts(
    node: objects.Node, table: resource_names.Table, *, served: Collection[str] = ()
) -> NodeFacts:
    """What the node tells. Quantities are taken as read: whoever reads nodes refuses others.

    `served` are resources that device classes stand behind: DRA serves them only where a node has
    no units of them, whatever their names are.
    """
    counts = _counts(node.status, table, served)
    meta = node.metadata
    return NodeFacts(
        counts, label_evidence.accelerator_tags(meta.labels or {}, meta.annotations or {})
    )


def inventory(node: NodeFacts, hardware: catalogue.Catalogue, *, first: int = 0) -> PluginInventory:
    """The plug-in devices of a node; `first` is the index that its first device will have."""
    counts, tags = node.counts, dict(node.labels)
    if not counts:
        return PluginInventory()
    known = product_of(tags, hardware)
    product = label_evidence.product(tags) or (known.name if known is not None else "")
    behind = physical_gpus.behind(counts, tags, hardware, known)
    whole = _whole_gpus(behind)
    platform = hardware.find(known.name if known is not None else product, tags, gpus=whole)
    found: list[tuple[_Slot, shape.Device]] = []
    listed = []
    for (name, units, _), each in zip(counts, behind, strict=True):
        slots = _slots(each, units, behind, platform)
        start = first + len(found)
        devices = tuple(range(start, start + len(slots)))
        found += [(slot, _device(name, slot, product)) for slot in slots]
        listed.append(_resource(name, units, devices, each))
    slots = [slot for slot, _ in found]
    # A layout for another number of GPUs is not this machine's.
    placed = platform if platform is not None and platform.gpus == whole > 0 else None
    return PluginInventory(
        devices=tuple(device for _, device in found),
        resources=tuple(listed),
        levels=_levels(slots, placed, linked=_linked(known, platform, hardware)),
        numa=tuple(_numa_and_root(slot, placed)[0] for slot in slots),
        root=tuple(_numa_and_root(slot, placed)[1] for slot in slots),
        product=product,
        platform=platform.name if platform is not None else "",
        sources=frozenset({"device plug-in"} | ({"catalogue"} if placed and found else set())),
    )


def _resource(
    name: str, units: int, devices: tuple[int, ...], each: physical_gpus.Behind
) -> shape.PluginResource:
    return shape.PluginResource(
        name,
        units,
        devices,
        each.replicas if devices else 1,
        kind=each.kind,
        share=each.share,
        gpus=each.gpus,
        same=each.same,
        named_whole=each.named_whole,
        virtual=each.virtual,
    )


def product_of(tags: Mapping[str, str], hardware: catalogue.Catalogue) -> Product | None:
    """The product of a node's GPUs by the first label that tells it, or by the instance type.

    A name that only tells a family is taken where nothing tells more.
    """
    instance = hardware.instance_type(tags)
    names = [*label_evidence.products(tags), *([instance.product] if instance is not None else ())]
    found = [known for known in map(hardware.product, names) if known is not None]
    exact = (known for known in found if device_facts.plain_value(known.name) in hardware.products)
    return next(exact, next(iter(found), None))


def _counts(
    status: objects.NodeStatus, table: resource_names.Table, served: Collection[str]
) -> tuple[tuple[str, int, int], ...]:
    """Device resources and their units, sorted; those without units are not there."""
    capacity = status.capacity or {}
    found = []
    for name, amount in (status.allocatable or {}).items():
        if table.kind_of(name) is not None or name in served:
            units = quantity.whole(amount)
            found.append((name, units, max(units, quantity.whole(capacity.get(name, 0)))))
    return tuple(sorted([each for each in found if each[1] > 0]))


def _whole_gpus(behind: Sequence[physical_gpus.Behind]) -> int:
    """How many physical GPUs stand behind the one resource that hands out whole ones."""
    whole = [each for each in behind if each.kind is shape.Kind.GPU]
    return round(whole[0].gpus) if len(whole) == 1 and whole[0].exact else 0


def _slots(
    each: physical_gpus.Behind,
    units: int,
    behind: Sequence[physical_gpus.Behind],
    platform: Platform | None,
) -> list[_Slot]:
    """The devices behind the units of a resource; none where it is not clear which they are."""
    alone = [other.kind for other in behind].count(each.kind) == 1
    if each.kind is shape.Kind.GPU and alone and each.exact:
        return [(shape.Kind.GPU, number) for number in range(_whole_gpus(behind))]
    known = platform is not None and platform.nics == units
    if each.kind is shape.Kind.NIC and alone and each.exact and known:
        return [(shape.Kind.NIC, number) for number in range(units)]
    return []


def _linked(
    known: Product | None, platform: Platform | None, hardware: catalogue.Catalogue
) -> bool:
    """Whether all GPUs are joined: by the product, or by every one that such machines have."""
    if known is not None or platform is None:
        return known is not None and known.linked
    products = [hardware.product(name) for name in platform.match.products]
    return bool(products) and all(each is not None and each.linked for each in products)


@bounded_cache.remembered("plug-in-devices", 4096)
def _device(resource: str, slot: _Slot, product: str) -> shape.Device:
    """One object for each device that equal machines have, as identity is equality."""
    kind, number = slot
    domain, _, name = resource.partition("/")
    has_product = kind is shape.Kind.GPU and product
    return shape.Device(
        driver=domain,
        name=f"{name}-{number}",
        attributes={"productName": ("string", product)} if has_product else {},
        capacity={},
        kind=kind,
    )


def _numa_and_root(slot: _Slot, platform: Platform | None) -> tuple[int | None, str | None]:
    return platform.numa_and_root(slot) if platform is not None else (None, None)


def _levels(
    slots: Sequence[_Slot], platform: Platform | None, *, linked: bool
) -> tuple[bytes, ...]:
    return tuple(
        bytes(_level(one, other, platform, linked=linked) for other in slots) for one in slots
    )


def _level(one: _Slot, other: _Slot, platform: Platform | None, *, linked: bool) -> shape.Level:
    if one == other:
        return shape.Level.PIX
    if linked and one[0] is other[0] is shape.Kind.GPU:
        return shape.Level.NVLINK
    return platform.level(one, other) if platform is not None else shape.Level.UNKNOWN
