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
]  # (cut, suits, taken, drawn)


class GpuStates:
    """Looks for one row of asks, numbered as they are met; number 0 is the look at no board.

    By look and ask: `fits` says whether the board has room for it, `worth` what the driver's
    placement of it takes at the prices of the moment. `whole` is what all that is legal is worth.
    """

    def __init__(self, asks: int) -> None:
        self._asks = asks
        self._numbers: dict[_Key, int] = {}
        self._keys: list[_Key | None] = [None]
        self._looks: list[placements.GpuState | None] = [None]
        self._price: Floats = np.zeros(asks)
        self._after = np.full((_FIRST, asks), _UNKNOWN, dtype=np.int32)
        self.fits: npt.NDArray[np.bool_] = np.zeros((_FIRST, asks), dtype=np.bool_)
        self.worth: Floats = np.full((_FIRST, asks), np.inf)
        self.whole: Floats = np.zeros(_FIRST)

    def __len__(self) -> int:
        return len(self._keys)

    def at(
        self,
        cut: placements.CounterLayout,
        taken: int,
        drawn: tuple[int, ...],
        suits: tuple[int, ...],
    ) -> int:
        """The number of a board in this state, of which `suits` serve each ask."""
        key = cut, suits, taken, drawn
        number = self._numbers.get(key)
        return self._add(key) if number is None else number

    def after(self, numbers: _Numbers, ask: int) -> npt.NDArray[np.int32]:
        """The looks once the driver has placed one of this ask there; the same where it cannot."""
        found: npt.NDArray[np.int32] = self._after[numbers, ask]
        if (found == _UNKNOWN).any():
            for number in np.unique(numbers[found == _UNKNOWN]).tolist():
                there = self._placed(number, ask)  # before the array is taken: it may grow
                self._after[number, ask] = there
            found = self._after[numbers, ask]
        return found

    def price(self, price: Floats) -> None:
        """What one legal placement of each ask is worth from now on."""
        self._price = price
        lost = [look.lost for look in self._looks if look is not None]
        if lost:
            end = len(self._keys)
            legal = np.array([look.legal for look in self._looks if look is not None])
            self.worth[1:end] = np.where(self.fits[1:end], np.array(lost) @ price, np.inf)
            self.whole[1:end] = legal @ price

    def _placed(self, number: int, ask: int) -> int:
        key, look = self._keys[number], self._looks[number]
        if key is None or look is None or look.first[ask] < 0:
            return number
        cut, suits, taken, drawn = key
        return self.at(cut, taken | 1 << look.first[ask], drawn, suits)

    def _add(self, key: _Key) -> int:
        cut, suits, taken, drawn = key
        number = self._numbers[key] = len(self._keys)
        look = placements.gpu_state(cut, taken, drawn, suits)
        self._keys.append(key)
        self._looks.append(look)
        if number == len(self.fits):
            self._after = np.concatenate([self._after, np.full_like(self._after, _UNKNOWN)])
            self.fits = np.concatenate([self.fits, np.zeros_like(self.fits)])
            self.worth = np.concatenate([self.worth, np.full_like(self.worth, np.inf)])
            self.whole = np.concatenate([self.whole, np.zeros_like(self.whole)])
        self.fits[number] = np.array(look.first) >= 0
        self.worth[number] = np.where(self.fits[number], look.lost @ self._price, np.inf)
        self.whole[number] = float(look.legal @ self._price)
        return number
