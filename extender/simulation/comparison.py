"""Figures of several runs: the mean, its error, and what differs beyond noise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

# figure → 1 where more is better, -1 where less is; what is not here is shown and not judged
BETTER = {
    "allocation %": 1,
    "mean allocation %": 1,
    "pods placed": 1,
    "GPUs placed": 1,
    "pods pending": -1,
    "GPUs pending": -1,
    "headroom 8": 1,
    "bandwidth factor": 1,
    "mean wait s": -1,
}
SAME = "same"
_ROUNDING = 1e-6  # of a figure: what sums of floats in another order may come to
_ERRORS = 2.0  # so many errors of the mean: what chance alone gives in one of twenty comparisons


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """The mean over the seeds, and the error of this mean; None for a single seed."""

    mean: float
    error: float | None

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class FigureDifference:
    """A figure less the first variant's, seed by seed; `verdict` is better, worse, same or ""."""

    mean: float
    error: float | None
    verdict: str

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Compared:
    """One variant's figures, and how they differ from those of the first variant."""

    variant: str
    figures: Mapping[str, Figure]
    differences: Mapping[str, FigureDifference]  # empty for the first

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def compared(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Compared]:
    """Compare variants, each with one run per seed, in the same order of seeds."""
    first = next(iter(runs.values()))
    found: list[Compared] = []
    for number, (variant, figures) in enumerate(runs.items()):
        names = list(figures[0])
        of_variant = {name: _figure([each[name] for each in figures]) for name in names}
        differences = {}
        if number:
            for name in names:
                pairs = zip(figures, first, strict=True)
                differences[name] = _difference(
                    name, [mine[name] - its[name] for mine, its in pairs]
                )
        found.append(Compared(variant, of_variant, differences))
    return found


def _figure(values: Sequence[float]) -> Figure:
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return Figure(mean, None)
    spread = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return Figure(mean, math.sqrt(spread / len(values)))


def _difference(name: str, values: Sequence[float]) -> FigureDifference:
    """The verdict is empty where the seeds made no difference: nothing is known of noise then."""
    found = _figure([0.0 if abs(value) < _ROUNDING else value for value in values])
    if not found.mean and not found.error:
        return FigureDifference(0.0, found.error, SAME)
    if not found.error:
        return FigureDifference(found.mean, found.error, "")
    if abs(found.mean) <= _ERRORS * found.error or name not in BETTER:
        return FigureDifference(found.mean, found.error, SAME)
    better = found.mean * BETTER[name] > 0
    return FigureDifference(found.mean, found.error, "better" if better else "worse")
