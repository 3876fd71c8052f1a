"""How many GPUs a machine has, and how much of them nobody holds: physical ones, however published.

A driver may publish one GPU as several devices: as a whole, once more for passthrough, and as the
partitions it can be cut into. Whoever takes one of them takes of all.
"""

from __future__ import annotations

import collections
import dataclasses
import string
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from extender.hardware import physical_gpus, resource_names
from extender.hardware.dra import device_facts
from extender.hardware.shape import Device, Kind, Pool, Shape
from extender.hardware.usage import NOTHING, Usage

SMALLEST_PART = physical_gpus.SMALLEST_PART
_PROFILES = {"profile", "partitionProfile"}  # attributes of NVIDIA's and AMD's drivers
_SLICES = frozenset("1234567")  # of compute, that a profile may have
_WHOLE = ""  # what a device takes that takes all of the GPU
_Set: TypeAlias = tuple[int, str]  # (pool, counter set)
_Shares: TypeAlias = Mapping[str, float]  # what a GPU has → the part of it that a device takes


@dataclasses.dataclass(frozen=True, slots=True)
class _PhysicalGpu:
    """One physical GPU; `size` is less than 1 where only one of its partitions is known.

    `whole`: it is published as a whole, too.
    """

    size: float
    whole: bool
    devices: tuple[tuple[int, _Shares], ...]
    sets: Mapping[_Set, Mapping[str, tuple[str, int]]]  # counter → (what it is of, all of that)
    mask: int  # `devices` as bits

    def left(self, usage: Usage, consumed: Mapping[int, float]) -> float:
        """What nobody holds; `consumed` is the part of each shared device that is in use."""
        if not (usage.taken & self.mask or consumed or usage.drawn):
            return self.size
        used: dict[str, float] = collections.defaultdict(float)
        for device, shares in self.devices:
            part = 1.0 if usage.taken >> device & 1 else consumed.get(device, 0.0)
            if part:
                for thing, share in shares.items():
                    used[thing] += part * share
        for pool, name, counter, amount in usage.drawn:
            thing, there = self.sets.get((pool, name), {}).get(counter, (_WHOLE, 0))
            used[thing] += amount / there if there else 0.0
        return self.size * max(0.0, 1.0 - max(used.values(), default=0.0))


class GpuCounter:
    """The GPUs of a machine: `total` of them, `whole` of which are handed out as such."""

    def __init__(self, hardware: Shape) -> None:
        self._hardware = hardware
        self._gpus: dict[str, list[_PhysicalGpu]] = {}  # vendor → those that DRA has
        for vendor, gpu in _physical(hardware):
            self._gpus.setdefault(vendor, []).append(gpu)
        self._units = _units(hardware)
        self.total = self.left(NOTHING)
        self.whole = sum(self._whole(vendor) for vendor in self._gpus.keys() | self._units.keys())

    def left(self, usage: Usage) -> float:
        """GPUs that nobody holds; shares and partitions in use count by their part.

        GPUs that a plug-in and DRA both publish are the same: what either hands out is gone.
        """
        consumed = {
            device: part_of(self._hardware.devices[device], amounts, otherwise=0.0)
            for device, amounts in usage.shared
        }
        claimed = {
            vendor: sum(gpu.left(usage, consumed) for gpu in gpus)
            for vendor, gpus in self._gpus.items()
        }
        if not self._units:
            return sum(claimed.values())
        found = 0.0
        for vendor in self._gpus.keys() | self._units.keys():
            there = sum(gpu.size for gpu in self._gpus.get(vendor, ()))
            groups = self._units.get(vendor, ())
            units = sum(group.gpus for group in groups)
            gone = there - claimed.get(vendor, 0.0) + sum(each.held(usage) for each in groups)
            found += max(max(there, units) - gone, 0.0)
        return found

    def _whole(self, vendor: str) -> int:
        published = sum(gpu.whole for gpu in self._gpus.get(vendor, ()))
        return max(published, sum(group.whole for group in self._units.get(vendor, ())))


