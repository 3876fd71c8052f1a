"""What each row gives to each class, and what a pod of one size would take of it: kept by row.

Between two requests few rows change, and between two renewals of the prices few classes do. So a
value is worked out once per row and class, until either is not what it was; new prices then cost
one product of a matrix and a vector.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.pricing.mix.demand_mix import DemandClasses, Floats, Ints

Rows: TypeAlias = NDArray[np.integer]
# (rows, places of the classes to look at, None for all) → a value per row and class; NaN where it
# is not known yet
LossFunction: TypeAlias = Callable[[Rows, Ints | None], Floats]

_MOST_BYTES = 32 << 20  # of one engine's matrices; 5,000 rows and 40 classes are 1.6 MB a size
_LEAST_SIZES = 8


class ClassVersions:
    """The classes of the moment, and which of them were renewed when."""

    def __init__(self) -> None:
        self.at = 0
        self.classes: DemandClasses = DemandClasses.none()
        self._renewed: Ints = np.zeros(0, dtype=np.int64)  # class → when it last changed

    def take(self, classes: DemandClasses, *, all_of_them: bool = False) -> None:
        """Go on with these classes; `all_of_them` says that nothing known holds any more."""
        differs = classes.differing(self.classes)
        if all_of_them:
            differs[:] = True
        if differs.any() or len(differs) < len(self._renewed):
            self.at += 1
            kept = np.zeros(len(differs), dtype=np.int64)
            kept[: len(self._renewed)] = self._renewed[: len(kept)]
            self._renewed = np.where(differs, self.at, kept)
        self.classes = classes

    def since(self, moment: int) -> Ints:
        """The classes renewed after that moment."""
        return np.flatnonzero(self._renewed > moment)


class RowClassMatrix:
    """One value per row and class, where `version` is that of the index."""

    def __init__(self, cluster: index.TopologyIndex, renewals: ClassVersions) -> None:
        self._index = cluster
        self._renewals = renewals
        self._at = -1  # when the classes were last looked at
        self.values: Floats = np.zeros((0, 0))
        self.version: Ints = np.zeros(0, dtype=np.int64)  # of each row; -1 is not known

    def refresh(self, rows: Rows, work: LossFunction) -> tuple[Rows, bool]:
        """Bring these rows up to date; which of them had changed, and whether any class had."""
        renewed = self._renew_classes(work)
        stale = rows[self.version[rows] != self._index.version[rows]]
        if len(stale):
            if len(stale) > 1:
                stale = np.array(sorted(set(stale.tolist())), dtype=rows.dtype)
            self._put(stale, work(stale, None))
        return stale, renewed

    def _put(self, rows: Rows, found: Floats) -> None:
        unknown = np.isnan(found)
        self.version[rows] = self._index.version[rows]
        if unknown.any():
            self.version[rows[unknown.any(axis=1)]] = -1
            found = np.nan_to_num(found)
        self.values[rows] = found

    def _renew_classes(self, work: LossFunction) -> bool:
        """Bring the columns up to date, and the arrays to the size of the index."""
        classes, size = self._renewals.classes, len(self._index.version)
        if self._at == self._renewals.at and len(self.version) == size:
            return False
        places = self._renewals.since(self._at)
        width = len(classes.weight)
        if len(self.version) != size or 2 * len(places) > width:
            self.values = np.zeros((size, width))
            self.version = np.full(size, -1, dtype=np.int64)
        else:
            self._renew(places, width, work)
        self._at = self._renewals.at
        return True

    def _renew(self, places: Ints, width: int, work: LossFunction) -> None:
        """Work out these columns again for the rows that are known."""
        if self.values.shape[1] != width:
            kept = min(self.values.shape[1], width)
            values = np.zeros((len(self.values), width))
            values[:, :kept] = self.values[:, :kept]
            self.values = values
        rows = np.flatnonzero(self.version == self._index.version[: len(self.version)])
        if len(rows) and len(places):
            found = work(rows, places)
            unknown = np.isnan(found).any(axis=1)
            self.values[np.ix_(rows, places)] = np.nan_to_num(found)
            self.version[rows[unknown]] = -1
        changed = self.version != self._index.version
        self.version[changed] = -1


@dataclasses.dataclass(slots=True)
class _Size:
    """What pods of one size take: by row and class, and priced by row."""

    drop: RowClassMatrix
    loss: Floats
    epoch: int = -1  # of the prices that `loss` is of


class LossCache:
    """The losses of the sizes of pods asked of late; the longest unasked make room.

    A size is (what is asked, CPU, memory); `work` of a size says what it takes.
    """

    def __init__(self, cluster: index.TopologyIndex, renewals: ClassVersions) -> None:
        self._index = cluster
        self._renewals = renewals
        self._sizes: dict[object, _Size] = {}  # size → what it takes, the latest last

    @property
    def bytes(self) -> int:
        """What is remembered takes, about."""
        return sum(
            each.drop.values.nbytes + each.drop.version.nbytes + each.loss.nbytes
            for each in self._sizes.values()
        )

    def priced(
        self, size: object, rows: Rows, work: LossFunction, *, prices: Floats, epoch: int
    ) -> Floats:
        """The priced loss of placing such a pod on each row."""
        known = self._size(size)
        stale, renewed = known.drop.refresh(rows, work)
        if renewed or known.epoch != epoch:
            known.loss = known.drop.values @ prices
            known.epoch = epoch
        elif len(stale):
            known.loss[stale] = known.drop.values[stale] @ prices
        return known.loss[rows]

    def by_class(self, size: object, rows: Rows, work: LossFunction) -> Floats:
        """What such a pod takes of each row, per class, unpriced."""
        known = self._size(size)
        known.epoch = -1
        known.drop.refresh(rows, work)
        return known.drop.values[rows]

    def _size(self, size: object) -> _Size:
        known = self._sizes.pop(size, None)
        if known is None:
            cells = len(self._index.version) * max(len(self._renewals.classes.weight), 1)
            most = max(_MOST_BYTES // (8 * cells), _LEAST_SIZES)
            while len(self._sizes) >= most:
                del self._sizes[next(iter(self._sizes))]
            known = _Size(RowClassMatrix(self._index, self._renewals), np.zeros(0))
        self._sizes[size] = known
        return known
