"""Which machines have partitioned GPUs, and which units are partitions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.cluster.states import ByNumbering
from extender.hardware import gpu_count
from extender.hardware.shape import Shape
from extender.pricing import placement_counts
from extender.pricing.mig import placements
from extender.pricing.mix.demand_mix import DemandClasses, Floats
from extender.verdicts.query import Query, describe

_MOST_UNITS = 16  # the heaviest; a GPU state holds a matrix of them


@dataclasses.dataclass(frozen=True, slots=True)
class PartitionUnits:
    """The units that are partitions of a GPU, and their part in the mix."""

    units: tuple[Query, ...]
    weight: Floats  # how likely the next partition is this one; their sum is 1
    price: Floats  # of one legal placement, in GPUs
    cpu: Floats  # of the smallest pod of it
    memory: Floats

    @classmethod
    def none(cls) -> PartitionUnits:
        empty = np.zeros(0)
        return cls((), empty, empty, empty, empty)


@dataclasses.dataclass(slots=True)
class _ReadShapes:
    """What was read of the shapes that are numbered."""

    count: int = 0  # of the shapes, in their order
    # shape by identity → its partitioned GPUs, where it has any
    gpus_of: dict[Shape, tuple[placements.PartitionedGpu, ...]] = dataclasses.field(
        default_factory=dict
    )


class PartitionedGpus:
    """The partitioned GPUs of the machines that the cluster has had."""

    def __init__(
        self, cluster: index.TopologyIndex, counted: placement_counts.PlacementCounts
    ) -> None:
        self._index = cluster
        self._counts = counted
        self._read = ByNumbering(_ReadShapes)

    @property
    def _gpus_of(self) -> dict[Shape, tuple[placements.PartitionedGpu, ...]]:
        return self._read.kept.gpus_of

    def __bool__(self) -> bool:
        return bool(self._gpus_of)

    def __iter__(self) -> Iterator[Shape]:
        """The machines that have any."""
        return iter(self._gpus_of)

    @property
    def most(self) -> int:
        """Partitioned GPUs of the machine that has most."""
        return max(map(len, self._gpus_of.values()), default=0)

    def renew(self) -> None:
        """Read the machines that are new."""
        shapes, read = self._index.states.shapes, self._read.of(self._index.states)
        for hardware in shapes[read.count :]:
            found = placements.partitioned_gpus(hardware)
            if found:
                read.gpus_of[hardware] = found
        read.count = len(shapes)

    def of(self, hardware: Shape) -> tuple[placements.PartitionedGpu, ...]:
        """The partitioned GPUs of a machine in the allocator's order."""
        return self._gpus_of.get(hardware, ())

    def matching(self, hardware: Shape, units: tuple[Query, ...]) -> tuple[tuple[int, ...], ...]:
        """Per GPU of a machine, and unit: the devices that serve it, as bits."""
        served = [self._serving(unit, hardware) for unit in units]
        return tuple(
            tuple(
                partitioned_gpus[number][1] if partitioned_gpus else 0
                for partitioned_gpus in served
            )
            for number in range(len(self.of(hardware)))
        )

    def share_counters(self, classes: DemandClasses) -> NDArray[np.bool_]:
        """The classes of one partition: they take each other's headroom."""
        layout = np.array([self._draws_counters(unit) for unit in classes.units], dtype=np.bool_)
        found: NDArray[np.bool_] = layout[classes.unit] & (classes.count == 1)
        return found

    def units(self, classes: DemandClasses, prices: Floats) -> PartitionUnits:
        """The units that are partitions, with their share of the mix and their price."""
        weight, price = np.zeros(len(classes.units)), np.zeros(len(classes.units))
        np.add.at(weight, classes.unit, classes.weight)
        np.add.at(price, classes.unit, prices * classes.share)
        chosen = [
            position
            for position in np.argsort(-weight, kind="stable").tolist()
            if self._draws_counters(classes.units[position])
        ][:_MOST_UNITS]
        chosen.sort()  # so that equal units keep their order when weights change
        least = [np.flatnonzero(classes.unit == position) for position in chosen]
        total = float(weight[chosen].sum())
        return PartitionUnits(
            units=tuple(
                unit for unit in (classes.units[p] for p in chosen) if isinstance(unit, Query)
            ),
            weight=weight[chosen] / total if total else weight[chosen],
            price=price[chosen],
            cpu=np.array([classes.cpu[those].min() for those in least]),
            memory=np.array([classes.memory[those].min() for those in least]),
        )

    def name(self, unit: Query) -> str:
        """The name for people: the profile of a device that serves it, where it has one."""
        for hardware in self._gpus_of:
            for gpu, matching in self._serving(unit, hardware):
                if matching:
                    first = gpu.devices[(matching & -matching).bit_length() - 1]
                    return gpu_count.profile(hardware.devices[first]) or describe(unit)
        return describe(unit)

    def _draws_counters(self, unit: object) -> bool:
        return any(self._serving(unit, hardware) for hardware in self._gpus_of)

    def _serving(
        self, unit: object, hardware: Shape
    ) -> tuple[tuple[placements.PartitionedGpu, int], ...]:
        """The shape's partitioned GPUs with the devices that serve the unit, if any."""
        plan = self._counts.plan(unit, hardware) if isinstance(unit, Query) else None
        return plan.partitioned_gpus if plan is not None else ()
