"""What a node has: devices in the order the allocator walks them, pools, plug-in resources, links.

A `Shape` is immutable and interned: equal machines share one. What only tells machines apart
stays out of it: pool names (kept per node), and the values of attributes that are apart, of
which otherwise equal machines have different ones (renumbered by first appearance, so that
equality, which is all that matchAttribute asks, survives).
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TypeAlias

from extender.kube.api import objects

# An attribute's value with its type, as the API has it: ("int", 3), ("string", "x"),
# ("bool", True), ("version", "1.2.3"), ("strings", ("a", "b")), …
Value: TypeAlias = tuple[str, int | bool | str | tuple[int | bool | str, ...]]


class Kind(enum.Enum):
    """What a device is for, as far as locality and packing care."""

    GPU = "gpu"
    PARTITION = "partition"  # a part of a GPU: MIG device, AMD partition
    NIC = "nic"
    OTHER = "other"


class Broken(enum.Enum):
    """Why a pool's devices are not used (GatherPools of the allocator), in the API's two words."""

    INCOMPLETE = "incomplete"
    INVALID = "invalid"


@dataclasses.dataclass(frozen=True, slots=True)
class RequestPolicy:
    """resource/v1 CapacityRequestPolicy, in nano units."""

    default: int | None = None
    valid_values: tuple[int, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    step: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Capacity:
    """One capacity of a device: how much there is, in nano units, and how it may be asked for."""

    value: int
    policy: RequestPolicy | None = None


@dataclasses.dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Device:
    """One device as a node sees it; interned, so identity is equality.

    Names of attributes and capacities are as published: bare ("model") or qualified
    ("gpu.example.com/model"); a bare one belongs to the driver's domain.
    """

    driver: str
    name: str
    attributes: dict[str, Value]
    capacity: dict[str, Capacity]
    # ((counter set, ((counter, nano units), …)), …)
    consumes_counters: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()
    taints: tuple[objects.DeviceTaint, ...] = ()
    allow_multiple_allocations: bool = False
    binds_to_node: bool = False
    binding_conditions: tuple[str, ...] = ()
    binding_failure_conditions: tuple[str, ...] = ()
    on_node: bool = True  # its slice or itself names this node: a claim on it is bound to the node
    selectable: bool = True  # the per-device node rule, where there is one, admits this node
    kind: Kind = Kind.OTHER


@dataclasses.dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Pool:
    """A pool on a node: devices `start` to `stop` of the shape; none where it is broken.

    `name` is renumbered within the node ("0", "1", …; equal names stay equal); the published
    names stay with the node. The order of pools is the allocator's.
    """

    driver: str
    name: str
    start: int
    stop: int
    counters: dict[str, dict[str, int]]  # counter set → counter → nano units
    broken: Broken | None = None
    slices: int = 1  # how many slices the devices come from; before 1.36 their order is random


@dataclasses.dataclass(frozen=True, slots=True)
class PluginResource:
    """An extended resource of a device plug-in: how many units, and the devices behind them.

    `devices` are indices into `Shape.devices`; empty where nothing is known but the count.
    `replicas` is how many units stand for one device (time-slicing, MPS). `kind` is what a unit is,
    None for what is no device. `share` is GPUs in a unit, `gpus` the physical ones behind all of
    them; resources of one `same` group count the same devices. `named_whole`: the name says that a
    unit is a whole GPU. `virtual`: units are handed to virtual machines.
    """

    name: str
    count: int
    devices: tuple[int, ...] = ()
    replicas: int = 1
    kind: Kind | None = None
    share: float = 0.0
    gpus: float = 0.0
    same: str = ""
    named_whole: bool = False
    virtual: bool = False


class Level(enum.IntEnum):
    """How close two devices are, in `nvidia-smi topo -m` words; smaller is closer.

    UNKNOWN is not far: it is what the published attributes cannot tell.
    """

    NVLINK = 0  # NV#: NVLink between two GPUs
    PIX = 1  # one PCIe bridge
    PXB = 2  # several PCIe bridges under one root
    PHB = 3  # a PCIe host bridge (same root complex)
    NODE = 4  # same NUMA node, other host bridges
    SYS = 5  # across sockets
    UNKNOWN = 6


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A machine: devices of DRA pools first (allocator order), then those behind plug-ins.

    `levels[i][j]` is the Level between devices i and j, as a byte. `product` is the GPU product
    as the node names it, empty where there is none. `platform` keys the calibration of the cost
    model in the hardware catalogue, empty where the machine is not known.
    """

    devices: tuple[Device, ...] = ()
    pools: tuple[Pool, ...] = ()
    resources: tuple[PluginResource, ...] = ()
    levels: tuple[bytes, ...] = ()
    numa: tuple[int | None, ...] = ()  # device → NUMA node; None is unknown
    root: tuple[str | None, ...] = ()  # device → PCIe root; None is unknown
    # Device → its physical device, equal for all parts of one; None where nothing tells.
    body: tuple[int | None, ...] = ()
    # device → its rail, and the (GPUs, number) of each NVSwitch partition it is in; see `fabric`.
    # Empty where no device tells any.
    rail: tuple[str, ...] = ()
    partitions: tuple[tuple[tuple[int, int], ...], ...] = ()
    product: str = ""
    platform: str = ""
    sources: frozenset[str] = frozenset()  # "ResourceSlice", "device plug-in", "catalogue"
