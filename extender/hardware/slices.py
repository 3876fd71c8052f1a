"""From ResourceSlices to the devices and pools of one node, in the allocator's order.

Source: dra.md §2.2; k8s.io/dynamic-resource-allocation pools_incubating.go.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from extender.hardware import shape, versions
from extender.hardware.usage import Usage
from extender.kube import objects

# (driver, pool name)
PoolName: TypeAlias = tuple[str, str]
# (driver, pool name, device name)
DeviceName: TypeAlias = tuple[str, str, str]


class Interner:
    """Equal devices and pools become one object, for as long as somebody holds it."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Inventory:
    """What the allocator sees on one node.

    `devices` are interned and in the allocator's order; `published[i]` is the API's object behind
    `devices[i]`, with its real values; `pool_names[i]` is how `pools[i]` is published.
    `hidden` are devices of these pools that this node cannot use and that draw counters when
    they are in use: name → (pool index, (counter set, counter, nano units), …).
    `broken_foreign`: the worst of the counter pools of other nodes among the slices given.
    """

    devices: tuple[shape.Device, ...]
    pools: tuple[shape.Pool, ...]
    pool_names: tuple[PoolName, ...]
    published: tuple[objects.Device, ...]
    # device → index of its pool
    pool_of: tuple[int, ...]
    hidden: Mapping[DeviceName, tuple[int, tuple[tuple[str, str, int], ...]]]
    broken_foreign: shape.Broken | None = None


def inventory(
    node_name: str,
    node_labels: Mapping[str, str],
    slices: Iterable[objects.ResourceSlice],
    *,
    features: versions.Features,
    interner: Interner,
    rules: Iterable[objects.DeviceTaintRule] = (),
    live: frozenset[str] | None = None,
    kind: Callable[[str, objects.Device], shape.Kind] | None = None,
) -> Inventory:
    """List the devices that kube-scheduler's allocator walks on this node, in its order.

    `slices` must hold every slice of every pool that has a slice of this node or of no node
    (`nodeName` empty); slices of other pools do no harm. `live` names the attribute identifiers
    (the part after the last "/") that some selector may read; the values of all others are
    renumbered by first appearance, so that equal machines get equal devices; None keeps all.
    `kind` classifies a device of a driver.
    """
    raise NotImplementedError


def broken_pools(
    slices: Iterable[objects.ResourceSlice], *, features: versions.Features
) -> dict[PoolName, shape.Broken]:
    """Return the counter pools that are incomplete or invalid in the eyes of every other node.

    Up to 1.36 such a pool fails mode All on all nodes, and turns "does not fit" into an error
    when it is invalid: `surroundings` of the allocator for a node is the worst of those pools
    that are not the node's own.
    """
    raise NotImplementedError


def used(
    inventory: Inventory,
    results: Iterable[objects.DeviceRequestAllocationResult],
    *,
    features: versions.Features,
) -> Usage:
    """Return what the results of allocated claims take of the inventory.

    Results for devices of other pools are passed over, and so are those with adminAccess.
    """
    raise NotImplementedError
