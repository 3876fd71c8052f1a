"""What a GPU's worth of room costs, per demand class: dear where it is scarce.

Source: scarcity prices: lambda_m = w_m / U_m^alpha with U_m = sum over nodes of u_m, plus a slack
of half a pod. Charging them for the loss of room is steepest descent of sum_m w_m / U_m^(alpha-1):
it keeps "room left for the next pod" from running out anywhere.

How far a class's room has shrunk is told by the pool P_m it can be served from at all, not by the
cluster: lambda_m = w_m / P_m * (P_m / U_m)^alpha. Else a class bound to few machines would be dear
from the start, however light (own form; where every pod takes any GPU it changes nothing).
Prices are scaled so that losing an average GPU of the cluster, for all classes alike, costs 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from extender.pricing.formula import Constants
from extender.pricing.mix.demand_mix import DemandClasses, Floats

REFRESH_SHARE = 0.003  # of the cluster's GPUs: prices that old cost nothing, measured
_LEAST_REFRESH = 1


def prices(
    classes: DemandClasses, room: Floats, form: Constants, *, pool: Floats | None = None
) -> Floats:
    """Prices per class from `room` (U) and `pool` (P), both in GPUs over the whole cluster.

    Their sum, each weighed by its room relative to the largest, is 1. No pool is smaller than the
    room in it; without `pool` all classes have the same.
    """
    slack = np.maximum(room, 0.0) + form.slack * classes.size
    most = slack.max(initial=0.0)
    if most <= 0.0:
        return np.zeros_like(slack)
    relative = slack / most
    raw = classes.weight / relative**form.steepness
    if pool is not None:
        raw *= (np.maximum(pool, slack) / most) ** (form.steepness - 1.0)
    total = float(raw @ relative)
    return raw / total if total > 0.0 else np.zeros_like(raw)


def shared_headroom(room: Floats, weight: Floats, together: npt.NDArray[np.bool_]) -> Floats:
    """The room of classes that overlap: `together` are those that are cut from the same boards.

    A GPU's legal placements of a small partition and of a large one are the same slices, so it is
    the board that gets scarce, not a profile: each has the mean of their rooms, by weight. One room
    each cost 0.3 points of slices where small partitions prevail (loadtests.quality.mig_churn).
    """
    total = float(weight[together].sum())
    if total <= 0.0:
        return room
    return np.where(together, float(room[together] @ weight[together]) / total, room)


def refresh_every(total_gpus: float) -> int:
    """After how many placements the prices of a cluster of that size are worth renewing."""
    return max(_LEAST_REFRESH, round(REFRESH_SHARE * total_gpus))
