"""What a GPU of headroom costs, per demand class: high where headroom is scarce.

Source: scarcity prices: lambda_m = w_m / U_m^alpha with U_m = sum over nodes of u_m, plus a slack
of half a pod. Charging them for the loss of headroom is steepest descent of sum_m w_m /
U_m^(alpha-1): it keeps the headroom of every class from running out.

How scarce a class is goes by the pool P_m of machines that can serve it at all, not by the cluster:
lambda_m = w_m / P_m * (P_m / U_m)^alpha. Else a class bound to few machines would have a high price
from the start, however light (own form; where every pod takes any GPU it changes nothing). Prices
are scaled so that losing an average GPU of the cluster, for all classes alike, costs 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from extender.pricing.formula import Constants
from extender.pricing.mix.demand_mix import DemandClasses, Floats

REFRESH_SHARE = 0.003  # of the cluster's GPUs: prices that old cost nothing, measured
_LEAST_REFRESH = 1


def prices(
    classes: DemandClasses, headroom: Floats, form: Constants, *, pool: Floats | None = None
) -> Floats:
    """Prices per class from `headroom` (U) and `pool` (P), both in GPUs over the whole cluster.

    Their sum, each weighted by its headroom relative to the largest, is 1. No pool is smaller than
    the headroom in it; without `pool` all classes have the same.
    """
    slack = np.maximum(headroom, 0.0) + form.slack * classes.size
    most = slack.max(initial=0.0)
    if most <= 0.0:
        return np.zeros_like(slack)
    relative = slack / most
    raw = classes.weight / relative**form.steepness
    if pool is not None:
        raw *= (np.maximum(pool, slack) / most) ** (form.steepness - 1.0)
    total = float(raw @ relative)
    return raw / total if total > 0.0 else np.zeros_like(raw)


def shared_headroom(headroom: Floats, weight: Floats, sharing: npt.NDArray[np.bool_]) -> Floats:
    """The headroom of classes that overlap: those in `sharing` draw on the same GPUs' counters.

    A GPU's legal placements of a small partition and of a large one are the same slices, so it is
    the GPU that gets scarce, not a profile: each class has the weighted mean of their headrooms.
    One headroom each cost 0.3 points of slices where small partitions prevail
    (loadtests.quality.mig_churn).
    """
    total = float(weight[sharing].sum())
    if total <= 0.0:
        return headroom
    return np.where(sharing, float(headroom[sharing] @ weight[sharing]) / total, headroom)


def refresh_every(total_gpus: float) -> int:
    """After how many placements the prices of a cluster of that size are worth renewing."""
    return max(_LEAST_REFRESH, round(REFRESH_SHARE * total_gpus))