@dataclasses.dataclass(frozen=True, slots=True)
class _PluginUnits:
    """Resources that count the same GPUs: their places and the GPUs in a unit of each."""

    gpus: float
    whole: int
    shares: tuple[tuple[int, float], ...]

    def held(self, usage: Usage) -> float:
        """GPUs that pods hold of these; no more than there are."""
        if not usage.held:
            return 0.0
        return min(sum(usage.held[index] * share for index, share in self.shares), self.gpus)


def _units(hardware: Shape) -> dict[str, tuple[_PluginUnits, ...]]:
    """The GPUs in the units of plug-ins, by vendor."""
    groups: dict[tuple[str, object], list[int]] = {}
    for index, resource in enumerate(hardware.resources):
        if resource.gpus:
            vendor = resource_names.vendor_of(resource.name)
            groups.setdefault((vendor, resource.same or index), []).append(index)
    found: dict[str, tuple[_PluginUnits, ...]] = {}
    for (vendor, _), indexes in groups.items():
        members = [(index, hardware.resources[index]) for index in indexes]
        whole = [int(r.gpus) for _, r in members if r.kind is Kind.GPU and r.share == 1.0]
        found[vendor] = (
            *found.get(vendor, ()),
            _PluginUnits(
                gpus=max(resource.gpus for _, resource in members),
                whole=max(whole, default=0),
                shares=tuple((index, r.gpus / max(r.count, 1)) for index, r in members),
            ),
        )
    return found


def of_resource(hardware: Shape, name: str) -> float:
    """GPUs in a unit of a plug-in's resource; 0 where the machine has none of it."""
    return next((r.share for r in hardware.resources if r.name == name), 0.0)


def of_partition(hardware: Shape, index: int) -> float:
    """The largest share of anything that the partition draws from its GPU; 0 where it draws none.

    Counters of one name but for the number at its end (memory-slice-0 to 7) are parts of one thing.
    """
    device = hardware.devices[index]
    if not device.consumes_counters:
        return 0.0
    return max(_drawn(device, hardware.pools[_pool_of(hardware, index)]).values(), default=0.0)


def part_of(device: Device, amounts: Iterable[tuple[str, int]], *, otherwise: float) -> float:
    """The largest part of any capacity of the device; `otherwise` where no amount is of one."""
    parts = (
        amount / device.capacity[name].value
        for name, amount in amounts
        if name in device.capacity and device.capacity[name].value
    )
    return max(parts, default=otherwise)


def profile(device: Device) -> str:
    """The name of a partition's profile as its driver publishes it, empty where none is known.

    A number stands for a name that no live selector mentions.
    """
    for name, (_, value) in device.attributes.items():
        if name.rpartition("/")[2] in _PROFILES and not str(value).isdecimal():
            return str(value)
    return ""


def gpu_bodies(devices: Sequence[device_facts.DeviceFacts]) -> tuple[int | None, ...]:
    """`Shape.body` of these devices; empty where no device tells of which physical one it is."""
    if not any(fact.body or fact.address for fact in devices):
        return ()
    joined = _Joined()
    for number, fact in enumerate(devices):
        for key in (fact.body, fact.address):
            if key:
                joined.join(number, ("body", key))
    return tuple(
        joined.root(number) if fact.body or fact.address else None
        for number, fact in enumerate(devices)
    )


class _Joined:
    """Numbers that belong together, by the keys that they have in common."""

    def __init__(self) -> None:
        self._above: dict[int, int] = {}  # number → a lower one of its group
        self._first: dict[Hashable, int] = {}  # key → the first number that had it

    def join(self, number: int, key: Hashable) -> None:
        one, other = self.root(number), self.root(self._first.setdefault(key, number))
        self._above[max(one, other)] = min(one, other)

    def found(self, key: Hashable) -> int | None:
        """The group that has the key, None for no group."""
        first = self._first.get(key)
        return None if first is None else self.root(first)

    def root(self, number: int) -> int:
        """The lowest number of the group."""
        while (above := self._above.get(number, number)) != number:
            number = above
        return number


# ---------------------------------------------------------------- which devices are one GPU


