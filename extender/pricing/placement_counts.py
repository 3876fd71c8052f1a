"""How many of each unit can still be placed on each state: counted once, on a budget per request.

Arithmetic answers most units for thousands of states at once. The others are placed one after the
other by the same verdicts that answer requests; each such placement may cost a search, so a call
does a bounded number of them and leaves the rest for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from extender import bounded_cache
from extender.cluster.states import States
from extender.demand import work
from extender.hardware.shape import Shape
from extender.pricing import count_plan, formula
from extender.pricing.mix import unit_size
from extender.pricing.mix.demand_mix import WHOLE_GPU, Floats
from extender.verdicts import verdict_table
from extender.verdicts.query import Query

_FIRST_STATES = 1024
_FIRST_UNITS = 16
_FEW = 8  # states up to which counting one by one is quicker than arrays
_MOST_UNITS = 512  # columns kept; beyond that all are dropped and counted anew
# Of the arrays, 16 bytes a state and unit, unless the current units need more.
_MOST_BYTES = 16 * bounded_cache.MIB
_CELL = 16
_MORE_UNITS = 16  # so many more columns at a time
# More than that on one node adds nothing about scarcity; it bounds the counting.
_LONGEST_CHAIN = 256
_WORD_BITS = 64  # of `States.taken`
_MOST_PLANS = 8192  # (unit, shape) pairs; tens of each are usual
# Placements searched per allowance: at 20 to 50 µs each, what a request may wait.
ALLOWANCE = 400
LEAST = 40  # however little the call may do: one chain of a node's devices, and another
_NO_LIMIT = 1 << 62


class PlacementCounts:
    """Placements and free GPUs by unit and state. `incomplete`: an allowance ran out.

    A patient one has no limit: offline nobody waits.
    """

    def __init__(
        self,
        table_of: Callable[[Query], verdict_table.VerdictTable],
        size_of: Callable[[Query], float],
        matches: count_plan.Matches,
        *,
        patient: bool = True,
    ) -> None:
        self._table_of = table_of
        self._size_of = size_of
        self._matches = matches
        self._states = States()
        self._column_of: dict[object, int] = {}  # unit → its column
        # [state, column]: GPUs in parts large enough, and placements; NaN where not counted yet
        self._free: Floats = np.full((_FIRST_STATES, _FIRST_UNITS), np.nan)
        self._chain: Floats = self._free.copy()
        # column → state → total worth of its placements, for the units that locality matters to
        self._worth: dict[int, Floats] = {}
        self._locality_weight = 0.0  # what poor locality takes of a placement's worth
        # (unit, shape by identity) → how to count
        self._plans: dict[tuple[Query, Shape], count_plan.CountPlan | None] = {}
        self._whole: dict[Shape, count_plan.CountPlan] = {}  # by identity of shape
        self._allowance = _NO_LIMIT if patient else ALLOWANCE
        self._left = self._allowance
        self.incomplete = False

    def configure(self, *, locality_weight: float) -> None:
        """Set how much less a placement of poor locality is worth to a later pod."""
        if locality_weight != self._locality_weight:
            self._locality_weight = locality_weight
            self._forget()

    @property
    def left(self) -> int:
        """How many placements may still be searched."""
        return self._left

    def allow(self, most: int = _NO_LIMIT) -> None:
        """Start a call with an allowance of searches: whole, or `most`, but some in any case."""
        self._left = min(self._allowance, max(most, LEAST))
        self.incomplete = False

    def device_part(
        self, units: Sequence[object], numbers: NDArray[np.int32], states: States
    ) -> tuple[Floats, Floats]:
        """A and k (see `pricing.formula`) per state and unit; NaN where it is not counted yet.

        No state may be named twice.
        """
        columns = self._columns_of(units, states)
        here = np.ix_(numbers, columns)
        chain = self._chain[here]
        missing = np.isnan(chain)
        if missing.any():
            for which in np.flatnonzero(missing.any(axis=0)).tolist():
                unit, column = units[which], int(columns[which])
                if isinstance(unit, Query):
                    self._fill(unit, column, numbers[missing[:, which]])
                elif unit is WHOLE_GPU:
                    self._fill_whole(column, numbers[missing[:, which]])
            chain = self._chain[here]
        return self._free[here], chain

    def mean_worth(
        self, units: Sequence[object], numbers: NDArray[np.int32], chain: Floats
    ) -> Floats | None:
        """Mean worth of the placements in `chain`, 1 where locality is best; None if always 1."""
        found = None
        for which, unit in enumerate(units):
            worth = self._worth.get(self._column_of.get(unit, -1))
            if worth is not None:
                found = np.ones_like(chain) if found is None else found
                there = chain[:, which] > 0
                found[there, which] = worth[numbers[there]] / chain[there, which]
        return found

    @property
    def figures(self) -> bounded_cache.Figures:
        """How much the counts take."""
        worth = sum(each.nbytes for each in self._worth.values())
        used = self._free.nbytes + self._chain.nbytes + worth
        return bounded_cache.Figures("placement-counts", used, _MOST_BYTES)

    def _columns_of(self, units: Sequence[object], states: States) -> NDArray[np.intp]:
        """The columns of the units, in arrays that are large enough for them and the states."""
        known = self._column_of
        # With some to spare: else each new unit would drop what was counted.
        enough = len(units) + _MORE_UNITS + len(units) // 4
        most = max(min(_MOST_UNITS, _MOST_BYTES // (_CELL * len(self._chain))), enough)
        if states is not self._states or len(known) > most:
            self._states = states
            self._free = np.full((_FIRST_STATES, _FIRST_UNITS), np.nan)
            self._chain = self._free.copy()
            self._forget()
        found = np.array([known.setdefault(unit, len(known)) for unit in units], dtype=np.intp)
        rows, width = self._chain.shape
        while rows < len(states):
            rows *= 2
        width = max(width, -(-len(known) // _MORE_UNITS) * _MORE_UNITS)
        if (rows, width) != self._chain.shape:
            self._free = _enlarged(self._free, rows, width)
            self._chain = _enlarged(self._chain, rows, width)
        return found

    def _forget(self) -> None:
        self._column_of.clear()
        self._worth.clear()
        self._whole.clear()
        self._chain.fill(np.nan)

    def _fill(self, unit: Query, column: int, missing: NDArray[np.int32]) -> None:
        table, size = self._table_of(unit), self._size_of(unit)
        if len(missing) > _FEW:
            missing = self._calculate_at_once(unit, column, missing, size)
        for state in missing.tolist():
            if self._calculate(unit, column, state, size):
                continue
            if self._left <= 0 or not self._count(state, column, table, size):
                self.incomplete = True
                break

    def _fill_whole(self, column: int, missing: NDArray[np.int32]) -> None:
        """Count the GPUs that nobody holds a part of."""
        for state in missing.tolist():
            hardware, usage = self._states[state]
            whole = self._whole.get(hardware)
            if whole is None:
                whole = self._whole[hardware] = count_plan.plan_whole_gpus(hardware)
            found = whole.count_on(hardware, usage)
            self._chain[state, column] = self._free[state, column] = found.count

    def _calculate(self, unit: Query, column: int, state: int, size: float) -> bool:
        """Count one state by arithmetic; false where only placing can tell."""
        hardware, usage = self._states[state]
        plan = self.plan(unit, hardware)
        if plan is None:
            return False
        found = plan.count_on(hardware, usage)
        self._chain[state, column] = found.count
        # Shares and plug-in units carry their GPUs; a device that is no GPU counts none.
        known = plan.resource >= 0 or (plan.shares and size)
        self._free[state, column] = found.parts * (1.0 if known else size)
        return True

    def _calculate_at_once(
        self, unit: Query, column: int, missing: NDArray[np.int32], size: float
    ) -> NDArray[np.int32]:
        """Count the states where a mask of whole devices tells, by shape; returns the rest."""
        states = self._states
        shape_of = states.shape_of[missing]
        left: list[NDArray[np.int32]] = []
        for number in np.unique(shape_of).tolist():
            those = missing[shape_of == number]
            hardware = states.shapes[number]
            plan = self.plan(unit, hardware)
            if plan is None or not plan.mask_only or len(hardware.devices) > _WORD_BITS:
                left.append(those)
                continue
            free = np.bitwise_count(np.uint64(plan.plain) & ~states.taken[those])
            self._chain[those, column] = free
            self._free[those, column] = free * size
        return np.concatenate(left) if left else np.zeros(0, dtype=np.int32)

    def plan(self, unit: Query, hardware: Shape) -> count_plan.CountPlan | None:
        """How to count the unit on a shape; None where only placing it tells, or not known yet."""
        key = (unit, hardware)
        if key not in self._plans:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            try:
                self._plans[key] = count_plan.plan(hardware, unit, self._matches)
            except work.SpentError:
                self.incomplete = True
                return None
        return self._plans[key]

    def plans(self, units: Sequence[object], shapes: Sequence[Shape]) -> bool:
        """Make the plans for all of these; false where the call's allowance ends before."""
        unknown = (
            (unit, hardware)
            for unit in units
            if isinstance(unit, Query)
            for hardware in shapes
            if (unit, hardware) not in self._plans
        )
        for unit, hardware in unknown:
            self.plan(unit, hardware)
            if (unit, hardware) not in self._plans:
                return False
        return True

    def _count(
        self, state: int, column: int, table: verdict_table.VerdictTable, size: float
    ) -> bool:
        """Follow the placements of one unit after the other until a state that is counted.

        False where the allowance ends on the way: verdicts found by then are kept.
        """
        chain, worth = self._chain[:, column], self._worth_of(column, table)
        path: list[tuple[int, float]] = []  # state, and what the placement there is worth
        known = value = 0.0
        while len(path) < _LONGEST_CHAIN:
            if state < len(chain) and not np.isnan(chain[state]):
                known = float(chain[state])
                value = known if worth is None else float(worth[state])
                break
            self._left -= 1
            following = table.next_state(state)
            if table.is_unseen(state):
                return False
            if following < 0:
                path.append((state, 0.0))
                known = -1.0  # this last one gives nothing
                break
            locality_score = float(table.locality[state])
            path.append((state, formula.future_worth(locality_score, self._locality_weight)))
            state = following
        for back, (step, own) in enumerate(reversed(path), start=1):
            value += own
            if step < len(chain):
                chain[step] = known + back
                self._free[step, column] = unit_size.free(table, step, float(chain[step]) * size)
                if worth is not None:
                    worth[step] = value
        return True

    def _worth_of(self, column: int, table: verdict_table.VerdictTable) -> Floats | None:
        """The total worth per state of a unit that locality matters to."""
        if not table.question.communication_share:
            return None
        found = self._worth.get(column)
        if found is None or len(found) < len(self._chain):
            larger = np.zeros(len(self._chain))
            if found is not None:
                larger[: len(found)] = found
            found = self._worth[column] = larger
        return found


def _enlarged(found: Floats, rows: int, width: int) -> Floats:
    """A larger copy of the array, NaN in the new cells."""
    larger = np.full((rows, width), np.nan)
    larger[: found.shape[0], : found.shape[1]] = found
    return larger
