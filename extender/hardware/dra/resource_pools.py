"""Which pools a node has, which of their slices count, and whether a pool may be used.

Source: k8s.io/dynamic-resource-allocation pools_incubating.go, and for 1.34
pools_experimental.go of that version.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from extender.hardware import allocator_features
from extender.hardware.dra import node_affinity
from extender.hardware.shape import Broken
from extender.kube.api import condensed_devices, objects, quantity

# (driver, pool name)
PoolName: TypeAlias = tuple[str, str]
# counter set → counter → nano units
Counters: TypeAlias = dict[str, dict[str, int]]


_consumed = operator.attrgetter("consumes_counters")
_NOWHERE: Mapping[PoolName, Mapping[int, int]] = {}


@dataclasses.dataclass(frozen=True, slots=True)
class Gathered:
    """A pool in the eyes of one node.

    `slices` hold the devices to walk, in order. `hidden` hold devices that other nodes use and
    that draw on the same counters.
    """

    name: PoolName
    slices: tuple[objects.ResourceSlice, ...] = ()
    hidden: tuple[objects.ResourceSlice, ...] = ()
    counters: Counters = dataclasses.field(default_factory=dict)
    broken: Broken | None = None
    binds: bool = False  # a device has binding conditions: such pools come last
    foreign: bool = False  # here only because counter slices concern every node


def gather(
    node_name: str,
    node_labels: Mapping[str, str],
    slices: Iterable[objects.ResourceSlice],
    *,
    elsewhere: Mapping[PoolName, Mapping[int, int]] = _NOWHERE,
    features: allocator_features.AllocatorFeatures,
) -> list[Gathered]:
    """List the node's pools in the allocator's order; outdated slices are passed over.

    `slices` must hold the whole of every pool that the node has a part in, but for slices of other
    nodes in pools without counters that `elsewhere` counts by generation.
    """
    members: dict[PoolName, list[objects.ResourceSlice]] = {}  # every slice of the pool
    relevant: dict[PoolName, list[objects.ResourceSlice]] = {}  # those that concern the node
    for item in slices:
        spec = item.spec
        name = (spec.driver, spec.pool.name)
        members.setdefault(name, []).append(item)
        if concerns(spec, node_name, node_labels, features=features):
            relevant.setdefault(name, []).append(item)
    build = _separate_slices if features.mixed_slices else _one_pool
    found = [
        dataclasses.replace(pool, foreign=_foreign(mine, node_name))
        for name, mine in relevant.items()
        for pool in build(
            name, mine, members[name], elsewhere=elsewhere.get(name, {}), features=features
        )
    ]
    # Python's sort is stable, which keeps the parts of a pool of 1.34 in order.
    return sorted(found, key=lambda pool: (pool.binds, pool.name))


def concerns(
    spec: objects.ResourceSliceSpec,
    node_name: str,
    node_labels: Mapping[str, str],
    *,
    features: allocator_features.AllocatorFeatures,
) -> bool:
    """Whether the allocator looks at the slice when it judges this node."""
    if not features.partitionable and (
        spec.per_device_node_selection is not None
        or (spec.shared_counters and not features.mixed_slices)
    ):
        return False
    if spec.shared_counters and features.counters_everywhere and not features.mixed_slices:
        return True
    if spec.node_name or spec.all_nodes or spec.node_selector is not None:
        return node_affinity.admits(
            node_name,
            node_labels,
            name=spec.node_name,
            selector=spec.node_selector,
            everywhere=spec.all_nodes,
        )
    return bool(spec.per_device_node_selection) and any(
        device_admits(device, node_name, node_labels)
        for device in condensed_devices.alike(spec.devices)
    )


def _foreign(mine: list[objects.ResourceSlice], node_name: str) -> bool:
    return all(item.spec.node_name not in {None, "", node_name} for item in mine)


def device_admits(device: objects.Device, node_name: str, node_labels: Mapping[str, str]) -> bool:
    """Whether a device of a slice with perDeviceNodeSelection is for the node."""
    return node_affinity.admits(
        node_name,
        node_labels,
        name=device.node_name,
        selector=device.node_selector,
        everywhere=device.all_nodes,
    )


def newest(slices: Iterable[objects.ResourceSlice]) -> list[objects.ResourceSlice]:
    """Keep the slices of the highest generation."""
    kept: list[objects.ResourceSlice] = []
    for item in slices:
        generation = item.spec.pool.generation
        if kept and generation < kept[0].spec.pool.generation:
            continue
        if kept and generation > kept[0].spec.pool.generation:
            kept = []
        kept.append(item)
    return kept


# ---------------------------------------------------------------- 1.35 and later


def _one_pool(
    name: PoolName,
    mine: list[objects.ResourceSlice],
    members: list[objects.ResourceSlice],
    *,
    elsewhere: Mapping[int, int],
    features: allocator_features.AllocatorFeatures,
) -> Iterator[Gathered]:
    kept = newest(mine)
    pool = kept[0].spec.pool
    everything = kept
    if len(kept) != pool.resource_slice_count:
        generations = {item.spec.pool.generation for item in members} | elsewhere.keys()
        if max(generations) > pool.generation:
            return  # a newer generation has nothing for this node; the pool is being replaced
        everything = [i for i in members if i.spec.pool.generation == pool.generation]
        known = len(everything) + elsewhere.get(pool.generation, 0)
        if known != pool.resource_slice_count:
            yield Gathered(name, broken=Broken.INCOMPLETE)
            return
    yield _built(name, _ordered(kept, features), everything, features=features)


def _ordered(
    slices: list[objects.ResourceSlice], features: allocator_features.AllocatorFeatures
) -> list[objects.ResourceSlice]:
    if features.pool_order_known:
        return sorted(slices, key=lambda item: item.metadata.name)
    return sorted(slices, key=_binds)


def _built(
    name: PoolName,
    kept: list[objects.ResourceSlice],
    everything: list[objects.ResourceSlice],
    *,
    features: allocator_features.AllocatorFeatures,
) -> Gathered:
    with_devices = [i for i in kept if not (features.partitionable and i.spec.shared_counters)]
    if _repeats(
        device.name
        for item in with_devices
        for device in condensed_devices.alike(item.spec.devices)
    ):
        return Gathered(name, broken=Broken.INVALID)
    if not features.partitionable:
        return Gathered(name, tuple(with_devices), binds=any(map(_binds, with_devices)))
    seen = {item.metadata.name for item in kept}
    others = [item for item in everything if item.metadata.name not in seen]
    holders = [item for item in (*kept, *others) if item.spec.shared_counters]
    if _repeats(s.name for item in holders for s in item.spec.shared_counters or ()):
        return Gathered(name, broken=Broken.INVALID)
    counters = {
        counter_set.name: {
            key: quantity.nano(counter.value)
            for key, counter in (counter_set.counters or {}).items()
        }
        for item in holders
        for counter_set in item.spec.shared_counters or ()
    }
    hidden = [item for item in others if not item.spec.shared_counters]
    # Up to 1.36 the devices of a slice that holds counters are checked too, though never used.
    checked = kept if features.counters_everywhere else with_devices
    if not all(_draws_known(item, counters) for item in (*checked, *hidden)):
        return Gathered(name, broken=Broken.INVALID)
    binds = any(map(_binds, with_devices))
    return Gathered(name, tuple(with_devices), tuple(hidden), counters, binds=binds)


def _draws_known(item: objects.ResourceSlice, counters: Counters) -> bool:
    return all(
        drawn.counter_set in counters
        and all(name in counters[drawn.counter_set] for name in drawn.counters or ())
        for consumed in filter(None, map(_consumed, condensed_devices.alike(item.spec.devices)))
        for drawn in consumed
    )


# ---------------------------------------------------------------- 1.34


def _separate_slices(
    name: PoolName,
    mine: list[objects.ResourceSlice],
    members: list[objects.ResourceSlice],  # noqa: ARG001 (1.34 looks at the relevant ones only)
    *,
    elsewhere: Mapping[int, int],  # noqa: ARG001 (the same)
    features: allocator_features.AllocatorFeatures,  # noqa: ARG001 (the signature is shared with `_one_pool`)
) -> Iterator[Gathered]:
    """Yield one part per slice: in 1.34 a device draws on the counters of its own slice.

    An incomplete pool keeps its devices there: only mode All asks. An invalid one keeps them too,
    for the search to fail on it when it comes by.
    """
    kept = newest(sorted(mine, key=_binds))
    broken = None
    if _repeats(
        device.name for item in kept for device in condensed_devices.alike(item.spec.devices)
    ):
        broken = Broken.INVALID
    elif len(kept) != kept[0].spec.pool.resource_slice_count:
        broken = Broken.INCOMPLETE
    for item in kept:
        counters = {
            counter_set.name: {
                key: quantity.nano(counter.value)
                for key, counter in (counter_set.counters or {}).items()
            }
            for counter_set in item.spec.shared_counters or ()
        }
        yield Gathered(name, (item,), (), counters, broken, binds=_binds(kept[-1]))


def _binds(item: objects.ResourceSlice) -> bool:
    return any(
        device.binding_conditions is not None
        for device in condensed_devices.alike(item.spec.devices)
    )


def _repeats(names: Iterable[str]) -> bool:
    listed = list(names)
    return len(set(listed)) != len(listed)
