"""One node: its device tree (NUMA node → PCIe root → GPUs and NICs), and who holds what."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from extender.cluster import index, store
from extender.hardware import gpu_count
from extender.hardware.shape import Device, Kind, Shape
from extender.kube.api import objects
from extender.page import links
from extender.page.views import holders
from extender.page.views.holders import DeviceHolder
from extender.pools import gpu_states, node_headroom, node_pools


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A partition or a share in use; `start` and `size` are memory slices of its GPU."""

    name: str
    profile: str
    start: int
    size: int
    href: str
    holders: tuple[DeviceHolder, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class GpuView:
    """One physical GPU. `largest_free`: the largest partition that still fits."""

    number: int
    name: str
    href: str
    state: str
    holders: tuple[DeviceHolder, ...]
    parts: tuple[Part, ...] = ()
    slots: int = 0
    largest_free: str = ""
    taints: tuple[str, ...] = ()
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class OtherView:
    """A NIC, or another device."""

    name: str
    kind: str
    href: str
    state: str
    holders: tuple[DeviceHolder, ...]


_ALMOST = 1e-6  # GPUs: shares add up to whole ones but for the last digits of a double
_NO_GPU = 1 << 16  # after all numbers of GPUs


@dataclasses.dataclass(frozen=True, slots=True)
class Root:
    """What hangs off one PCIe root; the empty title is one that is not published."""

    title: str
    gpus: tuple[GpuView, ...]
    others: tuple[OtherView, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Numa:
    """What one NUMA node has; None is one that is not published."""

    number: int | None
    roots: tuple[Root, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class NodeGpuCounts:
    """GPUs of a node: free ones with parts of them, all, and free ones without a part held."""

    free: float
    total: float
    whole: int
    parts: str  # in what those are handed out that are neither held nor free as a whole

    @property
    def words(self) -> str:
        """What stands beside the number of free ones."""
        of = f"of {round(self.total, 1):g}"
        return f"{of}, in {self.parts}; {self.whole} whole" if self.parts else of


@dataclasses.dataclass(frozen=True, slots=True)
class NodeView:
    """The page of a node."""

    name: str
    location: node_pools.NodeLocation
    product: str
    platform: str
    sources: tuple[str, ...]
    cpu: tuple[float, float]  # cores: free, in all
    memory: tuple[float, float]  # GiB: free, in all
    counts: NodeGpuCounts
    gpus: tuple[GpuView, ...]
    numas: tuple[Numa, ...]
    units: tuple[gpu_states.UnitStates, ...]
    tenants: tuple[holders.Tenant, ...]
    names: Mapping[int, str]  # device → its name, for the tenants
    conditions: tuple[tuple[str, str, str], ...]
    labels: tuple[tuple[str, str], ...]
    inferred: bool


def view(detail: index.Row, source: store.ClusterStore) -> NodeView:
    """Describe one node as the index has it."""
    machine, usage = detail.machine, detail.usage
    held = holders.of_node(detail, source)
    listed = tuple(_gpus(detail, held))
    status = detail.node.status
    return NodeView(
        name=detail.name,
        location=node_pools.location_of(detail.node, node_pools.product_of(machine.shape)),
        product=machine.shape.product,
        platform=machine.shape.platform,
        sources=tuple(sorted(machine.shape.sources)),
        cpu=((detail.cpu - detail.cpu_asked) / 1000, detail.cpu / 1000),
        memory=((detail.memory - detail.memory_asked) / 2**30, detail.memory / 2**30),
        counts=_counts(detail),
        gpus=listed,
        numas=_tree(detail, listed, held),
        units=gpu_states.units(machine.shape, usage),
        tenants=tuple(holders.tenants(detail, source, held)),
        names={position: device.name for position, device in enumerate(machine.shape.devices)},
        conditions=tuple((c.type, c.status, c.reason) for c in status.conditions or ()),
        labels=tuple(sorted((detail.node.metadata.labels or {}).items())),
        inferred=usage.inferred,
    )


def _counts(detail: index.Row) -> NodeGpuCounts:
    hardware, usage = detail.machine.shape, detail.usage
    counter = gpu_count.GpuCounter(hardware)
    free = counter.left(usage)
    whole = node_headroom.of_state(hardware, usage).whole
    shares = any(each.replicas > 1 for each in hardware.resources)
    parts = ("shares" if shares else "partitions") if free > whole + _ALMOST else ""
    return NodeGpuCounts(free, counter.total, whole, parts)


def href(detail: index.Row, position: int) -> str:
    """The address of a device's page."""
    machine = detail.machine
    device = machine.shape.devices[position]
    pool = ""
    if position < len(machine.inventory.pool_of):
        pool = machine.pool_names[machine.inventory.pool_of[position]][1]
    return links.device(detail.name, device.driver, pool, device.name)


def _gpus(detail: index.Row, held: Mapping[int, tuple[DeviceHolder, ...]]) -> list[GpuView]:
    hardware, usage = detail.machine.shape, detail.usage
    shares, found = gpu_states.behind_shares(hardware, usage), []
    states = gpu_states.states(hardware, usage)
    for number, (gpu, state) in enumerate(zip(gpu_states.of_shape(hardware), states, strict=True)):
        first = (gpu.whole or gpu.devices)[0]
        device = hardware.devices[first]
        parts = tuple(_parts(detail, gpu, held))
        in_shares = bool(shares & set(gpu.devices))
        found.append(
            GpuView(
                number=number,
                name=device.name,
                href=href(detail, first),
                state=state,
                holders=tuple(each for position in gpu.whole for each in held.get(position, ())),
                parts=parts,
                slots=gpu.slots,
                largest_free=_largest_free(hardware, gpu, parts)
                if state == gpu_states.PART
                else "",
                taints=tuple(map(taint_text, device.taints)),
                note="some of its shares are held, which ones is not published" * in_shares,
            )
        )
    return found


def _parts(
    detail: index.Row, gpu: gpu_states.GpuDevices, held: Mapping[int, tuple[DeviceHolder, ...]]
) -> list[Part]:
    """The partitions in use, in the order of their memory slices."""
    hardware, found = detail.machine.shape, []
    for position in gpu.devices:
        device = hardware.devices[position]
        if position in gpu.whole or not detail.usage.taken >> position & 1:
            continue
        taken = gpu_states.slices_of(device)
        start = taken[0] if taken else 0
        address, owners = href(detail, position), held.get(position, ())
        found.append(
            Part(device.name, gpu_states.profile(device), start, len(taken), address, owners)
        )
    return sorted(found, key=lambda part: (part.start, part.name))


def _largest_free(hardware: Shape, gpu: gpu_states.GpuDevices, parts: Sequence[Part]) -> str:
    taken = {slot for part in parts for slot in range(part.start, part.start + part.size)}
    fitting = [
        (-len(wanted), len(gpu_states.profile(device)), gpu_states.profile(device))
        for device in (hardware.devices[position] for position in gpu.devices)
        if (wanted := gpu_states.slices_of(device)) and taken.isdisjoint(wanted)
    ]
    # Of equal ones the plain one, without media engines.
    return min(fitting)[2] if fitting else ""


def _tree(
    detail: index.Row, listed: Sequence[GpuView], held: Mapping[int, tuple[DeviceHolder, ...]]
) -> tuple[Numa, ...]:
    hardware = detail.machine.shape
    branches: dict[int | None, dict[str, tuple[list[GpuView], list[OtherView]]]] = {}

    def branch(position: int) -> tuple[list[GpuView], list[OtherView]]:
        roots = branches.setdefault(hardware.numa[position], {})
        return roots.setdefault(hardware.root[position] or "", ([], []))

    for gpu, shown in zip(gpu_states.of_shape(hardware), listed, strict=True):
        branch((gpu.whole or gpu.devices)[0])[0].append(shown)
    for position, device in enumerate(hardware.devices):
        if device.kind in {Kind.NIC, Kind.OTHER}:
            branch(position)[1].append(other_view(detail, position, device, held.get(position, ())))
    numbers = sorted(branches, key=lambda number: (number is None, number or 0))
    return tuple(
        Numa(
            number,
            tuple(
                Root(title, tuple(of_gpus), tuple(others))
                for title, (of_gpus, others) in sorted(branches[number].items(), key=_order)
            ),
        )
        for number in numbers
    )


def _order(branch: tuple[str, tuple[list[GpuView], list[OtherView]]]) -> tuple[bool, int, str]:
    """Roots by their first GPU, as people count GPUs; those without any by name."""
    title, (of_gpus, _) = branch
    first = min((each.number for each in of_gpus), default=_NO_GPU)
    return not title, first, node_pools.natural(title)


def other_view(
    detail: index.Row, position: int, device: Device, owners: tuple[DeviceHolder, ...]
) -> OtherView:
    """A device that is no GPU and no part of one, with who holds it."""
    state = gpu_states.FREE if gpu_states.usable(device) else gpu_states.UNUSABLE
    if detail.usage.taken >> position & 1:
        state = gpu_states.HELD
    elif position in dict(detail.usage.shared):
        state = gpu_states.PART
    kind = "NIC" if device.kind is Kind.NIC else "device"
    return OtherView(device.name, kind, href(detail, position), state, owners)


def taint_text(taint: objects.DeviceTaint) -> str:
    """A taint as kubectl writes it."""
    return f"{taint.key}{f'={taint.value}' if taint.value else ''}:{taint.effect}"
