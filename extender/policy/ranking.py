"""From costs to the integers kube-scheduler sees: the winner gets a score of its own.

kube-scheduler picks at random among equal totals, and eleven steps lose much of a good score when
it is scaled into them (packing.md §1.5: 95.4 → 89.6 % allocation). So nodes are ranked by their
distinct keys: the best gets the maximum, the next one less, down to 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Costs nearer than this are the same cost: what is left of a sum of floats must not decide.
RESOLUTION = 1e-5


def ranked(
    cost: NDArray[np.float64], tie_break: NDArray[np.float64], *, maximum: int
) -> NDArray[np.int64]:
    """Turn costs (smaller wins) into scores 0..maximum; equal costs are told by `tie_break`.

    Equal pairs share a rank, and so a score. NaN ranks last.
    """
    if not len(cost):
        return np.zeros(0, dtype=np.int64)
    first = np.round(np.nan_to_num(cost, nan=np.inf) / RESOLUTION)
    second = np.round(np.nan_to_num(tie_break, nan=np.inf) / RESOLUTION)
    order = np.lexsort((second, first))
    steps = np.empty(len(order), dtype=np.int64)
    steps[0] = 0
    steps[1:] = (first[order][1:] != first[order][:-1]) | (second[order][1:] != second[order][:-1])
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.cumsum(steps)
    return np.maximum(maximum - ranks, 0)
