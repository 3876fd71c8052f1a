"""What would make a node the best one for a pod: one weight of its profile, or others cordoned.

A node's cost is a sum of parts, each a weight times an amount. So it is known for which values of
one weight the node costs less than every other; the nearest value that does is named, and tried.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from extender.decisions import engine, scored_nodes
from extender.decisions.counterfactual import changes
from extender.policy import config, ranking

_MOST_WEIGHT = 100.0  # of `policy.config.Weight`
_MARGIN = 1e-6  # of a cost: less than what tells two apart with certainty
_MOST_OTHERS = 3
_DIGITS = 7
# weight of a profile → the parts of a cost that it counts
PARTS = {
    "locality": ("locality",),
    "packing": ("packing", "next partition"),
    "proximity": ("proximity",),
    "preference": ("preference",),
}


@dataclasses.dataclass(frozen=True, slots=True)
class CostDifference:
    """One part of the cost, here and at the best node; a positive `more` speaks against here."""

    part: str
    here: float
    best: float

    @property
    def more(self) -> float:
        return self.here - self.best

    def as_json(self) -> dict[str, Any]:
        return {"part": self.part, "here": self.here, "best": self.best, "more": self.more}


def differences(scored: scored_nodes.ScoredNodes, position: int, best: int) -> list[CostDifference]:
    """The parts of the cost at two positions, the largest difference first."""
    found = [
        CostDifference(part, round(float(values[position]), 6), round(float(values[best]), 6))
        for part, values in scored.parts.items()
    ]
    found.sort(key=lambda each: -abs(each.more))
    return found


def ranked_before(
    judging: engine.Engine, scored: scored_nodes.ScoredNodes, position: int
) -> list[int]:
    """The positions of the nodes that come before this one, the best first.

    Of equal ones the least by the index's order wins, and is next once that one is cordoned.
    """
    cost, tie = (np.rint(each / ranking.RESOLUTION) for each in (scored.cost, scored.tie))
    keys = judging.index.order[scored.candidates.rows], tie, cost
    order: list[int] = np.lexsort(keys).tolist()
    return order[: order.index(position)]


def search(
    judging: engine.Engine,
    scored: scored_nodes.ScoredNodes,
    names: list[str],
    position: int,
) -> list[changes.Change]:
    """The changes of which each alone makes the node the best; all is settled."""
    before = ranked_before(judging, scored, position)
    if not before:
        return []
    found = [each for each in [_weight(judging, scored, position)] if each is not None]
    if len(before) <= _MOST_OTHERS:
        others = tuple(names[each] for each in before)
        words = f"if {changes.listed(others)} were cordoned"
        found.append(changes.Change(changes.OTHERS, words, nodes=others))
    return found


def with_weight(profile: config.Profile, part: str, weight: float) -> config.Profile:
    """The profile with another weight."""
    section = msgspec.structs.replace(getattr(profile, part), weight=weight)
    return msgspec.structs.replace(profile, **{part: section})


def _weight(
    judging: engine.Engine, scored: scored_nodes.ScoredNodes, position: int
) -> changes.Change | None:
    """The weight that has to change least, and its nearest value that does."""
    profile = scored.resolved.profile
    tried: list[tuple[float, str, float, float]] = []  # (how far, part, value, now)
    for part, counted in PARTS.items():
        now = float(getattr(profile, part).weight)
        charged = sum(scored.parts[each] for each in counted if each in scored.parts)
        if now <= 0 or not isinstance(charged, np.ndarray):
            continue
        value = _nearest(now, *_interval(scored.cost - charged, charged / now, position))
        if value is not None:
            tried.append((abs(math.log((value + 1e-3) / (now + 1e-3))), part, value, now))
    for _, part, value, now in sorted(tried):
        if _is_best_with(judging, scored, position, part, value):
            field = f"{part}.weight"
            words = f"if {field} of profile {profile.name} were {value:g} instead of {now:g}"
            return changes.Change(changes.WEIGHT, words, field=field, value=value)
    return None


def _interval(
    base: NDArray[np.float64], unit: NDArray[np.float64], position: int
) -> tuple[float, float]:
    """The weights, as an open interval, at which the node costs less than all others."""
    others = np.arange(len(base)) != position
    behind = (base[position] - base + _MARGIN)[others]
    gain = (unit - unit[position])[others]  # what a unit of weight brings against each
    if (behind[np.abs(gain) < 1e-12] > 0).any():
        return 1.0, 0.0
    up, down = gain >= 1e-12, gain <= -1e-12
    low = float(np.max(behind[up] / gain[up], initial=0.0))
    high = float(np.min(behind[down] / gain[down], initial=_MOST_WEIGHT))
    return low, high


def _nearest(now: float, low: float, high: float) -> float | None:
    """The roundest weight in the interval that is about as close as can be to the one of now."""
    if low >= high:
        return None
    for digits in range(_DIGITS):
        step = 10.0**-digits
        value = round(math.ceil(low / step + 1e-9) * step, digits)
        if now >= high:
            value = round(math.floor(high / step - 1e-9) * step, digits)
        if max(low, 0.0) <= value <= min(high, _MOST_WEIGHT) and low < value < high:
            return value
    return None


def _is_best_with(
    judging: engine.Engine,
    scored: scored_nodes.ScoredNodes,
    position: int,
    part: str,
    value: float,
) -> bool:
    profile = with_weight(scored.resolved.profile, part, value)
    resolved = dataclasses.replace(scored.resolved, profile=profile)
    again = judging.scored(resolved, scored.candidates.rows, with_parts=True)
    return again is not None and int(np.argmax(again.scores)) == position
