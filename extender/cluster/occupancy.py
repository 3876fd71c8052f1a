"""Which units and devices behind a device plug-in are in use on a node.

The API says how many units a pod holds, never which. In order of trust: the node's
NodeResourceTopology object (how many per NUMA node, while it accounts for all units held), the
pod's own annotation (`railyard.dev/devices: nvidia.com/gpu=0,1`, written by whatever knows), then
inference: pods are taken in the order they were created, and each is given the nearest free
devices, which is what a kubelet with the plug-in's preferred allocation does. An inferred usage is
marked so.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Sequence

from extender.cluster import tenants
from extender.hardware.shape import PluginResource, Shape
from extender.kube import objects, quantity

_MOST_NEAREST = 65536  # answers kept; a machine of 8 GPUs has 255 sets of free ones


def held_by(
    present: Iterable[tenants.Tenant],
    shape: Shape,
    topology: objects.NodeResourceTopology | None = None,
) -> tuple[tuple[int, ...], int, bool]:
    """What pods hold: units per `shape.resources`, a mask of devices, whether it is inferred."""
    if not shape.resources:
        return (), 0, False
    held = [0] * len(shape.resources)
    taken, inferred = 0, False
    places = {resource.name: place for place, resource in enumerate(shape.resources)}
    for tenant in sorted(present, key=_age):
        for name, count in tenant.asked.extended:
            place = places.get(name)
            if place is None:
                continue
            held[place] += count
            resource = shape.resources[place]
            if resource.replicas > 1 or not resource.devices:
                continue
            told = dict(tenant.told).get(name) if tenant.told else None
            if told is None:
                taken |= _nearest_mask(shape, place, taken, count)
                inferred = True
            else:
                own = resource.devices
                taken |= _mask(own[n] for n in told if n < len(own))
    for place, resource in enumerate(shape.resources):
        zones = _by_zone(topology, resource, held[place])
        if inferred and zones:
            taken = _moved(shape, resource, zones, taken)
    return tuple(held), taken, inferred


def _by_zone(
    topology: objects.NodeResourceTopology | None, resource: PluginResource, held: int
) -> dict[int, int]:
    """Units in use per NUMA node; empty where the object lags behind the pods, or says nothing."""
    used: dict[int, int] = {}
    for zone in (topology.zones or ()) if topology is not None else ():
        number = zone.name.rpartition("-")[2]
        for entry in zone.resources or ():
            if entry.name == resource.name and zone.type == "Node" and number.isdecimal():
                in_use = quantity.whole(entry.allocatable) - quantity.whole(entry.available)
                used[int(number)] = in_use
    return used if sum(used.values()) == held else {}


def _moved(shape: Shape, resource: PluginResource, zones: dict[int, int], taken: int) -> int:
    """The mask with as many devices taken on each NUMA node as its zone says."""
    if resource.replicas > 1:
        return taken
    for number, in_use in zones.items():
        there = [device for device in resource.devices if shape.numa[device] == number]
        if len(there) < in_use:
            continue  # places are not known well enough to move anything
        # Those already thought taken stay, so that pods told by annotation keep their devices.
        there.sort(key=lambda device: (not taken >> device & 1, device))
        taken &= ~_mask(there)
        taken |= _mask(there[:in_use])
    return taken


def nearest(shape: Shape, free: Sequence[int], count: int) -> tuple[int, ...]:
    """Pick `count` of the free devices that lie nearest to each other, lowest numbers first.

    Greedy growth from each start: exact on the island-shaped machines there are, and never more
    than devices² steps.
    """
    if count >= len(free):
        return tuple(free)
    best: tuple[int, tuple[int, ...]] | None = None
    for start in free:
        chosen, distance = [start], 0
        rest = [device for device in free if device != start]
        while len(chosen) < count:
            added = min(rest, key=lambda d: (sum(shape.levels[d][c] for c in chosen), d))
            distance += sum(shape.levels[added][c] for c in chosen)
            chosen.append(added)
            rest.remove(added)
        candidate = (distance, tuple(sorted(chosen)))
        if best is None or candidate < best:
            best = candidate
    return best[1] if best is not None else ()


def free_devices(resource: PluginResource, taken: int) -> list[int]:
    """The resource's devices that nobody holds; none where devices are shared or not known."""
    if resource.replicas > 1:
        return []
    return [device for device in resource.devices if not taken >> device & 1]


@functools.lru_cache(maxsize=_MOST_NEAREST)
def _nearest_mask(shape: Shape, place: int, taken: int, count: int) -> int:
    """The devices that a pod with `count` units of a resource is thought to get."""
    return _mask(nearest(shape, free_devices(shape.resources[place], taken), count))


def _mask(devices: Iterable[int]) -> int:
    return sum(1 << device for device in set(devices))


_age = operator.attrgetter("age")
