"""Which units and devices behind a device plug-in are in use on a node.

The API says how many units a pod holds, never which. In order of trust: the node's
NodeResourceTopology object (how many per NUMA node, while it accounts for all units held), the
pod's own annotation (`railyard.dev/devices: nvidia.com/gpu=0,1`, written by whatever knows), then
inference: pods are taken in the order they were created, and each is given the nearest free
devices, NICs together with their GPUs, which is what a kubelet with the plug-in's preferred
allocation does. An inferred usage is
marked so.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence

from extender import bounded_cache
from extender.cluster.pods import bound_pods
from extender.hardware.shape import Kind, PluginResource, Shape
from extender.kube.api import objects, quantity

_MOST_OWNERS = 4  # pods that a sentence names
_SHORT = 60  # characters of a name that anybody may write
_MOST_NEAREST = 16_384  # answers kept; a machine of 8 GPUs has 255 sets of free ones


def held_by(
    present: Iterable[bound_pods.BoundPod],
    shape: Shape,
    topology: objects.NodeResourceTopology | None = None,
    doubted: list[tuple[str, str]] | None = None,
) -> tuple[tuple[int, ...], int, bool]:
    """What pods hold: units per `shape.resources`, a mask of devices, whether it is inferred.

    To `doubted` goes which pod's annotation is not believed, and why.
    """
    if not shape.resources:
        return (), 0, False
    held = [0] * len(shape.resources)
    taken, inferred = 0, False
    owners: list[tuple[str, int]] = []  # pod → mask of the devices that it is thought to hold
    positions = {resource.name: position for position, resource in enumerate(shape.resources)}
    for tenant in sorted(present, key=_age):
        if doubted is not None and (tenant.annotated or tenant.misread):
            doubted += ((tenant.name, why) for why in _doubts(tenant, shape, taken, owners))
        for name, count in tenant.asked.extended:
            if name in positions:
                held[positions[name]] += count
        known, guessed = _devices_of(tenant, shape, positions, taken)
        taken |= _mask(known)
        owners.append((tenant.name, _mask(known)))
        for devices in guessed:
            taken |= _mask(devices)
            owners.append((f"{tenant.name} (inferred)", _mask(devices)))
            inferred = True
    for position, resource in enumerate(shape.resources):
        zones = _by_zone(topology, resource, held[position])
        if inferred and zones:
            taken = _moved(shape, resource, zones, taken)
    return tuple(held), taken, inferred


def devices_by_pod(
    present: Mapping[tuple[str, str], bound_pods.BoundPod], shape: Shape
) -> dict[tuple[str, str], tuple[tuple[int, ...], tuple[int, ...]]]:
    """Pod → the devices behind plug-ins that its annotation names, and those it is thought to have.

    As `held_by` counts them without a NodeResourceTopology, which names no pods.
    """
    found, taken = {}, 0
    positions = {resource.name: position for position, resource in enumerate(shape.resources)}
    for key, tenant in sorted(present.items(), key=lambda each: each[1].age) if positions else ():
        known, guessed = _devices_of(tenant, shape, positions, taken)
        likely_ones = tuple(device for devices in guessed for device in devices)
        taken |= _mask(known) | _mask(likely_ones)
        if known or likely_ones:
            found[key] = known, likely_ones
    return found


def _devices_of(
    tenant: bound_pods.BoundPod, shape: Shape, positions: Mapping[str, int], taken: int
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """The pod's devices that its annotation names, and those inferred for each other resource."""
    known: list[int] = []
    asked: list[tuple[int, int]] = []  # (place, units) of which nothing is said
    for name, count in tenant.asked.extended:
        position = positions.get(name)
        if position is None:
            continue
        resource = shape.resources[position]
        if resource.replicas > 1 or not resource.devices:
            continue
        annotated = _annotated(tenant, name, resource, taken, count) if tenant.annotated else ()
        known += annotated
        if not annotated:
            asked.append((position, count))
    taken |= _mask(known)
    guessed = likely(shape, taken, tuple(asked), tuple(known)) if asked else ()
    return tuple(known), tuple(devices for _, devices in guessed)


def _annotated(
    tenant: bound_pods.BoundPod, name: str, resource: PluginResource, taken: int, count: int
) -> tuple[int, ...]:
    """The devices that the pod's annotation names; none where it does not tell, or must be wrong.

    Whoever may create pods may write it: it is believed where it names as many devices as the pod
    holds, all of which are there and nobody else's.
    """
    annotated = dict(tenant.annotated).get(name, ())
    if _doubt(annotated, name, resource, taken, count):
        return ()
    return tuple(resource.devices[number] for number in annotated)


def _doubt(
    annotated: tuple[int, ...],
    name: str,
    resource: PluginResource,
    taken: int,
    count: int,
    owners: Sequence[tuple[str, int]] = (),
) -> str:
    """Why the devices that the annotation names are not believed; empty where they are.

    `owners` are the pods that hold what is `taken`.
    """
    if len(annotated) != count:
        return f"it names {len(annotated)} of {name}, and the pod holds {count}"
    if max(annotated, default=-1) >= len(resource.devices):
        last = len(resource.devices) - 1
        return f"it names {max(annotated)} of {name}, and the node has 0 to {last}"
    wanted = _mask(resource.devices[number] for number in annotated)
    if wanted & taken:
        others = ", ".join([pod for pod, devices in owners if devices & wanted][:_MOST_OWNERS])
        return f"it names devices of {name} that another pod holds{': ' * bool(others)}{others}"
    return ""


