"""The headroom of rows as they are, and what a pod takes from them: counted by their states."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from extender.cluster import index
from extender.pricing import headroom_cache, loss_cache
from extender.pricing.mix.demand_mix import Floats, Ints
from extender.verdicts import verdict_table
from extender.verdicts.query import asks_one_kind


class RowHeadroom:
    """Reads the headroom of rows; `current` keeps it by row, `states` by state."""

    def __init__(
        self,
        cluster: index.TopologyIndex,
        class_versions: loss_cache.ClassVersions,
        current: loss_cache.RowClassMatrix,
        states: headroom_cache.StatesHeadroom,
    ) -> None:
        self._index = cluster
        self._class_versions = class_versions
        self._current = current
        self._states = states

    def loss_function(
        self, table: verdict_table.VerdictTable, cpu: int, memory: int
    ) -> loss_cache.LossFunction:
        """The headroom that such a pod takes from rows: theirs now, less theirs with it.

        A pod that requests one kind of device breaks pairs of GPU and NIC without using them.
        """
        pays_locality = asks_one_kind(table.question)

        def loss_of(rows: loss_cache.Rows, columns: Ints | None) -> Floats:
            if columns is None and len(rows) * self._width(None) <= headroom_cache.FEW_CELLS:
                singly = [self._loss_of_row(table, row, cpu, memory) for row in rows.tolist()]
                return np.array(singly).reshape(len(rows), self._width(None))
            states = self._index.expected[rows]
            after = states
            if table.question:
                table.fill(states)
                after = table.after[states]
            fits = np.flatnonzero(after >= 0)
            there = rows[fits]
            found = np.zeros((len(rows), self._width(columns)))
            found[table.unseen(states)] = np.nan
            then = self._states.of(
                after[fits],
                self._index.cpu[there] - cpu,
                self._index.memory[there] - memory,
                columns,
                weighted=pays_locality,
            )
            now = self._weighted if pays_locality else self._known
            found[fits] = now(there, columns) - then
            return found

        return loss_of

    def _loss_of_row(
        self, table: verdict_table.VerdictTable, row: int, cpu: int, memory: int
    ) -> Sequence[float]:
        """The headroom that such a pod takes from one row that changed between two requests."""
        state = int(self._index.expected[row])
        after = state
        if table.question:
            table.fill(self._index.expected[row : row + 1])
            after = int(table.after[state])
        if table.question and table.is_unseen(state):
            return [math.nan] * self._width(None)
        if after < 0:
            return [0.0] * self._width(None)
        pays_locality = asks_one_kind(table.question)
        free, left = float(self._index.cpu[row]), float(self._index.memory[row])
        then = self._states.of_state(after, free - cpu, left - memory, weighted=pays_locality)
        now = self._states.of_state(state, free, left, weighted=pays_locality)
        return [before - rest for before, rest in zip(now, then, strict=True)]

    def _known(self, rows: loss_cache.Rows, columns: Ints | None) -> Floats:
        """The headroom of the rows as they are, cached; NaN where it is not counted yet."""
        self._current.refresh(rows, self.now)
        values = self._current.values
        found = values[rows] if columns is None else values[np.ix_(rows, columns)]
        found[~self._current.known(rows)] = np.nan
        return found

    def now(self, rows: loss_cache.Rows, columns: Ints | None) -> Floats:
        states = self._index.expected[rows]
        return self._states.of(states, self._index.cpu[rows], self._index.memory[rows], columns)

    def _weighted(self, rows: loss_cache.Rows, columns: Ints | None) -> Floats:
        """The headroom of the rows, with each placement counted by its locality."""
        if not self._states.weighted:
            return self._known(rows, columns)
        states = self._index.expected[rows]
        cpu, memory = self._index.cpu[rows], self._index.memory[rows]
        return self._states.of(states, cpu, memory, columns, weighted=True)

    def _width(self, columns: Ints | None) -> int:
        return len(self._class_versions.classes.weight) if columns is None else len(columns)
