"""What the cluster's machines could give if they were empty: per unit, and as whole machines."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.cluster.states import NOTHING, States
from extender.hardware.shape import Shape
from extender.pricing import gpu_inventory, placement_counts
from extender.pricing.mix.demand_mix import DemandClasses, Floats

# Machine sizes that headroom is reserved for: each is one class more to count and price. In fleets
# of more sizes the rest are a few odd machines.
_MOST_SIZES = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Fleet:
    """The machines in use, by their shape: as they were at one time."""

    shapes: Sequence[Shape]
    whole_gpus: Sequence[int]  # of a machine of each shape
    machines: NDArray[np.int64]  # of each shape

    @classmethod
    def none(cls) -> Fleet:
        return cls((), (), np.zeros(0, dtype=np.int64))

    @classmethod
    def of(
        cls,
        cluster: index.TopologyIndex,
        rows: NDArray[np.integer],
        inventory: gpu_inventory.GpuInventory,
    ) -> Fleet:
        """Count the machines of these rows by shape."""
        states = cluster.states
        machines = np.bincount(states.shape_of[cluster.state[rows]])
        used = np.flatnonzero(machines)
        gpus = inventory.machines()
        return cls(
            [states.shapes[shape] for shape in used.tolist()],
            [gpus[shape].whole for shape in used.tolist()],
            machines[used],
        )

    def machine_shares(self, reserve: float) -> dict[int, float]:
        """GPUs of a machine, two or more → the least share of the mix that such pods get.

        `reserve` is split over the sizes by their part of the cluster's GPUs.
        """
        if not reserve:
            return {}
        of_size: dict[int, int] = {}  # GPUs of a machine → GPUs of all such machines
        for size, machines in zip(self.whole_gpus, self.machines.tolist(), strict=True):
            of_size[size] = of_size.get(size, 0) + size * machines
        total = sum(of_size.values())
        most = sorted(
            (size for size in of_size if size > 1), key=lambda size: (-of_size[size], size)
        )
        return {size: reserve * of_size[size] / total for size in most[:_MOST_SIZES]}

    def empty_headroom(
        self, classes: DemandClasses, counted: placement_counts.PlacementCounts, states: States
    ) -> Floats:
        """GPUs that the machines would give to each class's unit if nothing were allocated."""
        empty = [states.number(hardware, NOTHING) for hardware in self.shapes]
        free, _ = counted.device_part(classes.units, np.array(empty, dtype=np.int32), states)
        given: Floats = self.machines.astype(np.float64) @ np.nan_to_num(free)
        return given[classes.unit]
