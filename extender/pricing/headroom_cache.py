"""The device part of room per state and class, kept: a few states come again and again.

What a class asks of CPU and memory changes with the mix; which devices it asks for hardly does.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from extender.cluster.states import States
from extender.pricing import formula, placement_counts
from extender.pricing.mix.demand_mix import DemandClasses, Floats

PlainHeadroom: TypeAlias = tuple[list[float], list[float]]

_FIRST = 256
_MOST_KEPT = 8192  # states; with 128 classes they take 16 MB


class DeviceHeadroomCache:
    """`packing.Parts` of states, from memory where they were asked for before."""

    def __init__(self, counted: placement_counts.PlacementCounts) -> None:
        self._counts = counted
        self._form = formula.Constants()
        self._classes = DemandClasses.none()
        self._states = States()
        self._place: NDArray[np.int32] = np.zeros(0, dtype=np.int32)  # state → its row, -1 unknown
        self._cliff: Floats = np.zeros((_FIRST, 0))
        self._count: Floats = np.zeros((_FIRST, 0))
        self._near: Floats | None = None  # None as long as all is worth 1
        self._kept = 0
        # (state, whether weighed) → its cliff and count, of those asked for one by one
        self._plain: dict[tuple[int, bool], PlainHeadroom] = {}

    @property
    def weighed(self) -> bool:
        """Whether some placement of some class is worth less than another."""
        return self._near is not None

    def of(
        self,
        numbers: NDArray[np.int32],
        classes: DemandClasses,
        form: formula.Constants,
        states: States,
    ) -> formula.DeviceHeadroom:
        """The parts of the states, one row each; NaN where not all is counted yet."""
        if classes is not self._classes or form is not self._form or states is not self._states:
            self._take(classes, form, states)
        if len(self._place) < len(states):
            more = np.full(len(states), -1, dtype=np.int32)
            self._place = np.concatenate([self._place, more])
        places = self._place[numbers]
        if places.min(initial=0) < 0:
            missing = np.unique(numbers[places < 0])
            if self._kept + len(missing) > _MOST_KEPT:
                self._forget()
                missing = np.unique(numbers)
            found = self._counted(missing)
            if len(missing) > _MOST_KEPT:
                return found.take(np.searchsorted(missing, numbers))
            if np.isnan(found.count).any():
                # An allowance ran out: not worth remembering.
                distinct = np.unique(numbers)
                return self._counted(distinct).take(np.searchsorted(distinct, numbers))
            self._keep(missing, found)
            places = self._place[numbers]
        near = None if self._near is None else self._near[places]
        return formula.DeviceHeadroom(
            cliff=self._cliff[places], count=self._count[places], near=near
        )

    def plain(
        self,
        state: int,
        classes: DemandClasses,
        form: formula.Constants,
        states: States,
        *,
        weighed: bool,
    ) -> PlainHeadroom:
        """Cliff and count of one state, by class; NaN where not all is counted yet."""
        if classes is not self._classes or form is not self._form or states is not self._states:
            self._take(classes, form, states)
        found = self._plain.get((state, weighed))
        if found is None:
            parts = self.of(np.array([state], dtype=np.int32), classes, form, states)
            parts = parts.weighed() if weighed else parts
            found = parts.cliff[0].tolist(), parts.count[0].tolist()
            if self._place[state] >= 0:
                self._plain[state, weighed] = found
        return found

    def _counted(self, numbers: NDArray[np.int32]) -> formula.DeviceHeadroom:
        free, chain = self._counts.device_part(self._classes.asks, numbers, self._states)
        near = self._counts.nearness(self._classes.asks, numbers, chain)
        return formula.device_headroom(free, chain, self._classes, self._form, near)

    def _keep(self, numbers: NDArray[np.int32], found: formula.DeviceHeadroom) -> None:
        first, end = self._kept, self._kept + len(numbers)
        while end > len(self._cliff):
            self._cliff = np.concatenate([self._cliff, np.empty_like(self._cliff)])
            self._count = np.concatenate([self._count, np.empty_like(self._count)])
            if self._near is not None:
                self._near = np.concatenate([self._near, np.ones_like(self._near)])
        self._cliff[first:end], self._count[first:end] = found.cliff, found.count
        if found.near is not None and self._near is None:
            self._near = np.ones_like(self._cliff)
        if self._near is not None:
            self._near[first:end] = 1.0 if found.near is None else found.near
        self._place[numbers] = np.arange(first, end, dtype=np.int32)
        self._kept = end

    def _take(self, classes: DemandClasses, form: formula.Constants, states: States) -> None:
        """Go on with these; what is kept stays where it is the same for them."""
        same = form == self._form and states is self._states
        if not same or _devices(classes) != _devices(self._classes):
            self._forget()
            self._near = None
            self._counts.configure(distance=form.distance)
            if self._cliff.shape[1] != len(classes.weight):
                self._cliff = np.zeros((_FIRST, len(classes.weight)))
                self._count = self._cliff.copy()
        self._classes, self._form, self._states = classes, form, states

    def _forget(self) -> None:
        self._place.fill(-1)
        self._plain.clear()
        self._kept = 0


def _devices(classes: DemandClasses) -> tuple[tuple[int, ...], bytes, bytes, bytes]:
    """What the classes ask of devices."""
    return (
        tuple(id(ask) for ask in classes.asks),
        classes.ask.tobytes(),
        classes.count.tobytes(),
        classes.share.tobytes(),
    )
