"""What a partition (MIG profile, AMD partition) takes from those that could still come.

Source: packing benchmark, MIG placement: the score is the number of legal placements lost by the
instance the driver will really make, plus the expected loss of the next instance. With a
first-fit driver this order of nodes is as good as choosing the device itself; weights and prices
do not change it.

A legal placement is a device that could be allocated in a state: one (GPU, profile, start) whose
slices, or counters, are free. The caller counts them per state, by its allocator; this module
only does the arithmetic on rows (nodes) and columns (profiles).
"""

from __future__ import annotations

import numpy as np

from extender.policy.mix import Floats

NOWHERE = 24.0  # placements: more than any one instance of an eight-slice GPU can cost (18)


def next_loss(now: Floats, then: Floats, weight: Floats) -> Floats:
    """Expected loss of the next instance per row, were this one put there; in placements.

    `now[r, k]`: placements lost by an instance of profile k on node r as it is; `then[r, k]`: the
    same after this placement on r; inf where k does not fit. The next instance goes where it
    costs least. `weight[k]` is how likely profile k comes next.
    """
    if not len(now):
        return np.zeros(0)
    cheapest = now.argmin(axis=0)
    columns = np.arange(now.shape[1])
    first = now[cheapest, columns]
    others = now.copy()
    others[cheapest, columns] = np.inf
    second = others.min(axis=0)
    elsewhere = np.where(np.arange(len(now))[:, None] == cheapest, second, first)
    best = np.minimum(elsewhere, then)
    expected: Floats = np.where(np.isfinite(best), best, NOWHERE) @ weight
    return expected
