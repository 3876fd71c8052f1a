"""How often each ask can still be placed on each state: counted once, within a budget a request.

Arithmetic answers most asks for thousands of states at once. The others are placed one after the
other by the same verdicts that answer requests; each such placement may cost a search, so a call
does a bounded number of them and leaves the rest for the next.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from extender.cluster.states import States
from extender.decisions import counting, tables, units
from extender.decisions.question import Question
from extender.hardware.shape import Shape
from extender.policy.mix import Floats

_FIRST_STATES = 1024
# More units than this on one node tell nothing more about scarcity, and bound the counting.
_LONGEST_CHAIN = 256
_WORD_BITS = 64  # of `States.taken`
_MOST_PLANS = 8192  # (ask, shape) pairs; tens of each are usual
# Placements searched per allowance: at 20 to 50 µs each, what a request may wait.
ALLOWANCE = 400
_NO_LIMIT = 1 << 62


@dataclasses.dataclass(slots=True)
class _Column:
    """One ask's device part per state; NaN where not counted yet."""

    free: Floats
    chain: Floats


class Counts:
    """The device part of room, by ask and state. `incomplete` says that an allowance ran out.

    A patient one has no limit: offline nobody waits.
    """

    def __init__(
        self,
        table_of: Callable[[Question], tables.Table],
        size_of: Callable[[Question], float],
        matches: counting.Matches,
        *,
        patient: bool = True,
    ) -> None:
        self._table_of = table_of
        self._size_of = size_of
        self._matches = matches
        self._states = States()
        self._columns: dict[Question, _Column] = {}
        self._plans: dict[tuple[Question, Shape], counting.Plan | None] = {}  # by identity of shape
        self._allowance = _NO_LIMIT if patient else ALLOWANCE
        self._left = self._allowance
        self.incomplete = False

    def allow(self) -> None:
        """Begin anew with a whole allowance of searches."""
        self._left = self._allowance
        self.incomplete = False

    def device_part(
        self, asks: Sequence[object], numbers: NDArray[np.int32], states: States
    ) -> tuple[Floats, Floats]:
        """A and k (see `policy.packing`) per state and ask; NaN where it is not counted yet."""
        if states is not self._states:
            self._columns.clear()
            self._states = states
        free = np.empty((len(numbers), len(asks)))
        chain = np.empty_like(free)
        for place, ask in enumerate(asks):
            if isinstance(ask, Question):
                column = self._counted(ask, numbers)
                free[:, place] = column.free[numbers]
                chain[:, place] = column.chain[numbers]
        return free, chain

    def _counted(self, ask: Question, states: NDArray[np.int32]) -> _Column:
        counts = self._columns.get(ask)
        if counts is None:
            empty = np.full(_FIRST_STATES, np.nan)
            counts = self._columns[ask] = _Column(empty, empty.copy())
        while len(counts.chain) < len(self._states):
            more = np.full(len(counts.chain), np.nan)
            counts.free = np.concatenate([counts.free, more])
            counts.chain = np.concatenate([counts.chain, more])
        missing = states[np.isnan(counts.chain[states])]
        if len(missing):
            table = self._table_of(ask)
            size = self._size_of(ask)
            missing = self._calculate(ask, np.unique(missing), counts, size)
            for state in missing.tolist():
                if self._left <= 0:
                    self.incomplete = True
                    break
                self._count(state, table, counts, size)
        return counts

    def _calculate(
        self, ask: Question, missing: NDArray[np.int32], counts: _Column, size: float
    ) -> NDArray[np.int32]:
        """Count by arithmetic, shape by shape; returns the states that only placing can tell."""
        states = self._states
        shape_of = states.shape_of[missing]
        left: list[NDArray[np.int32]] = []
        for place in np.unique(shape_of).tolist():
            those = missing[shape_of == place]
            hardware = states.shapes[place]
            plan = self._plan(ask, hardware)
            if plan is None:
                left.append(those)
            elif plan.masked and len(hardware.devices) <= _WORD_BITS:
                free = np.bitwise_count(np.uint64(plan.plain) & ~states.taken[those])
                counts.chain[those] = free
                counts.free[those] = free * size
            else:
                whole = 1.0 if plan.shares else size
                for state in those.tolist():
                    room = plan.room(hardware, states[state].usage)
                    counts.chain[state] = room.count
                    counts.free[state] = room.parts * whole
        return np.concatenate(left) if left else np.zeros(0, dtype=np.int32)

    def _plan(self, ask: Question, hardware: Shape) -> counting.Plan | None:
        key = (ask, hardware)
        if key not in self._plans:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            self._plans[key] = counting.plan(hardware, ask, self._matches)
        return self._plans[key]

    def _count(self, state: int, table: tables.Table, counts: _Column, size: float) -> None:
        """Follow the placements of one unit after the other until a state that is counted."""
        path: list[int] = []
        known = 0.0
        while len(path) < _LONGEST_CHAIN:
            if state < len(counts.chain) and not np.isnan(counts.chain[state]):
                known = float(counts.chain[state])
                break
            self._left -= 1
            verdict = table.verdict(state)
            if not verdict.picks and not verdict.plugin:
                path.append(state)
                known = -1.0  # this last one gives nothing
                break
            path.append(state)
            state = int(table.after[state])
        for back, step in enumerate(reversed(path), start=1):
            if step < len(counts.chain):
                counts.chain[step] = known + back
                whole = counts.chain[step] * size
                counts.free[step] = units.free(table, step, whole)
