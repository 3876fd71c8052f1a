"""What devices alone allow per state and class, cached: a few states come again and again.

What a class requests of CPU and memory changes with the mix; which devices hardly does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from extender import bounded_cache
from extender.cluster.states import States
from extender.pricing import formula, placement_counts
from extender.pricing.generation import Generation
from extender.pricing.mix.demand_mix import Floats, Ints

StateHeadroom: TypeAlias = tuple[list[float], list[float]]

# Rows times classes up to which plain floats are quicker than arrays: 0.3 µs a cell against 50 µs.
FEW_CELLS = 96
_FIRST = 256
_MOST_KEPT = 8192  # states; with 128 classes they take 24 MB


class DeviceHeadroomCache:
    """`formula.DeviceHeadroom` of states, each computed once."""

    def __init__(self, counted: placement_counts.PlacementCounts) -> None:
        self._counts = counted
        self._generation = Generation.first(formula.Constants(), States())
        # state → its row in the arrays below, -1 where it has none
        self._slot_of: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self._fits_now: Floats = np.zeros((_FIRST, 0))
        self._count: Floats = np.zeros((_FIRST, 0))
        self._mean_worth: Floats | None = None  # None as long as all is worth 1
        self._kept = 0
        # (state, whether weighted) → its fits_now and count, of those read one by one
        self._by_state: dict[tuple[int, bool], StateHeadroom] = {}

    @property
    def weighted(self) -> bool:
        """Whether some placement of some class is worth less than another."""
        return self._mean_worth is not None

    @property
    def figures(self) -> bounded_cache.Figures:
        """How many states are kept."""
        return bounded_cache.Figures(
            "device-headroom", self._kept, _MOST_KEPT, bounded_cache.ENTRIES
        )

    def of(self, numbers: NDArray[np.int32], generation: Generation) -> formula.DeviceHeadroom:
        """Device headroom of the states, one row each; NaN where not all is counted yet."""
        self.count(numbers, generation)
        slots = self._slot_of[numbers]
        if slots.min(initial=0) < 0:
            # More than are kept, or an allowance ran out.
            distinct = np.unique(numbers)
            return self._counted(distinct).take(np.searchsorted(distinct, numbers))
        mean_worth = None if self._mean_worth is None else self._mean_worth[slots]
        return formula.DeviceHeadroom(
            fits_now=self._fits_now[slots], count=self._count[slots], mean_worth=mean_worth
        )

    def of_state(self, state: int, generation: Generation, *, weighted: bool) -> StateHeadroom:
        """`fits_now` and `count` of one state, by class; NaN where not all is counted yet."""
        if generation is not self._generation:
            self._take(generation)
        found = self._by_state.get((state, weighted))
        if found is not None:
            return found
        if state >= len(self._slot_of) or self._slot_of[state] < 0:
            number = np.array([state], dtype=np.int32)
            parts = self.of(number, generation)
            if self._slot_of[state] < 0:
                parts = parts.weighted() if weighted else parts
                return parts.fits_now[0].tolist(), parts.count[0].tolist()
        slot = int(self._slot_of[state])
        fits_now, count = self._fits_now[slot].tolist(), self._count[slot].tolist()
        if weighted and self._mean_worth is not None:
            worth = self._mean_worth[slot].tolist()
            fits_now = list(map(operator.mul, fits_now, worth))
            count = list(map(operator.mul, count, worth))
        found = self._by_state[state, weighted] = fits_now, count
        return found

    def count(self, numbers: NDArray[np.int32], generation: Generation) -> None:
        """Count the states that were not counted yet, as far as the allowance goes."""
        if generation is not self._generation:
            self._take(generation)
        if len(self._slot_of) < len(generation.states):
            more = np.full(len(generation.states), -1, dtype=np.int32)
            self._slot_of = np.concatenate([self._slot_of, more])
        slots = self._slot_of[numbers]
        if slots.min(initial=0) >= 0:
            return
        missing = np.unique(numbers[slots < 0])
        if self._kept + len(missing) > _MOST_KEPT:
            self._forget()
            missing = np.unique(numbers)
        if len(missing) > _MOST_KEPT:
            return
        found = self._counted(missing)
        complete = ~np.isnan(found.count).any(axis=1)
        if complete.all():
            self._keep(missing, found)
        else:
            self._keep(missing[complete], found.take(np.flatnonzero(complete)))

    def _counted(self, numbers: NDArray[np.int32]) -> formula.DeviceHeadroom:
        now, units = self._generation, self._generation.classes.units
        free, chain = self._counts.device_part(units, numbers, now.states)
        mean_worth = self._counts.mean_worth(units, numbers, chain)
        return formula.device_headroom(free, chain, now.classes, now.form, mean_worth)

    def _keep(self, numbers: NDArray[np.int32], found: formula.DeviceHeadroom) -> None:
        first, end = self._kept, self._kept + len(numbers)
        while end > len(self._fits_now):
            self._fits_now = np.concatenate([self._fits_now, np.empty_like(self._fits_now)])
            self._count = np.concatenate([self._count, np.empty_like(self._count)])
            if self._mean_worth is not None:
                self._mean_worth = np.concatenate(
                    [self._mean_worth, np.ones_like(self._mean_worth)]
                )
        self._fits_now[first:end], self._count[first:end] = found.fits_now, found.count
        if found.mean_worth is not None and self._mean_worth is None:
            self._mean_worth = np.ones_like(self._fits_now)
        if self._mean_worth is not None:
            self._mean_worth[first:end] = 1.0 if found.mean_worth is None else found.mean_worth
        self._slot_of[numbers] = np.arange(first, end, dtype=np.int32)
        self._kept = end

    def _take(self, generation: Generation) -> None:
        """Continue with this one; cached values stay where they are the same by it."""
        if not generation.same_devices(self._generation):
            self._forget()
            self._mean_worth = None
            self._counts.configure(locality_weight=generation.form.locality_weight)
            width = len(generation.classes.weight)
            if self._fits_now.shape[1] != width:
                self._fits_now = np.zeros((_FIRST, width))
                self._count = self._fits_now.copy()
        self._generation = generation

    def _forget(self) -> None:
        self._slot_of.fill(-1)
        self._by_state.clear()
        self._kept = 0


class StatesHeadroom:
    """The headroom of states with so much CPU and memory, by the generation of the moment."""

    def __init__(
        self, counted: placement_counts.PlacementCounts, now: Callable[[], Generation]
    ) -> None:
        self._devices = DeviceHeadroomCache(counted)
        self._now = now

    @property
    def weighted(self) -> bool:
        """Whether some placement of some class is worth less than another."""
        return self._devices.weighted

    @property
    def figures(self) -> bounded_cache.Figures:
        """How many states are kept."""
        return self._devices.figures

    def of(
        self,
        states: NDArray[np.int32],
        cpu: Floats,
        memory: Floats,
        columns: Ints | None,
        *,
        weighted: bool = False,
    ) -> Floats:
        """Per state and class, of which `columns` are some, or None for all; NaN: not counted."""
        now = self._now()
        classes = now.classes
        if columns is None and len(states) * len(classes.weight) <= FEW_CELLS:
            return self._one_by_one(states, cpu, memory, weighted=weighted)
        parts = self._devices.of(states, now)
        if weighted:
            parts = parts.weighted()
        if columns is not None:
            parts, classes = parts.for_classes(columns), classes.take(columns)
        return formula.headroom(parts, cpu, memory, classes, now.form)

    def count(self, states: NDArray[np.int32]) -> None:
        """Count what devices allow on these states, as far as the allowance goes."""
        self._devices.count(states, self._now())

    def _one_by_one(
        self, states: NDArray[np.int32], cpu: Floats, memory: Floats, *, weighted: bool
    ) -> Floats:
        """`of` for the one or two rows that changed between two requests."""
        rows = zip(states.tolist(), cpu.tolist(), memory.tolist(), strict=True)
        found = [self.of_state(*row, weighted=weighted) for row in rows]
        return np.array(found).reshape(len(found), len(self._now().classes.weight))

    def of_state(self, state: int, cpu: float, memory: float, *, weighted: bool) -> Sequence[float]:
        """`of` of one state, by class."""
        now = self._now()
        device = self._devices.of_state(state, now, weighted=weighted)
        return formula.headroom_of_row(*device, cpu, memory, now.needs)
