"""Units of device plug-ins as physical GPUs: how many stand behind each resource of a node.

By published facts: a unit may be a GPU, a share of one (time-slicing, MPS, HAMi), or a part (MIG,
AMD partitions, vGPU).
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from extender.hardware import resource_names, shape
from extender.hardware.catalogue import catalogue, label_evidence
from extender.hardware.catalogue.products import Product

# No machine is known to have more: more units are shares of something we do not see, unless the
# number of GPUs is published.
_MOST_GPUS = 16
# A partition of unknown size: one of seven compute slices.
SMALLEST_PART = 1 / 7
_ALMOST = 1e-6
_DIGITS = 9  # of a number of GPUs: parts of a whole one add up to it
_CPX_PARTS = 8  # compute dies of most AMD GPUs that can be cut; products may say otherwise
# AMD's compute partition modes → parts of a GPU; CPX is a part for each compute die
_AMD_MODES = {"spx": 1, "dpx": 2, "tpx": 3, "qpx": 4}
_AMD_MODE = re.compile(r"(?:amd\.com/)?(?P<mode>[sdtqc]px)_nps\d")
_VGPU = re.compile(r"nvidia\.com/(?P<model>.+)-(?:\d+-)?(?P<memory>\d+)[abcq]", re.IGNORECASE)
_MEMORY_SLOTS, _COMPUTE_SLICES = 8, 7  # of a GPU whose MIG geometry is not known
_MEMORY_SIZES = {3: 4, 7: 8}  # compute slices of a profile → memory slots, where they differ


@dataclasses.dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind a resource's units.

    `share` is GPUs in a unit, `gpus` those behind all units, `replicas` how many units share one
    device. `exact`: every device behind the units is a whole one and, as far as GPUs go, they are
    all there. The rest is as in `shape.PluginResource`.
    """

    kind: shape.Kind | None
    share: float = 0.0
    gpus: float = 0.0
    replicas: int = 1
    exact: bool = False
    same: str = ""
    named_whole: bool = False
    virtual: bool = False


def behind(
    counts: Sequence[tuple[str, int, int]],  # (resource, units offered, units in all)
    labels: Mapping[str, str],
    hardware: catalogue.Catalogue,
    known: Product | None,
) -> list[Behind]:
    """What stands behind each resource of a node, in their order."""
    found = [_alone(each, labels, hardware, known) for each in counts]
    vendors = [resource_names.vendor_of(name) for name, _, _ in counts]
    for vendor in dict.fromkeys(vendors):
        indexes = [index for index, other in enumerate(vendors) if other == vendor]
        whole = published(labels, hardware, vendor)
        _settle(found, indexes, counts, whole, lambda name: _fit(name, hardware, known))
    return found


def published(labels: Mapping[str, str], hardware: catalogue.Catalogue, vendor: str) -> int:
    """How many physical GPUs of a vendor a node has, as labels or its instance type say."""
    instance = hardware.instance_type(labels)
    named = label_evidence.count(labels, vendor)
    if named or instance is None or resource_names.vendor_of(instance.vendor) != vendor:
        return named
    return instance.gpus


def _alone(
    counted: tuple[str, int, int],
    labels: Mapping[str, str],
    hardware: catalogue.Catalogue,
    known: Product | None,
) -> Behind:
    """What one resource says by itself."""
    name, units, everything = counted
    entry = hardware.resources.of(name)
    if entry is None or entry.what in {None, shape.Kind.NIC, shape.Kind.OTHER}:
        kind = None if entry is None else entry.what
        return Behind(kind, exact=entry is not None and entry.whole)
    named = Behind(
        entry.what,
        same=entry.same,
        named_whole=entry.what is shape.Kind.GPU and not (entry.share or name.endswith(".shared")),
        virtual=entry.virtual,
    )
    part, usual = _part(name, labels, hardware, known), _usual_share(entry, units, labels)
    if not part and entry.what is shape.Kind.PARTITION:
        part = usual or _vgpu_share(name, hardware) or SMALLEST_PART
    replicas = label_evidence.replicas(labels, name)
    if 0 < part < 1 or (usual and not part):
        share = (part or usual) / replicas
        kind = shape.Kind.PARTITION if part else entry.what
        return dataclasses.replace(
            named, kind=kind, share=share, gpus=units * share, replicas=replicas
        )
    whole = published(labels, hardware, resource_names.vendor_of(name))
    replicas = _replicas(everything, replicas, whole)
    share, gpus = 1 / replicas, units // replicas
    exact = units % replicas == 0 and (gpus == whole or (not whole and gpus <= _MOST_GPUS))
    return dataclasses.replace(
        named, share=share, gpus=units * share, replicas=replicas, exact=exact
    )


def _usual_share(entry: resource_names.Resource, units: int, labels: Mapping[str, str]) -> float:
    """GPUs in a unit by the resource's entry, 0 where it has none.

    Where a sharing layer lists the GPUs that it cuts, their number tells into how many.
    """
    if not entry.share or entry.same:
        return entry.share
    listed = label_evidence.registered(labels, resource_names.vendor_of(entry.name))
    return listed / units if listed and units % listed == 0 else entry.share


def _replicas(units: int, labelled: int, whole: int) -> int:
    """Units a GPU, where a label says `labelled`; it may be wrong, as the number of GPUs shows.

    Source: NVIDIA/k8s-device-plugin issue 732; HAMi writes no such label at all.
    """
    if not whole:
        return labelled if units % labelled == 0 else 1
    if units == whole:
        return 1
    if units % labelled == 0 and units // labelled <= whole:
        return labelled
    return max(math.ceil(units / whole), 1)


