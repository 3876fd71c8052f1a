"""The headroom of each row for each class, and what a pod of one size takes from it: cached by row.

Between two requests few rows change, and between two renewals of the prices few classes do. So a
value is computed once per row and class, until either is not what it was; new prices then cost
one product of a matrix and a vector.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from extender import bounded_cache
from extender.cluster import index
from extender.pricing.mix.demand_mix import DemandClasses, Floats, Ints

Rows: TypeAlias = NDArray[np.integer]
# (rows, columns of the classes wanted, None for all) → a value per row and class; NaN where it is
# not known yet
LossFunction: TypeAlias = Callable[[Rows, Ints | None], Floats]

# Of one engine's matrices; 5,000 rows and 40 classes are 1.6 MB a size, 128 classes 8.
_MOST_BYTES = 16 * bounded_cache.MIB
_LEAST_SIZES = 3


class ClassVersions:
    """The current classes, and when each of them last changed."""

    def __init__(self) -> None:
        self.at = 0
        self.classes: DemandClasses = DemandClasses.none()
        self._renewed: Ints = np.zeros(0, dtype=np.int64)  # class → when it last changed

    def take(self, classes: DemandClasses, *, all_of_them: bool = False) -> None:
        """Continue with these classes; with `all_of_them` every cached value is outdated."""
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
        """The classes that changed after that moment."""
        return np.flatnonzero(self._renewed > moment)


class RowClassMatrix:
    """One value per row and class, valid where `version` is that of the index."""

    def __init__(self, cluster: index.TopologyIndex, class_versions: ClassVersions) -> None:
        self._index = cluster
        self._class_versions = class_versions
        self._at = -1  # the class version of the columns
        self.values: Floats = np.zeros((0, 0))
        self.version: Ints = np.zeros(0, dtype=np.int64)  # of each row; -1 is not known

    def refresh(self, rows: Rows, loss_of: LossFunction) -> tuple[Rows, bool]:
        """Bring these rows up to date; which of them had changed, and whether any class had."""
        renewed = self._renew_classes(loss_of)
        stale = rows[self.version[rows] != self._index.version[rows]]
        if len(stale):
            if len(stale) > 1:
                stale = np.array(sorted(set(stale.tolist())), dtype=rows.dtype)
            self._put(stale, loss_of(stale, None))
        return stale, renewed

    def _put(self, rows: Rows, found: Floats) -> None:
        unknown = np.isnan(found)
        self.version[rows] = self._index.version[rows]
        if unknown.any():
            self.version[rows[unknown.any(axis=1)]] = -1
            found = np.nan_to_num(found)
        self.values[rows] = found

    def _renew_classes(self, loss_of: LossFunction) -> bool:
        """Bring the columns up to date, and the arrays to the size of the index."""
        classes, size = self._class_versions.classes, len(self._index.version)
        if self._at == self._class_versions.at and len(self.version) == size:
            return False
        columns = self._class_versions.since(self._at)
        width = len(classes.weight)
        if len(self.version) != size or 2 * len(columns) > width:
            self.values = np.zeros((size, width))
            self.version = np.full(size, -1, dtype=np.int64)
        else:
            self._renew(columns, width, loss_of)
        self._at = self._class_versions.at
        return True

    def _renew(self, columns: Ints, width: int, loss_of: LossFunction) -> None:
        """Compute these columns again for the rows that are known."""
        if self.values.shape[1] != width:
            kept = min(self.values.shape[1], width)
            values = np.zeros((len(self.values), width))
            values[:, :kept] = self.values[:, :kept]
            self.values = values
        rows = np.flatnonzero(self.version == self._index.version[: len(self.version)])
        if len(rows) and len(columns):
            found = loss_of(rows, columns)
            unknown = np.isnan(found).any(axis=1)
            self.values[np.ix_(rows, columns)] = np.nan_to_num(found)
            self.version[rows[unknown]] = -1
        changed = self.version != self._index.version
        self.version[changed] = -1


@dataclasses.dataclass(slots=True)
class _PodSizeLoss:
    """What pods of one size take from each row: by class, and priced."""

    by_class: RowClassMatrix
    loss: Floats
    epoch: int = -1  # of the prices that `loss` is of


class LossCache:
    """The losses of the pod sizes used of late; the least recently used is dropped.

    A size is (query, CPU, memory); `loss_of` of a size computes what it takes.
    """

    def __init__(self, cluster: index.TopologyIndex, class_versions: ClassVersions) -> None:
        self._index = cluster
        self._class_versions = class_versions
        self._sizes: dict[object, _PodSizeLoss] = {}  # size → what it takes, the latest last

    @property
    def figures(self) -> bounded_cache.Figures:
        """How much the cached matrices take."""
        used = sum(
            each.by_class.values.nbytes + each.by_class.version.nbytes + each.loss.nbytes
            for each in self._sizes.values()
        )
        return bounded_cache.Figures("losses", used, _MOST_BYTES)

    @property
    def most(self) -> int:
        """How many sizes are kept."""
        cells = len(self._index.version) * max(len(self._class_versions.classes.weight), 1)
        return max(_MOST_BYTES // (8 * cells), _LEAST_SIZES)

    def priced(
        self, size: object, rows: Rows, loss_of: LossFunction, *, prices: Floats, epoch: int
    ) -> Floats:
        """The priced loss of placing such a pod on each row."""
        known = self._size(size)
        stale, renewed = known.by_class.refresh(rows, loss_of)
        if renewed or known.epoch != epoch:
            known.loss = known.by_class.values @ prices
            known.epoch = epoch
        elif len(stale):
            known.loss[stale] = known.by_class.values[stale] @ prices
        return known.loss[rows]

    def by_class(self, size: object, rows: Rows, loss_of: LossFunction) -> Floats:
        """What such a pod takes from each row, per class, unpriced."""
        known = self._size(size)
        known.epoch = -1
        known.by_class.refresh(rows, loss_of)
        return known.by_class.values[rows]

    def knows(self, size: object, rows: Rows) -> NDArray[np.bool_]:
        """Of which rows the loss of this size is known as they are now."""
        known = self._sizes.get(size)
        if known is None or len(known.by_class.version) != len(self._index.version):
            return np.zeros(len(rows), dtype=np.bool_)
        found: NDArray[np.bool_] = known.by_class.version[rows] == self._index.version[rows]
        return found

    def _size(self, size: object) -> _PodSizeLoss:
        known = self._sizes.pop(size, None)
        if known is None:
            while len(self._sizes) >= self.most:
                del self._sizes[next(iter(self._sizes))]
            known = _PodSizeLoss(RowClassMatrix(self._index, self._class_versions), np.zeros(0))
        self._sizes[size] = known
        return known
