"""What a pool, or the whole cluster, has free, in which sizes, and how broken up that is."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import NDArray

from extender.decisions import engine
from extender.pools import node_headroom, node_pools
from extender.pricing import gpu_inventory
from extender.pricing.mix.demand_mix import Floats

SIZES = (1, 2, 4, 8)  # GPUs of a pod, as most are
_CHUNK = 64  # rows whose states may have to be counted
_WHOLE_CHUNK = 16  # rows whose headroom may have to be: that takes longer


@dataclasses.dataclass(frozen=True, slots=True)
class GpuFigures:
    """GPUs of some nodes. `whole` are free GPUs of nodes on which nothing is held.

    `stranded` are free GPUs for which their own node lacks the CPU or memory that pods of the
    observed mix request beside one. `sets`: size → free GPUs in sets of it on one node: of a GPU
    that is shared or cut and partly held nothing counts there. `blocked` counts nodes where no pod
    goes; what is free there is not counted as free.
    """

    nodes: int = 0
    blocked: int = 0
    gpus: float = 0.0
    free: float = 0.0
    whole: float = 0.0
    stranded: float = 0.0
    largest: float = 0.0
    sets: tuple[tuple[int, float], ...] = ()

    out: float = 0.0  # free on nodes where no pod goes

    @property
    def held(self) -> float:
        return max(self.gpus - self.free - self.out, 0.0)

    @property
    def fragmented(self) -> float:
        """The share of the free GPUs that is on nodes in part use: 0 is all in one piece."""
        return 1.0 - self.whole / self.free if self.free > gpu_inventory.ALMOST else 0.0


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class RowCounts:
    """Of each row its free GPUs, all its GPUs, and those of which nobody holds a part."""

    left: Floats
    total: Floats
    whole: Floats


def counted(judging: engine.Engine, rows: NDArray[np.int64]) -> Generator[None, None, RowCounts]:
    """The GPUs of each row, counted in turns; 0 for a row that has no node any more."""
    cluster, inventory = judging.index, judging.pricer.inventory
    left, total, whole = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
    for first in range(0, len(rows), _CHUNK):
        there = rows[first : first + _CHUNK]
        states = cluster.state[there]
        known = np.flatnonzero(states >= 0)
        left[first + known] = inventory.left(states[known])
        total[first + known] = inventory.gpus(states[known])
        yield
    some = np.flatnonzero(left > gpu_inventory.ALMOST)
    for first in range(0, len(some), _WHOLE_CHUNK):
        for position in some[first : first + _WHOLE_CHUNK].tolist():
            number = int(cluster.state[rows[position]])
            if number >= 0:
                state = cluster.states[number]
                whole[position] = node_headroom.of_state(state.shape, state.usage).whole
        yield
    return RowCounts(left, total, whole)


def of_rows(
    judging: engine.Engine, rows: NDArray[np.int64], gpus: RowCounts, blocked: Floats
) -> GpuFigures:
    """The figures of these rows, whose GPUs were counted before."""
    shut, left, total = blocked.astype(np.bool_), gpus.left, gpus.total
    usable = np.where(shut, 0.0, left)
    empty = (total > 0) & (left >= total - gpu_inventory.ALMOST)
    free = float(usable.sum())
    pricer = judging.pricer
    stranded = pricer.inventory.stranded_on(pricer.mix.mean_demand(), rows, usable)
    together = np.where(shut, 0.0, gpus.whole)
    return GpuFigures(
        nodes=len(rows),
        blocked=int(shut.sum()),
        gpus=float(total.sum()),
        free=free,
        whole=float(usable[empty].sum()),
        stranded=float(stranded.sum()),
        largest=float(together.max()) if len(together) else 0.0,
        sets=tuple((size, gpu_inventory.in_whole_sets(together, size)) for size in SIZES),
        out=float(left[shut].sum()),
    )


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class PoolFigures:
    """A pool with its figures; `left`, `total` and `blocked` are parallel to the pool's rows."""

    pool: node_pools.NodePool
    figures: GpuFigures
    left: Floats
    total: Floats
    blocked: Floats


def of_pools(
    judging: engine.Engine, known: node_pools.NodePools
) -> Generator[None, None, tuple[PoolFigures, ...]]:
    """The figures of each pool, in turns."""
    found = []
    for pool in known.pools:
        gpus = yield from counted(judging, pool.rows)
        blocked = known.blocked[pool.rows].astype(np.float64)
        figures = of_rows(judging, pool.rows, gpus, blocked)
        found.append(PoolFigures(pool, figures, gpus.left, gpus.total, blocked))
        yield
    return tuple(found)


def together(parts: Sequence[GpuFigures]) -> GpuFigures:
    """The sum of the figures of several pools."""
    return GpuFigures(
        nodes=sum(each.nodes for each in parts),
        blocked=sum(each.blocked for each in parts),
        gpus=sum(each.gpus for each in parts),
        free=sum(each.free for each in parts),
        whole=sum(each.whole for each in parts),
        stranded=sum(each.stranded for each in parts),
        largest=max((each.largest for each in parts), default=0.0),
        sets=tuple((size, sum(dict(each.sets).get(size, 0.0) for each in parts)) for size in SIZES),
        out=sum(each.out for each in parts),
    )


def most_fragmented(pools: Sequence[PoolFigures]) -> PoolFigures | None:
    """The pool with the largest share of its free GPUs on nodes in part use, None if none has."""
    broken = [each for each in pools if each.figures.fragmented > gpu_inventory.ALMOST]
    return max(broken, key=lambda each: (each.figures.fragmented, each.figures.free), default=None)
