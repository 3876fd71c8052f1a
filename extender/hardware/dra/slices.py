"""From ResourceSlices to the devices and pools of one node, in the allocator's order.

Source: k8s.io/dynamic-resource-allocation pools_incubating.go, resourceslice/tracker.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from extender.hardware import allocator_features, shape
from extender.hardware.dra import device_reader as published_devices
from extender.hardware.dra import layout_cache
from extender.hardware.dra import resource_pools as gathering
from extender.hardware.dra.device_reader import Interner
from extender.hardware.dra.resource_pools import PoolName
from extender.hardware.usage import Usage
from extender.kube.api import condensed_devices, objects, quantity

__all__ = ["DeviceName", "Interner", "NodeDevices", "PoolName", "broken_pools", "inventory", "used"]

# (driver, pool name, device name)
DeviceName: TypeAlias = tuple[str, str, str]
# (counter set, counter, nano units), …
Draw: TypeAlias = tuple[tuple[str, str, int], ...]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class NodeDevices:
    """What the allocator sees on one node.

    `devices`, those of `layout`, are interned and in the allocator's order; `published()[i]` is the
    API's object behind `devices[i]`, with its real values; `pool_names[i]` is how `pools[i]` is
    published, and `numbers` maps pools to the names of their devices, these to indices.
    `hidden` are devices of these pools that this node cannot use and that draw counters when
    they are in use: name → (pool index, what it draws).
    `broken_foreign`: the worst of the counter pools of other nodes among the slices given.
    """

    layout: layout_cache.Layout
    pools: tuple[shape.Pool, ...]
    pool_names: tuple[PoolName, ...]
    by_slice: tuple[Sequence[objects.Device], ...]  # as published
    pool_of: tuple[int, ...]  # device → index of its pool
    numbers: Mapping[PoolName, Mapping[str, int]]
    hidden: Mapping[DeviceName, tuple[int, Draw]]
    broken_foreign: shape.Broken | None = None

    @property
    def devices(self) -> tuple[shape.Device, ...]:
        return self.layout.devices

    def published(self) -> tuple[objects.Device, ...]:
        """The API's objects behind `devices`; made anew, 25 us for 48: keep them while you ask."""
        return tuple(itertools.chain.from_iterable(self.by_slice))

    def number(self, name: DeviceName) -> int | None:
        """The index of a device by its published name, None where this node does not show it."""
        driver, pool, device = name
        return self.numbers.get((driver, pool), _NONE).get(device)


_NONE: Mapping[str, int] = {}


def inventory(
    node_name: str,
    node_labels: Mapping[str, str],
    slices: Iterable[objects.ResourceSlice],
    *,
    features: allocator_features.AllocatorFeatures,
    interner: Interner,
    elsewhere: Mapping[PoolName, Mapping[int, int]] | None = None,
    rules: Iterable[objects.DeviceTaintRule] = (),
    apart: layout_cache.Apart = frozenset(),
) -> NodeDevices:
    """List the devices that kube-scheduler's allocator walks on this node, in its order.

    `slices` must hold every slice of every pool that has a slice of this node or of no node
    (`nodeName` empty); slices of other pools do no harm. Of a pool without counters those of other
    nodes may be left out if `elsewhere` counts them, by generation. `apart` names attribute
    identifiers (the part after the last "/") whose values are renumbered by first appearance, so
    that machines which differ in nothing else get equal devices; None renumbers all.
    """
    gathered = gathering.gather(
        node_name, node_labels, slices, elsewhere=elsewhere or {}, features=features
    )
    reader = published_devices.Reader(
        node_name,
        node_labels,
        interner=interner,
        rules=tuple(rules) if features.taint_rules else (),
        apart=apart,
        features=features,
    )
    return _PoolJoiner(interner, reader).build(gathered)