def _part(
    name: str, labels: Mapping[str, str], hardware: catalogue.Catalogue, known: Product | None
) -> float:
    """The part of a GPU that a unit is by its name or the node's labels; 0 where none tells."""
    fit = _fit(name, hardware, known)
    if fit is not None:
        return fit.compute
    single = label_evidence.mig_profile(labels) if name.startswith("nvidia.com/gpu") else ""
    fit = _fit(single, hardware, known)
    if fit is not None:  # all GPUs are cut alike, into as many as fit
        return 1 / fit.most
    mode = _AMD_MODE.fullmatch(name.lower())
    if mode is None and name == "amd.com/gpu":
        mode = _AMD_MODE.fullmatch(label_evidence.amd_partition(labels))
    if mode is None:
        return 0.0
    own = known.partitions if known is not None else 0
    return 1 / _AMD_MODES.get(mode["mode"], own or _CPX_PARTS)


class _Fit(NamedTuple):
    """A MIG profile's part of a GPU's compute slices and memory slots, and how many fit on one."""

    compute: float
    memory: float
    most: int


def _fit(name: str, hardware: catalogue.Catalogue, known: Product | None) -> _Fit | None:
    """How a MIG resource or profile fits on the node's GPUs; None for what is no profile."""
    profile = resource_names.mig_profile(name)
    if profile is None:
        return None
    geometry = hardware.partitions.geometry(known.mig) if known is not None else None
    exact = geometry.profile(profile) if geometry is not None else None
    if geometry is not None and exact is not None:
        slices = max(each.compute for each in geometry.profiles.values())
        return _Fit(exact.compute / slices, exact.size / geometry.slots, exact.most)
    compute = int(profile.partition("g")[0])
    size = _MEMORY_SIZES.get(compute, compute)
    most = _COMPUTE_SLICES if compute == 1 else _MEMORY_SLOTS // size
    if size == compute:
        most = min(most, _COMPUTE_SLICES // compute)
    return _Fit(compute / _COMPUTE_SLICES, size / _MEMORY_SLOTS, max(most, 1))


def _vgpu_share(name: str, hardware: catalogue.Catalogue) -> float:
    """A vGPU's part of its GPU, by memory; 0 where the GPU's is not known."""
    match = _VGPU.fullmatch(name)
    known = hardware.product(match["model"]) if match else None
    if match is None or known is None or not known.memory:
        return 0.0
    return min(int(match["memory"]) / known.memory, 1.0)


# ---------------------------------------------------------------- resources of one vendor together


def _settle(
    found: list[Behind],
    indexes: Sequence[int],
    counts: Sequence[tuple[str, int, int]],
    whole: int,
    profiles: Callable[[str], _Fit | None],
) -> None:
    """Bring the resources of one vendor into accord: no more GPUs than there are physically."""
    parts = [p for p in indexes if found[p].kind is shape.Kind.PARTITION and not found[p].same]
    own = sum(found[p].gpus for p in parts)
    if own:
        devices = {counts[p][0]: counts[p][1] / found[p].replicas for p in parts}
        cut = _cut(devices, own, profiles)
        for index in parts:
            gpus = found[index].gpus * cut / own
            found[index] = dataclasses.replace(found[index], gpus=gpus)
    _same(found, indexes, counts)
    whole_ones = [p for p in indexes if found[p].kind is shape.Kind.GPU or found[p].same]
    _bound(found, whole_ones, whole)
    if not whole_ones:  # some labellers count only the GPUs that are not cut
        _bound(found, parts, whole)


def _bound(found: list[Behind], indexes: Sequence[int], whole: int) -> None:
    """No more GPUs behind these resources than the node has."""
    grouped: dict[object, float] = {}  # names of one group count the same devices
    for index in indexes:
        key = found[index].same or index
        grouped[key] = max(grouped.get(key, 0.0), found[index].gpus)
    total = sum(grouped.values())
    if whole and total > whole + _ALMOST:
        scale = whole / total
        for index in indexes:
            each = found[index]
            found[index] = dataclasses.replace(
                each, gpus=each.gpus * scale, share=each.share * scale, exact=False
            )


def _cut(
    devices: Mapping[str, float],  # resource → partitions of it
    own: float,
    profiles: Callable[[str], _Fit | None],
) -> int:
    """The fewest GPUs that can be cut into these partitions; `own` is the sum of their parts.

    MIG's are bound by compute slices, by memory slots, and by how often a profile fits on a GPU:
    two of 3g, three of 2g, or four of 1g with double memory.
    """
    slots, least = 0.0, 0.0
    for name, count in devices.items():
        fit = profiles(name)
        if fit is not None:
            slots += count * fit.memory
            least = max(least, count / fit.most)
    return math.ceil(max(own, slots, least) - _ALMOST)


def _same(
    found: list[Behind], indexes: Sequence[int], counts: Sequence[tuple[str, int, int]]
) -> None:
    """Names of one group stand for as many GPUs as the name that counts whole ones."""
    for group in {found[index].same for index in indexes} - {""}:
        members = [index for index in indexes if found[index].same == group]
        whole = [p for p in members if found[p].kind is shape.Kind.GPU]
        gpus = max(found[index].gpus for index in whole or members)
        for index in members:
            units = max(counts[index][1], 1)
            found[index] = dataclasses.replace(found[index], gpus=gpus, share=gpus / units)
