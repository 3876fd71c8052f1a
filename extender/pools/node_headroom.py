"""What the devices of one node still allow: whole GPUs, GPUs with a close NIC, partitions.

Counted once per state of a node, by devices alone: CPU and memory are columns beside the state.
Devices that no pod gets without a toleration count as held.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from extender import bounded_cache
from extender.hardware import gpu_count, resource_names
from extender.hardware.shape import Kind, Level, Shape
from extender.hardware.usage import Usage
from extender.policy import bipartite_matching
from extender.pools import gpu_states
from extender.pricing import count_plan
from extender.pricing.mig import placements

_MOST_KEPT = 8192  # states; about 300 bytes each
_MOST_NAME = 63  # characters of a profile, as of a label's value


@dataclasses.dataclass(frozen=True, slots=True)
class Partition:
    """A partition of a GPU that can be had: MIG profile (or another vendor's name) and its size.

    `size` is the part of a GPU that it takes; `gpus` is on how many GPUs it can be placed now, or
    how many of it are left where GPUs are cut already.
    """

    profile: str
    size: float
    gpus: int


@dataclasses.dataclass(frozen=True, slots=True)
class NodeHeadroom:
    """`pairs` are free GPUs that can have a free NIC of their own as close as the machine has any.

    `has_pairs` and `has_partitions` tell whether the machine has such at all. `largest` is the
    largest partition that can be placed, None for none.
    """

    whole: int = 0
    pairs: int = 0
    has_pairs: bool = False
    has_partitions: bool = False
    largest: Partition | None = None


@bounded_cache.remembered("node-headroom", _MOST_KEPT)
def of_state(hardware: Shape, usage: Usage) -> NodeHeadroom:
    """The headroom of a node in this state."""
    unusable = sum(
        1 << number
        for number, device in enumerate(hardware.devices)
        if not gpu_states.usable(device)
    )
    left = dataclasses.replace(usage, taken=usage.taken | unusable) if unusable else usage
    whole = count_plan.plan_whole_gpus(hardware).count_on(hardware, left).count
    close = _close_nics(hardware)
    partitions = list(_partitions(hardware, left))
    return NodeHeadroom(
        whole=whole,
        pairs=_pairs(hardware, left, close, whole) if close else 0,
        has_pairs=bool(close),
        has_partitions=bool(partitions),
        largest=together(partitions),
    )


def _close_nics(hardware: Shape) -> dict[int, frozenset[int]]:
    """GPU → the NICs that are close to it; empty where no pair is known to be close.

    Close is behind one host bridge; on one NUMA node where no pair of the machine is closer.
    """
    gpus = [p for p, device in enumerate(hardware.devices) if device.kind is Kind.GPU]
    nics = [p for p, device in enumerate(hardware.devices) if device.kind is Kind.NIC]
    best = min((hardware.levels[gpu][nic] for gpu in gpus for nic in nics), default=Level.UNKNOWN)
    if best > Level.NODE:
        return {}
    enough = max(best, Level.PHB)
    return {
        gpu: frozenset(nic for nic in nics if hardware.levels[gpu][nic] <= enough) for gpu in gpus
    }


def _pairs(hardware: Shape, usage: Usage, close: dict[int, frozenset[int]], whole: int) -> int:
    """The most GPUs that get a close NIC each, of those that are free.

    Units of plug-ins may be held without a word on which devices they are: no more pairs than units
    that are left.
    """
    consumed = dict(usage.shared)
    nics = [
        number
        for number, device in enumerate(hardware.devices)
        if device.kind is Kind.NIC and not usage.taken >> number & 1 and number not in consumed
    ]
    column = {number: position for position, number in enumerate(nics)}
    rows = [
        [column[nic] for nic in sorted(reached) if nic in column]
        for gpu, reached in close.items()
        if not usage.taken >> gpu & 1 and gpu not in consumed
    ]
    return min(bipartite_matching.matching(rows, len(nics)), whole, _nics_left(hardware, usage))


def _nics_left(hardware: Shape, usage: Usage) -> int:
    held = usage.held or (0,) * len(hardware.resources)
    behind = {
        number
        for resource in hardware.resources
        if resource.kind is Kind.NIC
        for number in resource.devices
    }
    units = sum(
        max(resource.count - units, 0)
        for resource, units in zip(hardware.resources, held, strict=True)
        if resource.kind is Kind.NIC and resource.devices
    )
    others = sum(
        device.kind is Kind.NIC and number not in behind and not usage.taken >> number & 1
        for number, device in enumerate(hardware.devices)
    )
    return units + others


def _partitions(hardware: Shape, usage: Usage) -> Iterator[Partition]:
    """Yield the profiles of each GPU or resource that has any; no GPUs where none is free."""
    elsewhere: set[int] = set()  # devices that are counted by their GPU, or by their resource
    for gpu in placements.partitioned_gpus(hardware):
        elsewhere.update(gpu.devices)
        possible = gpu.free(usage)
        sizes: dict[str, tuple[float, bool]] = {}  # profile → its size, whether it can be placed
        for position, number in enumerate(gpu.devices):
            if hardware.devices[number].kind is Kind.PARTITION:
                profile, size = _profile(hardware, number)
                free = bool(possible >> position & 1) or sizes.get(profile, (0.0, False))[1]
                sizes[profile] = size, free
        yield from (Partition(name, size, int(free)) for name, (size, free) in sizes.items())
    held = usage.held or (0,) * len(hardware.resources)
    for resource, units in zip(hardware.resources, held, strict=True):
        if resource.kind is Kind.PARTITION:
            elsewhere.update(resource.devices)
            name = resource.name.rpartition("/")[2]
            profile = resource_names.mig_profile(resource.name) or name
            yield Partition(profile, resource.share, max(resource.count - units, 0))
    for number, device in enumerate(hardware.devices):
        if device.kind is Kind.PARTITION and number not in elsewhere:
            yield Partition(*_profile(hardware, number), int(not usage.taken >> number & 1))


def _profile(hardware: Shape, number: int) -> tuple[str, float]:
    """The name of a partition's profile, and its part of a GPU."""
    profile = gpu_count.profile(hardware.devices[number]) or "unnamed"
    return profile, gpu_count.of_partition(hardware, number) or gpu_count.of_profile(profile)


def together(found: Iterable[Partition]) -> Partition | None:
    """The largest that can be placed, with all the GPUs on which it can; None for none."""
    placeable = [each for each in found if each.gpus]
    if not placeable:
        return None
    # Of several of one size the plain one: "1g.10gb" before "1g.10gb+me".
    best = max(placeable, key=lambda each: (each.size, -len(each.profile), each.profile))
    gpus = sum(each.gpus for each in placeable if each.profile == best.profile)
    return Partition(best.profile[:_MOST_NAME], best.size, gpus)