def _physical(hardware: Shape) -> Iterator[tuple[str, _PhysicalGpu]]:
    """The GPUs among the devices that DRA has, each with its vendor."""
    behind = {index for resource in hardware.resources for index in resource.devices}
    kinds = [(p, device.kind) for p, device in enumerate(hardware.devices) if p not in behind]
    gpus = {index for index, kind in kinds if kind is Kind.GPU}
    parts = {index for index, kind in kinds if kind is Kind.PARTITION}
    sets = {index: _sets(hardware, index) for index in gpus | parts}
    joined = _Joined()
    for index in sets:
        body = hardware.body[index] if index < len(hardware.body) else None
        joined.join(index, ("alone", index) if body is None else body)
    spanning: list[int] = []
    # What draws of fewest sets first, and GPUs before partitions: they tell whose a set is.
    for index in sorted(sets, key=lambda index: (len(sets[index]), index in parts, index)):
        owners = {root for root in map(joined.found, sets[index]) if root is not None}
        if len(owners & {joined.root(gpu) for gpu in gpus}) > 1:
            spanning.append(index)
            continue
        for key in sets[index]:
            joined.join(index, key)
    groups: dict[int, list[int]] = {}
    for index in sets:
        if index not in spanning:
            groups.setdefault(joined.root(index), []).append(index)
    for members in groups.values():
        here = {key for index in members for key in sets[index]}
        others = [index for index in spanning if here & set(sets[index])]
        vendor = resource_names.vendor_of(hardware.devices[members[0]].driver)
        yield vendor, _gpu(hardware, members, others, here)


def _gpu(hardware: Shape, members: list[int], spanning: list[int], sets: set[_Set]) -> _PhysicalGpu:
    whole = any(hardware.devices[index].kind is Kind.GPU for index in members)
    # Partitions that draw no counters, and their part.
    plain = {
        index: of_profile(profile(hardware.devices[index]))
        for index in members
        if hardware.devices[index].kind is Kind.PARTITION and not _sets(hardware, index)
    }
    known = sum(plain.values())
    size = 1.0 if whole or sets or len(members) > 1 else known
    shares = {index: {_WHOLE: part / known} for index, part in plain.items()}
    indexes = (*members, *spanning)
    return _PhysicalGpu(
        size=size,
        whole=whole,
        devices=tuple(
            (index, shares.get(index) or _taken(hardware, index, sets)) for index in indexes
        ),
        sets={key: _things(hardware.pools[key[0]].counters.get(key[1], {})) for key in sets},
        mask=sum(1 << index for index in indexes),
    )


def _taken(hardware: Shape, index: int, sets: set[_Set]) -> _Shares:
    """What of a GPU with these counter sets goes with the device."""
    device = hardware.devices[index]
    if device.kind is Kind.GPU:
        return {_WHOLE: 1.0}
    return _drawn(device, hardware.pools[_pool_of(hardware, index)], {name for _, name in sets})


def _sets(hardware: Shape, index: int) -> list[_Set]:
    drawn = hardware.devices[index].consumes_counters
    return [(_pool_of(hardware, index), name) for name, _ in drawn] if drawn else []


def _drawn(device: Device, pool: Pool, only: set[str] | None = None) -> dict[str, float]:
    """The shares of what the counter sets have that the device draws."""
    found: dict[str, float] = collections.defaultdict(float)
    for name, counters in device.consumes_counters:
        if only is None or name in only:
            things, drawn = _things(pool.counters.get(name, {})), dict(counters)
            for counter, (thing, there) in things.items():
                found[thing] += drawn.get(counter, 0) / there if there else 0.0
    return dict(found)


def _things(counters: Mapping[str, int]) -> dict[str, tuple[str, int]]:
    """Counter → what it is a part of, and how much there is of that."""
    there: dict[str, int] = collections.defaultdict(int)
    for counter, amount in counters.items():
        there[counter.rstrip(string.digits)] += amount
    return {name: (thing := name.rstrip(string.digits), there[thing]) for name in counters}


def _pool_of(hardware: Shape, index: int) -> int:
    return next(
        number for number, pool in enumerate(hardware.pools) if pool.start <= index < pool.stop
    )


def of_profile(name: str) -> float:
    """GPUs in a MIG profile ("3g.40gb"), by its compute slices."""
    slices = name.partition("g")[0]
    # The geometry has no profile of more than seven, and a name may hold any digits.
    return int(slices) * SMALLEST_PART if slices in _SLICES else SMALLEST_PART
