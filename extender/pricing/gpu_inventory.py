"""GPUs of the nodes, free and taken: counted once per state, read per row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.hardware.gpu_count import GpuCounter
from extender.pricing import formula
from extender.pricing.mix.demand_mix import Floats, MeanDemand

_FIRST_STATES = 1024
# Of one node, to bring CPU and GPUs to one scale: the largest machine of BestFit's authors.
_MOST_CPU, _MOST_GPUS = 128_000.0, 8.0


class GpuInventory:
    """Counts the GPUs of states."""

    def __init__(self, cluster: index.TopologyIndex) -> None:
        self._index = cluster
        self._left: Floats = np.full(_FIRST_STATES, np.nan)  # state → free GPUs
        self._gpus: list[GpuCounter] = []  # of each shape, as numbered by the states
        self._states: object = None

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
        return {size: float((np.floor(left / size) * size).sum()) for size in sizes}

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

    def gpus(self, states: NDArray[np.int32]) -> Floats:
        """GPUs of each state's machine, taken or not; computed once per shape."""
        total = np.array([each.total for each in self.machines()])
        found: Floats = total[self._index.states.shape_of[states]]
        return found

    def left(self, states: NDArray[np.int32]) -> Floats:
        """Free GPUs per state, counted once per state."""
        self._forget_old_states()
        while len(self._left) < len(self._index.states):
            self._left = np.concatenate([self._left, np.full(len(self._left), np.nan)])
        found = self._left[states]
        missing = states[np.isnan(found)]
        if not len(missing):
            return found
        machines = self.machines()
        for state in set(missing.tolist()):
            machine = machines[self._index.states.shape_of[state]]
            self._left[state] = machine.left(self._index.states[state].usage)
        return self._left[states]

    def machines(self) -> Sequence[GpuCounter]:
        """The GPUs of each shape, as the states number them."""
        self._forget_old_states()
        for hardware in self._index.states.shapes[len(self._gpus) :]:
            self._gpus.append(GpuCounter(hardware))
        return self._gpus

    def _forget_old_states(self) -> None:
        if self._index.states is not self._states:
            self._left = np.full(_FIRST_STATES, np.nan)
            self._gpus = []
            self._states = self._index.states
