"""What the cluster's machines could give if they were empty: per unit, and as whole machines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.cluster.states import NOTHING
from extender.hardware.shape import Shape
from extender.pricing import gpu_inventory, placement_counts
from extender.pricing.mix.demand_mix import DemandClasses, Floats

# Machine sizes that headroom is reserved for: each is one class more to count and price. In fleets
# of more sizes the rest are a few odd machines.
_MOST_SIZES = 4


class Fleet:
    """The machines in use by their shape, as of the last `refresh`."""

    def __init__(
        self,
        cluster: index.TopologyIndex,
        counted: placement_counts.PlacementCounts,
        stock: gpu_inventory.GpuInventory,
    ) -> None:
        self._index = cluster
        self._counts = counted
        self._inventory = stock
        self._shapes: Sequence[Shape] = ()  # in use
        self._gpus_per_machine: Sequence[int] = ()  # whole GPUs of each shape in use
        self._machines: NDArray[np.int64] = np.zeros(0, dtype=np.int64)  # of each shape in use

    def refresh(self, rows: NDArray[np.integer]) -> None:
        """Count the machines of these rows by shape."""
        states = self._index.states
        machines = np.bincount(states.shape_of[self._index.state[rows]])
        used = np.flatnonzero(machines)
        gpus = self._inventory.machines()
        self._shapes = [states.shapes[shape] for shape in used.tolist()]
        self._gpus_per_machine = [gpus[shape].whole for shape in used.tolist()]
        self._machines = machines[used]

    def machine_shares(self, reserve: float) -> dict[int, float]:
        """GPUs of a machine, two or more → the least share of the mix that such pods get.

        `reserve` is split over the sizes by their part of the cluster's GPUs.
        """
        if not reserve:
            return {}
        of_size: dict[int, int] = {}  # GPUs of a machine → GPUs of all such machines
        for size, machines in zip(self._gpus_per_machine, self._machines.tolist(), strict=True):
            of_size[size] = of_size.get(size, 0) + size * machines
        total = sum(of_size.values())
        most = sorted(
            (size for size in of_size if size > 1), key=lambda size: (-of_size[size], size)
        )
        return {size: reserve * of_size[size] / total for size in most[:_MOST_SIZES]}

    def empty_headroom(self, classes: DemandClasses) -> Floats:
        """GPUs that the machines would give to each class's unit if nothing were allocated."""
        states = self._index.states
        empty = [states.number(hardware, NOTHING) for hardware in self._shapes]
        free, _ = self._counts.device_part(classes.units, np.array(empty, dtype=np.int32), states)
        given: Floats = self._machines.astype(np.float64) @ np.nan_to_num(free)
        return given[classes.unit]