class _PoolJoiner:
    """Puts the gathered pools together, device after device."""

    def __init__(self, interner: Interner, reader: published_devices.Reader) -> None:
        self._interner = interner
        self._reader = reader
        self._specs: list[objects.ResourceSliceSpec] = []
        self._count = 0  # devices so far
        self._pools: list[shape.Pool] = []
        self._names: list[PoolName] = []
        self._numbers: dict[PoolName, Mapping[str, int]] = {}
        self._hidden: dict[DeviceName, tuple[int, Draw]] = {}
        self._short: dict[str, str] = {}  # published pool name → renumbered

    def build(self, gathered: list[gathering.Gathered]) -> NodeDevices:
        foreign: set[shape.Broken] = set()
        for pool in gathered:
            if pool.foreign:
                foreign |= {pool.broken} if pool.broken else set()
            elif pool.broken or any(item.spec.devices for item in pool.slices):
                self._add(pool)
        return NodeDevices(
            layout=self._reader.layout(self._specs),
            pools=tuple(self._pools),
            pool_names=tuple(self._names),
            by_slice=tuple([spec.devices or () for spec in self._specs]),
            pool_of=self._interner.pool_of(tuple([p.stop - p.start for p in self._pools])),
            numbers=self._numbers,
            hidden=self._hidden,
            broken_foreign=worst(foreign),
        )

    def _add(self, pool: gathering.Gathered) -> None:
        driver, name = pool.name
        start = self._count
        names: list[str] = []
        for item in pool.slices:
            self._specs.append(item.spec)
            names += [device.name for device in condensed_devices.alike(item.spec.devices)]
        self._count = start + len(names)
        short = self._short.setdefault(name, str(len(self._short)))
        stop = self._count
        self._pools.append(
            self._interner.pool(
                driver, short, start, stop, pool.counters, pool.broken, len(pool.slices)
            )
        )
        self._names.append(pool.name)
        numbers = self._interner.numbering(start, tuple(names))
        # A pool may come in parts, and a name in each; the first is meant.
        before = self._numbers.get(pool.name)
        self._numbers[pool.name] = numbers if before is None else {**numbers, **before}
        for item in pool.hidden:
            for device in condensed_devices.alike(item.spec.devices):
                if device.consumes_counters:
                    key = (driver, name, device.name)
                    self._hidden[key] = (len(self._pools) - 1, _draw(device))


def _draw(device: objects.Device) -> Draw:
    return tuple(
        (drawn.counter_set, name, quantity.nano(counter.value))
        for drawn in device.consumes_counters or ()
        for name, counter in sorted((drawn.counters or {}).items())
    )


def worst(found: Iterable[shape.Broken]) -> shape.Broken | None:
    """Return the worst way to be broken: an invalid pool does more harm than an incomplete one."""
    broken = set(found)
    if shape.Broken.INVALID in broken:
        return shape.Broken.INVALID
    return shape.Broken.INCOMPLETE if broken else None


def broken_pools(
    slices: Iterable[objects.ResourceSlice], *, features: allocator_features.AllocatorFeatures
) -> dict[PoolName, shape.Broken]:
    """Return the counter pools that are incomplete or invalid in the eyes of every other node.

    Up to 1.36 such a pool fails mode All on all nodes, and turns "does not fit" into an error
    when it is invalid: `surroundings` of the allocator for a node is the worst of those pools
    that are not the node's own. `slices` must hold the pools whole.
    """
    if not (features.counters_everywhere and features.partitionable) or features.mixed_slices:
        return {}
    nobody = ""  # no node has an empty name, so this sees what every other node sees
    return {
        pool.name: pool.broken
        for pool in gathering.gather(nobody, {}, slices, features=features)
        if pool.broken
    }


def used(
    inventory: NodeDevices,
    results: Iterable[objects.DeviceRequestAllocationResult],
    *,
    features: allocator_features.AllocatorFeatures,
) -> Usage:
    """Return what the results of allocated claims take of the inventory.

    Results for devices of other pools are passed over, and so are those with adminAccess.
    """
    taken = 0
    shared: dict[int, dict[str, int]] = {}  # device → capacity name → nano units
    hidden: set[DeviceName] = set()  # a hidden device draws once, however many share it
    for result in results:
        if result.admin_access:
            continue
        pool = inventory.numbers.get((result.driver, result.pool), _NONE)
        number = pool.get(result.device)
        share = result.share_id is not None and features.consumable_capacity
        if number is None:
            if not (share and features.shared_uncounted):
                hidden.add((result.driver, result.pool, result.device))
        elif share:
            own = shared.setdefault(number, {})
            for capacity, value in (result.consumed_capacity or {}).items():
                own[capacity] = own.get(capacity, 0) + quantity.nano(value)
        else:
            taken |= 1 << number
    if not shared and not hidden:
        return Usage(taken)
    return Usage(
        taken=taken,
        shared=tuple(sorted((d, tuple(sorted(own.items()))) for d, own in shared.items())),
        drawn=_drawn(inventory, hidden),
    )


def _drawn(
    inventory: NodeDevices, hidden: set[DeviceName]
) -> tuple[tuple[int, str, str, int], ...]:
    """Sum what the hidden devices among these draw: (pool, counter set, counter, nano units)."""
    drawn: dict[tuple[int, str, str], int] = {}
    for name in hidden & inventory.hidden.keys():
        pool, draws = inventory.hidden[name]
        for counter_set, counter, amount in draws:
            key = (pool, counter_set, counter)
            drawn[key] = drawn.get(key, 0) + amount
    return tuple(sorted((*key, amount) for key, amount in drawn.items()))
