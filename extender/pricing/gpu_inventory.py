"""GPUs of the nodes, free and taken: counted once per state, read per row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.cluster.states import ByNumbering
from extender.hardware.gpu_count import GpuCounter
from extender.pricing import formula
from extender.pricing.mix.demand_mix import Floats, MeanDemand

_FIRST_STATES = 1024
ALMOST = 1e-6  # GPUs: shares add up to whole ones but for the last digits of a double
# Of one node, to bring CPU and GPUs to one scale: the largest machine of BestFit's authors.
_MOST_CPU, _MOST_GPUS = 128_000.0, 8.0


class _GpuCounts:
    """Free GPUs by state, NaN where not counted yet; the GPUs of each shape, by its number."""

    def __init__(self) -> None:
        self.left: Floats = np.full(_FIRST_STATES, np.nan)
        self.machines: list[GpuCounter] = []


class GpuInventory:
    """Counts the GPUs of states."""

    def __init__(self, cluster: index.TopologyIndex) -> None:
        self._index = cluster
        self._kept = ByNumbering(_GpuCounts)

    def tightness(self, rows: NDArray[np.int32], states: NDArray[np.int32], *, cpu: int) -> Floats:
        """BestFit's key, the second one: CPU and GPUs left on each node; the least is tightest."""
        return formula.tightness(
            self._index.cpu[rows] - cpu,
            self.left(states),
            most_cpu=_MOST_CPU,
            most_gpus=_MOST_GPUS,
        )

    def whole_sets(self, sizes: tuple[int, ...]) -> dict[int, float]:
        """GPUs in whole free sets of each size on one node: what fragmentation leaves."""
        left = self.left(self._index.state[self._index.in_use()])
        return {size: in_whole_sets(left, size) for size in sizes}

    def totals(self) -> tuple[float, float]:
        """Free GPUs, and GPUs, of all nodes."""
        states = self._index.state[self._index.in_use()]
        return float(self.left(states).sum()), float(self.gpus(states).sum())

    def coverage(
        self, demand: MeanDemand, rows: NDArray[np.integer], *, part: float | None = None
    ) -> float:
        """Share of these rows' free GPUs that CPU and memory cover (`formula.coverage_by`).

        With `part`, which these are of all free GPUs, pods without devices find that part of what
        is idle on machines without GPUs, too.
        """
        carry = self.gpus(self._index.expected[rows]) > 0.0
        there = rows if part is None else self._index.in_use()
        bare = there[self.gpus(self._index.expected[there]) <= 0.0]

        def idle(column: Floats) -> tuple[float, float]:
            own, beside = np.maximum(column[rows[carry]], 0.0), np.maximum(column[bare], 0.0)
            return float(own.sum()), float(beside.sum()) * (1.0 if part is None else part)

        gpus = float(self.left(self._index.expected[rows]).sum())
        return formula.coverage_by(
            demand, gpus=gpus, cpu=idle(self._index.cpu), memory=idle(self._index.memory)
        )

    def stranded_on(self, demand: MeanDemand, rows: NDArray[np.integer], free: Floats) -> Floats:
        """Of each row's free GPUs those for which the node itself has too little CPU or memory.

        Too little is less than the pods seen so far request beside a GPU, on average.
        """
        covered = free.copy()
        for column, wanted in (
            (self._index.cpu, demand.cpu),
            (self._index.memory, demand.memory),
        ):
            if formula.tells(demand) and wanted > 0.0:
                idle = np.maximum(column[rows], 0.0)
                covered = np.minimum(covered, idle * demand.gpus / wanted)
        return free - covered

    def gpus(self, states: NDArray[np.int32]) -> Floats:
        """GPUs of each state's machine, taken or not; computed once per shape."""
        total = np.array([each.total for each in self.machines()])
        found: Floats = total[self._index.states.shape_of[states]]
        return found

    def left(self, states: NDArray[np.int32]) -> Floats:
        """Free GPUs per state, counted once per state."""
        counted = self._kept.of(self._index.states)
        while len(counted.left) < len(self._index.states):
            counted.left = np.concatenate([counted.left, np.full(len(counted.left), np.nan)])
        found = counted.left[states]
        missing = states[np.isnan(found)]
        if not len(missing):
            return found
        machines = self.machines()
        for state in set(missing.tolist()):
            machine = machines[self._index.states.shape_of[state]]
            counted.left[state] = machine.left(self._index.states[state].usage)
        return counted.left[states]

    def machines(self) -> Sequence[GpuCounter]:
        """The GPUs of each shape, as the states number them."""
        known = self._kept.of(self._index.states).machines
        for hardware in self._index.states.shapes[len(known) :]:
            known.append(GpuCounter(hardware))
        return known


def in_whole_sets(left: Floats, size: int) -> float:
    """Of free GPUs by node those that are in whole sets of that size on one node."""
    return float((np.floor((left + ALMOST) / size) * size).sum())


def stranded(free: float, coverage: float) -> float:
    """Of so many free GPUs those that idle CPU and memory do not cover."""
    return free * (1.0 - min(coverage, 1.0))
