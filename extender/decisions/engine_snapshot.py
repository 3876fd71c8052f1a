"""What there is to measure of an engine at this moment, as plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from extender import bounded_cache
from extender.decisions import engine
from extender.pricing import gpu_inventory

_SIZES = (1, 2, 4, 8)  # GPUs of a pod, as most are


@dataclasses.dataclass(frozen=True, slots=True)
class EngineSnapshot:
    """Figures of the cluster as the engine has it."""

    generation: int
    nodes: int
    states: int
    reservations: int
    gpus: float
    free_gpus: float
    stranded_gpus: float  # free, and without the CPU and memory that pods of the mix need
    unknown_predictions: int
    unjudged: Mapping[str, int]  # why → pods passed unjudged
    headroom: Mapping[str, float]  # GPUs of a pod → free GPUs that pods of this size can take
    caches: tuple[bounded_cache.Figures, ...]  # of what is remembered beside the objects


def of(judging: engine.Engine) -> EngineSnapshot:
    """The figures now; reservations past their deadline are ended first."""
    judging.expire()
    index, priced = judging.index, judging.pricer
    free, total = priced.inventory.totals()
    return EngineSnapshot(
        generation=index.generation,
        nodes=len(index.rows),
        states=len(index.states),
        reservations=len(index.reservations),
        gpus=total,
        free_gpus=free,
        stranded_gpus=gpu_inventory.stranded(free, priced.coverage),
        unknown_predictions=judging.judge.unknown,
        unjudged=judging.unjudged,
        headroom={str(size): gpus for size, gpus in priced.inventory.whole_sets(_SIZES).items()},
        caches=tuple(_caches(judging)),
    )


def _caches(judging: engine.Engine) -> Iterator[bounded_cache.Figures]:
    """How full all caches are, each once."""
    yield judging.index.states.figures(len(judging.index.rows))
    yield judging.index.reservations.figures
    yield judging.gangs.figures
    yield judging.predictions.figures
    yield from judging.evictions.caches()
    yield from judging.resolver.caches()
    yield judging.tables.figures
    yield from judging.verdicts.single.caches()
    yield judging.judge.predictor.figures
    yield from judging.pricer.caches()
    yield from bounded_cache.of_functions()
