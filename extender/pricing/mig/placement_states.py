"""What partitioned GPUs offer in each state, by number: arrays over `placements.GpuState`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from extender.pricing.mig import placements
from extender.pricing.mig.placements import Floats

_FIRST = 256
_UNKNOWN = -1
_Numbers = npt.NDArray[np.integer]
_Key = tuple[
    placements.CounterLayout, tuple[int, ...], int, tuple[int, ...]
]  # (layout, matching, taken, drawn)


class GpuStates:
    """GPU states for one sequence of units, numbered as they occur; number 0 is no GPU.

    By state and unit: `fits` is whether the GPU has a legal placement, `cost` what the driver's
    placement takes at current prices. `total` is the price of all legal placements.
    """

    def __init__(self, units: int) -> None:
        self._units = units
        self._numbers: dict[_Key, int] = {}
        self._keys: list[_Key | None] = [None]
        self._states: list[placements.GpuState | None] = [None]
        self._price: Floats = np.zeros(units)
        self._after = np.full((_FIRST, units), _UNKNOWN, dtype=np.int32)
        self.fits: npt.NDArray[np.bool_] = np.zeros((_FIRST, units), dtype=np.bool_)
        self.cost: Floats = np.full((_FIRST, units), np.inf)
        self.total: Floats = np.zeros(_FIRST)

    def __len__(self) -> int:
        return len(self._keys)

    def at(
        self,
        layout: placements.CounterLayout,
        taken: int,
        drawn: tuple[int, ...],
        matching: tuple[int, ...],
    ) -> int:
        """The number of a GPU in this state, whose devices in `matching` serve each unit."""
        key = layout, matching, taken, drawn
        number = self._numbers.get(key)
        return self._add(key) if number is None else number

    def after(self, numbers: _Numbers, unit: int) -> npt.NDArray[np.int32]:
        """The states after the driver placed one of this unit; the same where it cannot."""
        found: npt.NDArray[np.int32] = self._after[numbers, unit]
        if (found == _UNKNOWN).any():
            for number in np.unique(numbers[found == _UNKNOWN]).tolist():
                there = self._placed(number, unit)  # before the array is taken: it may grow
                self._after[number, unit] = there
            found = self._after[numbers, unit]
        return found

    def price(self, price: Floats) -> None:
        """Set the price of one legal placement of each unit."""
        self._price = price
        closed = [gpu_state.closed for gpu_state in self._states if gpu_state is not None]
        if closed:
            end = len(self._keys)
            legal = np.array(
                [gpu_state.legal for gpu_state in self._states if gpu_state is not None]
            )
            self.cost[1:end] = np.where(self.fits[1:end], np.array(closed) @ price, np.inf)
            self.total[1:end] = legal @ price

    def _placed(self, number: int, unit: int) -> int:
        key, gpu_state = self._keys[number], self._states[number]
        if key is None or gpu_state is None or gpu_state.first[unit] < 0:
            return number
        layout, matching, taken, drawn = key
        return self.at(layout, taken | 1 << gpu_state.first[unit], drawn, matching)

    def _add(self, key: _Key) -> int:
        layout, matching, taken, drawn = key
        number = self._numbers[key] = len(self._keys)
        gpu_state = placements.gpu_state(layout, taken, drawn, matching)
        self._keys.append(key)
        self._states.append(gpu_state)
        if number == len(self.fits):
            self._after = np.concatenate([self._after, np.full_like(self._after, _UNKNOWN)])
            self.fits = np.concatenate([self.fits, np.zeros_like(self.fits)])
            self.cost = np.concatenate([self.cost, np.full_like(self.cost, np.inf)])
            self.total = np.concatenate([self.total, np.zeros_like(self.total)])
        self.fits[number] = np.array(gpu_state.first) >= 0
        self.cost[number] = np.where(self.fits[number], gpu_state.closed @ self._price, np.inf)
        self.total[number] = float(gpu_state.legal @ self._price)
        return number
