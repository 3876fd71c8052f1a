"""What each pool has of each GPU model, for metrics: free, usable, in whole pieces.

A pool may have nodes of several models, and a model stands in several pools: each pair has
figures of its own. At most 32 pairs have, those with the most GPUs; the others are summed as
"(other)", so that the number of series is bounded whatever labels nodes carry.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.decisions import engine
from extender.hardware.shape import Shape
from extender.pools import node_headroom, node_pools, topology_domains
from extender.pricing import gpu_inventory

SIZES = (1, 2, 4, 8)  # GPUs of a pod, as most are
MOST = 32  # pairs of a pool and a model that have figures of their own
UNKNOWN = "unknown"  # the model of GPUs that neither node nor driver names
OTHER = "(other)"  # no label's value has brackets
_CHUNK = 16  # rows worked on before others get their turn: a fraction of a millisecond


@dataclasses.dataclass(frozen=True, slots=True)
class PoolModel:
    """Nodes of one pool with GPUs of one model.

    GPUs are physical ones, partitions and shares by their part; those on nodes where no pod goes
    (cordoned, not ready) count in `gpus` and `closed`, and nowhere else. `stranded` lack CPU or
    memory, `fragmented` cannot be used by the pods seen so far (FGD's measure). `headroom`: GPUs
    of a pod → pods of that size that fit by their GPUs. `pairs`: free GPUs with a close NIC each,
    None where the machines have no such pairs. `partition` is the largest that can be placed, None
    where the machines have none; of size 0 where none is free. `domains`: kind → (untouched ones,
    all).
    """

    pool: str
    model: str
    nodes: int = 0
    gpus: float = 0.0
    free: float = 0.0
    closed: float = 0.0
    stranded: float = 0.0
    fragmented: float = 0.0
    headroom: Mapping[int, int] = dataclasses.field(default_factory=dict)
    pairs: int | None = None
    partition: node_headroom.Partition | None = None
    domains: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)


_NO_PARTITION = node_headroom.Partition("none", 0.0, 0)
Key = tuple[str, str]  # (pool, model)


@dataclasses.dataclass(slots=True)
class _Sum:
    """What is added up of the rows of one pair."""

    rows: list[int] = dataclasses.field(default_factory=list)
    gpus: float = 0.0
    free: float = 0.0
    closed: float = 0.0
    fragmented: float = 0.0
    headroom: dict[int, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(SIZES, 0))
    pairs: int | None = None
    partitions: list[node_headroom.Partition] | None = None


def measured(
    judging: engine.Engine, known: node_pools.NodePools
) -> Generator[None, None, tuple[PoolModel, ...]]:
    """The figures of each pool and model, in turns; the pairs with the most GPUs first."""
    sums = _ModelSums(judging, known)
    for pool in known.pools:
        for first in range(0, len(pool.rows), _CHUNK):
            sums.add(pool.title, pool.rows[first : first + _CHUNK])
            yield
    counted = yield from sums.domains.counted()
    free = sum(each.free for each in sums.of.values())
    whole = []
    for key, each in sums.of.items():
        stranded = _stranded(judging, each, each.free / free) if each.free else 0.0
        whole.append(_figures_of(key, each, stranded, counted.get(key, {})))
        yield
    return bounded(whole)


def bounded(found: Sequence[PoolModel]) -> tuple[PoolModel, ...]:
    """The pairs with figures of their own, and the sum of the others."""
    ranked = sorted(found, key=lambda each: (-each.gpus, each.pool, each.model))
    shown, others = ranked[:MOST], ranked[MOST:]
    return (*shown, _together(others)) if others else tuple(shown)


class _ModelSums:
    """Adds up rows by pool and model, and notes their racks and NVLink domains."""

    def __init__(self, judging: engine.Engine, known: node_pools.NodePools) -> None:
        self._judging = judging
        self._known = known
        self._models: dict[Shape, str] = {}  # by identity
        self.of: dict[Key, _Sum] = {}
        self.domains = topology_domains.TopologyDomains()

    def add(self, title: str, rows: NDArray[np.int64]) -> None:
        """Add some rows of a pool; a row that has no node any more, or no GPU, is left out."""
        cluster, pricer = self._judging.index, self._judging.pricer
        rows = rows[cluster.state[rows] >= 0]
        total = pricer.inventory.gpus(cluster.state[rows])
        rows, total = rows[total > gpu_inventory.ALMOST], total[total > gpu_inventory.ALMOST]
        left, fragments = pricer.inventory.left(cluster.state[rows]), pricer.fragments(rows)
        columns = (rows.tolist(), total.tolist(), left.tolist(), fragments.tolist())
        for row, *figures in zip(*columns, strict=True):
            detail = cluster.details[row]
            if detail is None:
                continue
            gpus, free, _ = figures
            key = title, self._model(detail.machine.shape)
            shut = bool(self._known.blocked[row])
            untouched = not shut and free >= gpus - gpu_inventory.ALMOST
            self.domains.add(detail.node, key, untouched=untouched)
            _add_row(self.of.setdefault(key, _Sum()), row, detail, figures, shut=shut)

    def _model(self, hardware: Shape) -> str:
        known = self._models.get(hardware)
        if known is None:
            known = self._models[hardware] = hardware.product or UNKNOWN
        return known


def _add_row(
    added: _Sum, row: int, detail: index.Row, figures: Sequence[float], *, shut: bool
) -> None:
    gpus, free, fragmented = figures
    headroom = node_headroom.of_state(detail.machine.shape, detail.usage)
    added.rows.append(row)
    added.gpus += gpus
    if headroom.has_pairs:
        added.pairs = added.pairs or 0
    if headroom.has_partitions and added.partitions is None:
        added.partitions = []
    if shut:
        added.closed += free
        return
    added.free += free
    # Until all placements are counted the row is left out: it is counted within seconds.
    added.fragmented += 0.0 if np.isnan(fragmented) else fragmented
    for size in SIZES:
        added.headroom[size] += headroom.whole // size
    if added.pairs is not None:
        added.pairs += headroom.pairs
    if added.partitions is not None and headroom.largest is not None:
        added.partitions.append(headroom.largest)


def _stranded(judging: engine.Engine, added: _Sum, part: float) -> float:
    """Of the free GPUs, `part` of all free ones, those that CPU and memory do not cover."""
    rows = np.array(added.rows, dtype=np.int64)
    rows = rows[judging.index.state[rows] >= 0]
    demand = judging.pricer.mix.mean_demand()
    coverage = judging.pricer.inventory.coverage(demand, rows, part=part)
    return gpu_inventory.stranded(added.free, coverage)


def _figures_of(
    key: Key, added: _Sum, stranded: float, of_kind: Mapping[str, tuple[int, int]]
) -> PoolModel:
    largest = None
    if added.partitions is not None:
        largest = node_headroom.together(added.partitions) or _NO_PARTITION
    return PoolModel(
        pool=key[0],
        model=key[1],
        nodes=len(added.rows),
        gpus=added.gpus,
        free=added.free,
        closed=added.closed,
        stranded=stranded,
        fragmented=min(added.fragmented, added.free),
        headroom=added.headroom,
        pairs=added.pairs,
        partition=largest,
        domains=of_kind,
    )


def _together(parts: Sequence[PoolModel]) -> PoolModel:
    paired = [each.pairs for each in parts if each.pairs is not None]
    cut = [each.partition for each in parts if each.partition is not None]
    return PoolModel(
        pool=OTHER,
        model=OTHER,
        nodes=sum(each.nodes for each in parts),
        gpus=_sum([each.gpus for each in parts]),
        free=_sum([each.free for each in parts]),
        closed=_sum([each.closed for each in parts]),
        stranded=_sum([each.stranded for each in parts]),
        fragmented=_sum([each.fragmented for each in parts]),
        headroom={size: sum(each.headroom.get(size, 0) for each in parts) for size in SIZES},
        pairs=sum(paired) if paired else None,
        partition=(node_headroom.together(cut) or _NO_PARTITION) if cut else None,
        domains=topology_domains.added(each.domains for each in parts),
    )


def _sum(values: Sequence[float]) -> float:
    return float(np.sum(values))
