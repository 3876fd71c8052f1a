"""How often each ask can still be placed on each state: counted once, within a budget a request.

Arithmetic answers most asks for thousands of states at once. The others are placed one after the
other by the same verdicts that answer requests; each such placement may cost a search, so a call
does a bounded number of them and leaves the rest for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from extender.cluster.states import States
from extender.demand import work
from extender.hardware.shape import Shape
from extender.pricing import count_plan, formula, unit_size
from extender.pricing.mix.demand_mix import WHOLE_GPU, Floats
from extender.verdicts import verdict_table
from extender.verdicts.query import Query

_FIRST_STATES = 1024
_FIRST_ASKS = 16
_FEW = 8  # states up to which counting one by one is quicker than arrays
_MOST_ASKS = 512  # columns kept; those of demands that are not asked any more go with all others
# Of states times asks, 16 bytes each: 32 MB, unless the asks of the moment need more.
_MOST_CELLS = 2 << 20
# More units than this on one node tell nothing more about scarcity, and bound the counting.
_LONGEST_CHAIN = 256
_WORD_BITS = 64  # of `States.taken`
_MOST_PLANS = 8192  # (ask, shape) pairs; tens of each are usual
# Placements searched per allowance: at 20 to 50 µs each, what a request may wait.
ALLOWANCE = 400
_NO_LIMIT = 1 << 62


class PlacementCounts:
    """The device part of room, by ask and state. `incomplete` says that an allowance ran out.

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
        self._places: dict[object, int] = {}  # ask → its column
        # [state, column] of the device part; NaN where it is not counted yet
        self._free: Floats = np.full((_FIRST_STATES, _FIRST_ASKS), np.nan)
        self._chain: Floats = self._free.copy()
        # column → state → worth of its chain, of the asks that may lie nearer or farther
        self._worth: dict[int, Floats] = {}
        self._distance = 0.0  # what distance costs a pod, of its own worth
        self._plans: dict[
            tuple[Query, Shape], count_plan.CountPlan | None
        ] = {}  # by identity of shape
        self._whole: dict[Shape, count_plan.CountPlan] = {}  # by identity of shape
        self._allowance = _NO_LIMIT if patient else ALLOWANCE
        self._left = self._allowance
        self.incomplete = False

    def configure(self, *, distance: float) -> None:
        """Take the weight by which distant devices are worth less to a pod that comes later."""
        if distance != self._distance:
            self._distance = distance
            self._forget()

    def allow(self) -> None:
        """Begin anew with a whole allowance of searches."""
        self._left = self._allowance
        self.incomplete = False

    def device_part(
        self, asks: Sequence[object], numbers: NDArray[np.int32], states: States
    ) -> tuple[Floats, Floats]:
        """A and k (see `pricing.formula`) per state and ask; NaN where it is not counted yet.

        No state may be named twice.
        """
        places = self._places_of(asks, states)
        here = np.ix_(numbers, places)
        chain = self._chain[here]
        missing = np.isnan(chain)
        if missing.any():
            for which in np.flatnonzero(missing.any(axis=0)).tolist():
                ask, place = asks[which], int(places[which])
                if isinstance(ask, Query):
                    self._fill(ask, place, numbers[missing[:, which]])
                elif ask is WHOLE_GPU:
                    self._fill_whole(place, numbers[missing[:, which]])
            chain = self._chain[here]
        return self._free[here], chain

    def nearness(
        self, asks: Sequence[object], numbers: NDArray[np.int32], chain: Floats
    ) -> Floats | None:
        """Mean worth of the placements in `chain`, 1 where all are near; None if all always are."""
        found = None
        for which, ask in enumerate(asks):
            worth = self._worth.get(self._places.get(ask, -1))
            if worth is not None:
                found = np.ones_like(chain) if found is None else found
                there = chain[:, which] > 0
                found[there, which] = worth[numbers[there]] / chain[there, which]
        return found

    @property
    def bytes(self) -> int:
        """What the counts take."""
        return self._free.nbytes + self._chain.nbytes

    def _places_of(self, asks: Sequence[object], states: States) -> NDArray[np.intp]:
        """The columns of the asks, in arrays that are large enough for them and the states."""
        known = self._places
        most = max(min(_MOST_ASKS, _MOST_CELLS // len(self._chain)), 2 * len(asks))
        if states is not self._states or len(known) > most:
            self._states = states
            self._free = np.full((_FIRST_STATES, _FIRST_ASKS), np.nan)
            self._chain = self._free.copy()
            self._forget()
        found = np.array([known.setdefault(ask, len(known)) for ask in asks], dtype=np.intp)
        rows, columns = self._chain.shape
        while rows < len(states):
            rows *= 2
        while columns < len(known):
            columns *= 2
        if (rows, columns) != self._chain.shape:
            self._free = _enlarged(self._free, rows, columns)
            self._chain = _enlarged(self._chain, rows, columns)
        return found

    def _forget(self) -> None:
        self._places.clear()
        self._worth.clear()
        self._whole.clear()
        self._chain.fill(np.nan)

    def _fill(self, ask: Query, place: int, missing: NDArray[np.int32]) -> None:
        table, size = self._table_of(ask), self._size_of(ask)
        if len(missing) > _FEW:
            missing = self._calculate_at_once(ask, place, missing, size)
        for state in missing.tolist():
            if self._calculate(ask, place, state, size):
                continue
            if self._left <= 0 or not self._count(state, place, table, size):
                self.incomplete = True
                break

    def _fill_whole(self, place: int, missing: NDArray[np.int32]) -> None:
        """Count the GPUs that nobody holds a part of."""
        for state in missing.tolist():
            hardware, usage = self._states[state]
            whole = self._whole.get(hardware)
            if whole is None:
                whole = self._whole[hardware] = count_plan.plan_whole_gpus(hardware)
            room = whole.room(hardware, usage)
            self._chain[state, place] = self._free[state, place] = room.count

    def _calculate(self, ask: Query, place: int, state: int, size: float) -> bool:
        """Count one state by arithmetic; false where only placing can tell."""
        hardware, usage = self._states[state]
        plan = self.plan(ask, hardware)
        if plan is None:
            return False
        room = plan.room(hardware, usage)
        self._chain[state, place] = room.count
        # Shares and units tell their GPUs themselves; those of what is no GPU are none.
        known = plan.resource >= 0 or (plan.shares and size)
        self._free[state, place] = room.parts * (1.0 if known else size)
        return True

    def _calculate_at_once(
        self, ask: Query, place: int, missing: NDArray[np.int32], size: float
    ) -> NDArray[np.int32]:
        """Count the states where a mask of whole devices tells, by shape; returns the rest."""
        states = self._states
        shape_of = states.shape_of[missing]
        left: list[NDArray[np.int32]] = []
        for number in np.unique(shape_of).tolist():
            those = missing[shape_of == number]
            hardware = states.shapes[number]
            plan = self.plan(ask, hardware)
            if plan is None or not plan.masked or len(hardware.devices) > _WORD_BITS:
                left.append(those)
                continue
            free = np.bitwise_count(np.uint64(plan.plain) & ~states.taken[those])
            self._chain[those, place] = free
            self._free[those, place] = free * size
        return np.concatenate(left) if left else np.zeros(0, dtype=np.int32)

    def plan(self, ask: Query, hardware: Shape) -> count_plan.CountPlan | None:
        """How to count the ask on a shape; None where only placing it tells, or not known yet."""
        key = (ask, hardware)
        if key not in self._plans:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            try:
                self._plans[key] = count_plan.plan(hardware, ask, self._matches)
            except work.SpentError:
                self.incomplete = True
                return None
        return self._plans[key]

    def plans(self, asks: Sequence[object], shapes: Sequence[Shape]) -> bool:
        """Know how to count all of these; false where the call's allowance ends before."""
        unknown = (
            (ask, hardware)
            for ask in asks
            if isinstance(ask, Query)
            for hardware in shapes
            if (ask, hardware) not in self._plans
        )
        for ask, hardware in unknown:
            self.plan(ask, hardware)
            if (ask, hardware) not in self._plans:
                return False
        return True

    def _count(
        self, state: int, place: int, table: verdict_table.VerdictTable, size: float
    ) -> bool:
        """Follow the placements of one unit after the other until a state that is counted.

        False where the allowance ends on the way: what is judged by then is not judged again.
        """
        chain, worth = self._chain[:, place], self._worth_of(place, table)
        path: list[tuple[int, float]] = []  # state, and what the placement there is worth
        known = value = 0.0
        while len(path) < _LONGEST_CHAIN:
            if state < len(chain) and not np.isnan(chain[state]):
                known = float(chain[state])
                value = known if worth is None else float(worth[state])
                break
            self._left -= 1
            verdict = table.verdict(state)
            if table.is_unseen(state):
                return False
            if not verdict.picks and not verdict.plugin:
                path.append((state, 0.0))
                known = -1.0  # this last one gives nothing
                break
            near = 1.0 if verdict.locality is None else verdict.locality.score
            path.append((state, formula.future_worth(near, self._distance)))
            state = int(table.after[state])
        for back, (step, own) in enumerate(reversed(path), start=1):
            value += own
            if step < len(chain):
                chain[step] = known + back
                self._free[step, place] = unit_size.free(table, step, chain[step] * size)
                if worth is not None:
                    worth[step] = value
        return True

    def _worth_of(self, place: int, table: verdict_table.VerdictTable) -> Floats | None:
        """The worth per state of an ask that is judged by nearness."""
        if not table.question.communication_share:
            return None
        found = self._worth.get(place)
        if found is None or len(found) < len(self._chain):
            larger = np.zeros(len(self._chain))
            if found is not None:
                larger[: len(found)] = found
            found = self._worth[place] = larger
        return found


def _enlarged(found: Floats, rows: int, columns: int) -> Floats:
    """The array with more room, NaN in what is new."""
    larger = np.full((rows, columns), np.nan)
    larger[: found.shape[0], : found.shape[1]] = found
    return larger
