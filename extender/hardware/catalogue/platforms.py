"""Platforms: kinds of machine, recognised by a node's labels, and where their devices sit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from extender.hardware import shape
from extender.hardware.catalogue import entry, instance_types
from extender.hardware.dra import device_facts

MACHINE = "nvidia.com/gpu.machine"
# By which a node's platform is recognised.
LABELS = (*instance_types.LABELS, MACHINE)

Index = Annotated[int, msgspec.Meta(ge=0, le=255)]
Factor = Annotated[float, msgspec.Meta(gt=0, le=1)]


class DeviceGroup(entry.CatalogueEntry, frozen=True):
    """Devices at one level from each other: a PCIe switch, a root, a NUMA node.

    `gpus` and `nics` are numbers as the platform counts them. `numa` is None where not known.
    """

    near: Literal["PIX", "PXB", "PHB", "NODE", "UNKNOWN"]
    numa: Index | None = None
    gpus: tuple[Index, ...] = ()
    nics: tuple[Index, ...] = ()


class PlatformMatch(entry.CatalogueEntry, frozen=True):
    """Which nodes are of a platform: every given field must hold.

    `products` are GPU products; `instance_types` and `machines` are patterns (* and ?) of the
    labels node.kubernetes.io/instance-type and nvidia.com/gpu.machine; `gpus` is the number of
    physical GPUs.
    """

    products: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    gpus: Index | None = None

    def fit(self, product: str, labels: Mapping[str, str], gpus: int) -> int:
        """How many of the fields hold; 0 where one does not, or none is given.

        A number of GPUs of 0 is not known: it decides nothing. Neither does a product that nobody
        names, where the kind of machine is known otherwise.
        """
        matching = 0
        if self.products and (product or not (self.instance_types or self.machines)):
            if device_facts.plain_value(product) not in map(
                device_facts.plain_value, self.products
            ):
                return 0
            matching += 1
        for patterns, value in (
            (self.instance_types, instance_types.of(labels)),
            (self.machines, labels.get(MACHINE) or ""),
        ):
            if patterns:
                if not any(entry.is_spelt(value, pattern) for pattern in patterns):
                    return 0
                matching += 1
        if self.gpus is not None and gpus:
            if self.gpus != gpus:
                return 0
            matching += 1
        return matching


class Number(entry.CatalogueEntry, frozen=True):
    """A measured bandwidth factor, and where it was measured."""

    value: Factor
    source: str


class MeasuredFactors(entry.CatalogueEntry, frozen=True):
    """Bandwidth factors against the nearest pair, as far as they were measured on the platform.

    The fields are those of the locality cost model, which has defaults for the rest.
    """

    same_numa: Number | None = None
    other_root: Number | None = None
    other_numa: Number | None = None
    unknown: Number | None = None
    floor: Number | None = None
    no_nvlink: Number | None = None
    gpu_other_numa: Number | None = None

    def values(self) -> dict[str, float]:
        """The factors that are known, by the name of the field."""
        numbers = msgspec.structs.asdict(self)
        return {name: number.value for name, number in numbers.items() if number is not None}


class Platform(entry.CatalogueEntry, frozen=True):
    """A kind of machine; without `groups` nothing is known of where its devices sit."""

    name: str
    source: str
    match: PlatformMatch
    groups: tuple[DeviceGroup, ...] = ()
    calibration: MeasuredFactors = MeasuredFactors()

    @property
    def gpus(self) -> int:
        return sum(len(group.gpus) for group in self.groups)

    @property
    def nics(self) -> int:
        return sum(len(group.nics) for group in self.groups)

    def level(self, one: tuple[shape.Kind, int], other: tuple[shape.Kind, int]) -> shape.Level:
        """The level between two of its devices by PCIe; NVLink is a matter of the product."""
        here, there = self._group(one), self._group(other)
        if here is None or there is None:
            return shape.Level.UNKNOWN
        if here is there:
            return shape.Level[here.near]
        if here.numa is None or there.numa is None:
            return shape.Level.UNKNOWN
        return shape.Level.NODE if here.numa == there.numa else shape.Level.SYS

    def numa_and_root(self, device: tuple[shape.Kind, int]) -> tuple[int | None, str | None]:
        """NUMA node and PCIe root; the root's name only tells equal ones from different ones."""
        group = self._group(device)
        if group is None:
            return None, None
        shared = shape.Level[group.near] <= shape.Level.PHB
        return group.numa, f"{self.name}:{self.groups.index(group)}" if shared else None

    def _group(self, device: tuple[shape.Kind, int]) -> DeviceGroup | None:
        kind, number = device
        for group in self.groups:
            if number in (group.nics if kind is shape.Kind.NIC else group.gpus):
                return group
        return None
