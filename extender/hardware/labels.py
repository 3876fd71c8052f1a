"""The devices of a node that runs device plug-ins: what labels and allocatable tell, and the rest.

The node's status says how many units there are, GPU feature discovery's labels say what they are,
and the catalogue says where they sit on the machines it knows. Without the latter there still are
devices, of unknown place. Units that are parts or shares of GPUs nobody can tell which (MIG) have
no devices at all, only a count.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from extender.hardware import catalogue, partition, platforms, resources, shape
from extender.hardware.platforms import Platform
from extender.kube import objects, quantity

_PREFIX = "nvidia.com/gpu."
_PRODUCT = f"{_PREFIX}product"
_COUNT = f"{_PREFIX}count"
_REPLICAS = f"{_PREFIX}replicas"
_MIG_STRATEGY = "nvidia.com/mig.strategy"
_SHARED = "-SHARED"
_MIG = "-MIG-"
_WHOLE = ("nvidia.com/gpu", "nvidia.com/gpu.shared")
# AMD's labeller names the product without a count; Intel's and Habana's name families.
_OTHER_PRODUCTS = ("amd.com/gpu.product-name", "amd.com/gpu.product", "habana.ai/product")

# More devices on one node are a mistake, or shares of something we do not see.
_MOST_DEVICES = 64

# A device as the catalogue counts it: (GPU or NIC, number)
_Place = tuple[shape.Kind, int]


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


@dataclasses.dataclass(frozen=True, slots=True)
class Gpus:
    """What the labels of GPU feature discovery say; 0 and "" where they do not.

    `count` is of physical GPUs, `replicas` how many units share one. `partition` is the MIG
    profile that every unit is, with the strategy "single".
    """

    product: str = ""
    count: int = 0
    replicas: int = 1
    partition: str = ""


class Told(NamedTuple):
    """All that a node tells of its device plug-ins; nodes that tell the same have the same devices.

    `counts` are device resources and their units, sorted, without those that have none. `labels`
    are those by which platforms are recognised.
    """

    counts: tuple[tuple[str, int], ...]
    gpus: Gpus
    labels: tuple[tuple[str, str], ...]


def told(node: objects.Node, *, served: Collection[str] = ()) -> Told:
    """What the node tells. Quantities are taken as read: whoever reads nodes refuses others.

    `served` are resources that device classes stand behind: DRA serves them only where a node has
    no units of them, whatever their names are.
    """
    tags = node.metadata.labels or {}
    recognised = tuple([(name, tags[name]) for name in platforms.LABELS if name in tags])
    return Told(_counts(node.status.allocatable or {}, served), gpus_of(tags), recognised)


def inventory(node: Told, hardware: catalogue.Catalogue, *, first: int = 0) -> PluginInventory:
    """The plug-in devices of a node; `first` is the index that its first device will have."""
    counts, gpus, recognised = node
    if not counts:
        return PluginInventory()
    whole = _whole_gpus(counts, gpus)
    platform = hardware.find(gpus.product, dict(recognised), gpus=whole)
    known = hardware.product(gpus.product)
    linked = known is not None and known.linked
    found: list[tuple[_Place, shape.Device]] = []
    listed = []
    for name, count in counts:
        places = _places(name, count, counts, gpus, whole, platform)
        start = first + len(found)
        devices = tuple(range(start, start + len(places)))
        found += [(place, _device(name, place, gpus.product)) for place in places]
        replicas = gpus.replicas if name in _WHOLE and devices else 1
        listed.append(shape.PluginResource(name, count, devices, replicas))
    places = [place for place, _ in found]
    # A layout for another number of GPUs is not this machine's.
    placed = platform if platform is not None and platform.gpus == whole > 0 else None
    return PluginInventory(
        devices=tuple(device for _, device in found),
        resources=tuple(listed),
        levels=_levels(places, placed, linked=linked),
        numa=tuple(_place(place, placed)[0] for place in places),
        root=tuple(_place(place, placed)[1] for place in places),
        product=gpus.product,
        platform=platform.name if platform is not None else "",
        sources=frozenset({"device plug-in"} | ({"catalogue"} if placed and found else set())),
    )


def gpus_of(labels: Mapping[str, str]) -> Gpus:
    """Read the labels of GPU feature discovery; what is not a number counts as not told."""
    product = next((labels[name] for name in (_PRODUCT, *_OTHER_PRODUCTS) if name in labels), "")
    product = product.removesuffix(_SHARED)
    product, _, profile = product.partition(_MIG)
    replicas = _number(labels.get(_REPLICAS, ""))
    single = labels.get(_MIG_STRATEGY) == "single" and partition.is_profile(profile)
    return Gpus(
        product=product,
        # With single strategy the count is of MIG devices, not of GPUs.
        count=0 if single else _number(labels.get(_COUNT, "")),
        replicas=max(replicas, 1),
        partition=partition.canonical(profile) if single else "",
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def _counts(
    allocatable: objects.Quantities, served: Collection[str]
) -> tuple[tuple[str, int], ...]:
    """Device resources and their units, sorted; those without units are not there."""
    found = sorted(
        (name, quantity.whole(amount))
        for name, amount in allocatable.items()
        if resources.is_device_resource(name) or name in served
    )
    return tuple([(name, count) for name, count in found if count > 0])


def _whole_gpus(counts: Sequence[tuple[str, int]], gpus: Gpus) -> int:
    """How many physical GPUs the node has, 0 where nothing tells."""
    if gpus.count:
        return gpus.count
    if gpus.partition:
        return 0
    units = [n for name, n in counts if resources.kind_of(name) is shape.Kind.GPU]
    return units[0] // gpus.replicas if len(units) == 1 else 0


def _places(
    name: str,
    count: int,
    counts: Sequence[tuple[str, int]],
    gpus: Gpus,
    whole: int,
    platform: Platform | None,
) -> list[_Place]:
    """The devices behind the units of a resource; none where it is not clear which they are."""
    kind = resources.kind_of(name)
    same = [other for other, _ in counts if resources.kind_of(other) is kind]
    if kind is shape.Kind.GPU and not gpus.partition and len(same) == 1:
        replicas = gpus.replicas if name in _WHOLE else 1
        # Fewer units than GPUs: some are ill or partitioned, and we cannot know which.
        if whole * replicas == count and whole <= _MOST_DEVICES:
            return [(shape.Kind.GPU, number) for number in range(whole)]
    alone = kind is shape.Kind.NIC and len(same) == 1
    if alone and resources.is_whole_nic(name) and platform and platform.nics == count:
        return [(shape.Kind.NIC, number) for number in range(count)]
    return []


@functools.lru_cache(maxsize=4096)
def _device(resource: str, place: _Place, product: str) -> shape.Device:
    """One object for each device that equal machines have, as identity is equality."""
    kind, number = place
    domain, _, name = resource.partition("/")
    told = kind is shape.Kind.GPU and product
    return shape.Device(
        driver=domain,
        name=f"{name}-{number}",
        attributes={"productName": ("string", product)} if told else {},
        capacity={},
        kind=kind,
    )


def _place(place: _Place, platform: Platform | None) -> tuple[int | None, str | None]:
    return platform.place(place) if platform is not None else (None, None)


def _levels(
    places: Sequence[_Place], platform: Platform | None, *, linked: bool
) -> tuple[bytes, ...]:
    return tuple(
        bytes(_level(one, other, platform, linked=linked) for other in places) for one in places
    )


def _level(one: _Place, other: _Place, platform: Platform | None, *, linked: bool) -> shape.Level:
    if one == other:
        return shape.Level.PIX
    if linked and one[0] is other[0] is shape.Kind.GPU:
        return shape.Level.NVLINK
    return platform.level(one, other) if platform is not None else shape.Level.UNKNOWN
