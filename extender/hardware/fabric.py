"""What devices tell of the switches they hang off: the rail of a NIC, the partitions of a GPU.

Rails: in a rail-optimised network NIC i of each node hangs off leaf switch i, so that equal rails
are one switch apart and different ones go through the spine (Rail-only, arXiv 2307.12169; NVIDIA's
SuperPOD reference designs). No standard attribute tells them; those that do are called so.

NVSwitch partitions: where Fabric Manager divides a machine's switch, a set of GPUs has NVLink only
as one whole partition. NVIDIA's DRA driver publishes `partitionN`, the number of the partition of N
GPUs that the GPU is in, and prepares no other sets (kubernetes-sigs/dra-driver-nvidia-gpu, feature
gate FabricManagerPartitioning).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from extender.kube.api import objects

Partitions: TypeAlias = tuple[tuple[int, int], ...]  # (GPUs, number) of each that a GPU is in

_RAIL_WORDS = ("rail", "railId", "railID", "railIndex", "rail_id")
RAIL_NAMES = (
    *(f"{{}}/{word}" for word in _RAIL_WORDS),
    *(f"{domain}/rail" for domain in ("resource.kubernetes.io", "dra.net")),
)
_PARTITION_SIZES = (1, 2, 4, 8)
PARTITION_NAMES = tuple(f"{{}}/partition{size}" for size in _PARTITION_SIZES)


def rail(values: Sequence[objects.DeviceAttribute]) -> str:
    """The rail that the first of the attributes tells, empty where none does."""
    for value in values:
        if value.string or value.int_ is not None:
            return value.string or str(value.int_)
    return ""


def partitions(values: Mapping[str, objects.DeviceAttribute]) -> Partitions:
    """The partitions that attributes tell, keyed by their bare names."""
    return tuple(
        (size, number)
        for size in _PARTITION_SIZES
        if (value := values.get(f"partition{size}")) is not None
        and (number := value.int_) is not None
    )


def divided(of: Sequence[Partitions], gpus: Sequence[int]) -> bool:
    """Whether these GPUs are known to be no partition of their own; `of` is by device."""
    if not of or not gpus or not all(of[gpu] for gpu in gpus):
        return False
    common = set(of[gpus[0]]).intersection(*(of[gpu] for gpu in gpus[1:]))
    return all(size != len(gpus) for size, _ in common)
