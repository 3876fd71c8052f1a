"""How much of the free GPUs the pods seen so far could not use: FGD's measure.

Source: Weng et al., "Beware of Fragmentation" (USENIX ATC 2023). A class of pods that does not fit
a node leaves all its free GPUs as fragments; one that fits leaves the free parts that are too small
for it. A node's fragments are the mean over the classes, by how often each is asked for. Here only
classes that ask for GPUs count, so that 0 means that the next such pod can use all that is free.
"""

from __future__ import annotations

import numpy as np

from extender.cluster import index
from extender.pricing import gpu_inventory, placement_counts
from extender.pricing.mix.demand_mix import WHOLE_GPU, DemandClasses, Floats, Ints


def fragments(
    cluster: index.TopologyIndex,
    rows: Ints,
    classes: DemandClasses,
    counted: placement_counts.PlacementCounts,
    inventory: gpu_inventory.GpuInventory,
) -> Floats:
    """The fragments of each row in GPUs; NaN where not all placements are counted yet.

    The rows have nodes. None are fragments where no pod has asked for GPUs so far. Headroom that is
    kept for whole machines (`DemandMix.reserve_machines`) is no demand.
    """
    reserved = [number for number, unit in enumerate(classes.units) if unit is WHOLE_GPU]
    seen = (classes.size > 0.0) & (classes.weight > 0.0) & ~np.isin(classes.unit, reserved)
    if not seen.any() or not len(rows):
        return np.zeros(len(rows))
    asked = classes.take(np.flatnonzero(seen))
    states = cluster.state[rows]
    distinct, position = np.unique(states, return_inverse=True)
    free, chain = counted.device_part(asked.units, distinct, cluster.states)
    free, chain = free[position][:, asked.unit], chain[position][:, asked.unit]
    left = inventory.left(states)[:, None]
    cpu, memory = cluster.cpu[rows][:, None], cluster.memory[rows][:, None]
    fits = (chain >= asked.count) & (cpu >= asked.cpu) & (memory >= asked.memory)
    lost = np.where(fits, np.maximum(left - free, 0.0), left)
    lost = np.where(np.isnan(chain), np.nan, lost)
    found: Floats = lost @ (asked.weight / asked.weight.sum())
    return found