def _doubts(
    tenant: bound_pods.BoundPod, shape: Shape, taken: int, owners: Sequence[tuple[str, int]]
) -> Iterator[str]:
    """Yield what of the pod's annotation is not believed."""
    if tenant.misread:
        yield tenant.misread
    asked = dict(tenant.asked.extended)
    known = {resource.name: resource for resource in shape.resources}
    for name, annotated in tenant.annotated:
        resource = known.get(name)
        if name not in asked:
            yield f"the pod does not request {name[:_SHORT]!r}"
            continue
        if resource is None or resource.replicas > 1 or not resource.devices:
            continue
        if why := _doubt(annotated, name, resource, taken, asked[name], owners):
            yield why


def _by_zone(
    topology: objects.NodeResourceTopology | None, resource: PluginResource, held: int
) -> dict[int, int]:
    """Units in use per NUMA node; empty where the object lags behind the pods, or says nothing."""
    used: dict[int, int] = {}
    for zone in (topology.zones or ()) if topology is not None else ():
        number = bound_pods.number(zone.name.rpartition("-")[2])
        for entry in zone.resources or ():
            if entry.name == resource.name and zone.type == "Node" and number is not None:
                in_use = quantity.whole(entry.allocatable) - quantity.whole(entry.available)
                used[number] = in_use
    return used if sum(used.values()) == held and min(used.values(), default=0) >= 0 else {}


def _moved(shape: Shape, resource: PluginResource, zones: dict[int, int], taken: int) -> int:
    """The mask with as many devices taken on each NUMA node as its zone says."""
    if resource.replicas > 1:
        return taken
    for number, in_use in zones.items():
        there = [device for device in resource.devices if shape.numa[device] == number]
        if len(there) < in_use:
            continue  # places are not known well enough to move anything
        # Those already thought taken stay, so that pods with an annotation keep their devices.
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


@bounded_cache.remembered("likely-devices", _MOST_NEAREST)
def likely(
    shape: Shape, taken: int, asked: tuple[tuple[int, int], ...], known: tuple[int, ...] = ()
) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """The devices that a pod is thought to get: (place in `Shape.resources`, devices), as asked.

    `asked` are (position, units); `known` are devices that the pod has for sure. GPUs close to each
    other come first; of equally close ones those that have free NICs beside them, and then these
    NICs: as kubelets align what plug-ins hand out, and AWS's plug-in the NIC with the GPU.
    """
    free = {position: free_devices(shape.resources[position], taken) for position, _ in asked}
    nics = [(position, count) for position, count in asked if _is_nic(shape, free[position])]
    gpus, found = list(known), {}
    for position, count in asked:
        if (position, count) not in nics:
            found[position] = _gpus(shape, free[position], count, nics, free)
            gpus += found[position]
    for position, count in nics:
        found[position] = _beside(shape, gpus, free[position], count)
    return tuple([(position, found[position]) for position, _ in asked])


def _is_nic(shape: Shape, devices: Sequence[int]) -> bool:
    return bool(devices) and shape.devices[devices[0]].kind is Kind.NIC


def _gpus(
    shape: Shape,
    free: Sequence[int],
    count: int,
    nics: Sequence[tuple[int, int]],  # (place, units)
    free_nics: Mapping[int, Sequence[int]],  # place → devices
) -> tuple[int, ...]:
    """Of the sets of GPUs nearest to each other the one nearest to the NICs it would get."""
    if not nics or count >= len(free):
        return nearest(shape, free, count)

    def distance(gpus: tuple[int, ...]) -> tuple[int, int, tuple[int, ...]]:
        among = sum(shape.levels[one][other] for one in gpus for other in gpus if one < other)
        got = [n for at, units in nics for n in _beside(shape, gpus, free_nics[at], units)]
        to_nics = sum(min(shape.levels[gpu][nic] for nic in got) for gpu in gpus)
        to_gpus = sum(min(shape.levels[gpu][nic] for gpu in gpus) for nic in got)
        return among, to_nics + to_gpus, gpus

    return min({_grown(shape, start, free, count) for start in free}, key=distance)


def _grown(shape: Shape, start: int, free: Sequence[int], count: int) -> tuple[int, ...]:
    """The device and the nearest free ones; of equally linked ones those on its root, its NUMA."""

    def farness(device: int) -> tuple[int, int, int]:
        linked = sum(shape.levels[device][other] for other in chosen)
        return linked, sum(_apart(shape, device, other) for other in chosen), device

    chosen = [start]
    rest = [device for device in free if device != start]
    while len(chosen) < count:
        chosen.append(min(rest, key=farness))
        rest.remove(chosen[-1])
    return tuple(sorted(chosen))


def _apart(shape: Shape, one: int, other: int) -> int:
    for step, positions in enumerate((shape.root, shape.numa)):
        if positions[one] is not None and positions[one] == positions[other]:
            return step
    return 2


def _beside(shape: Shape, gpus: Sequence[int], free: Sequence[int], count: int) -> tuple[int, ...]:
    """Free NICs close to the GPUs: one for each in turn, the closest pair first."""
    if not gpus or count >= len(free):
        return nearest(shape, free, count)
    served, left = dict.fromkeys(gpus, 0), list(free)
    for _ in range(count):
        gpu, nic = min(
            ((gpu, nic) for gpu in gpus for nic in left),
            key=lambda pair: (served[pair[0]], shape.levels[pair[0]][pair[1]], pair[1]),
        )
        served[gpu] += 1
        left.remove(nic)
    return tuple([nic for nic in free if nic not in left])


def free_devices(resource: PluginResource, taken: int) -> list[int]:
    """The resource's devices that nobody holds; none where devices are shared or not known."""
    if resource.replicas > 1:
        return []
    return [device for device in resource.devices if not taken >> device & 1]


def _mask(devices: Iterable[int]) -> int:
    return sum(1 << device for device in set(devices))


_age = operator.attrgetter("age")
