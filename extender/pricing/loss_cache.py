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
from extender.demand import work
from extender.pricing import formula
from extender.pricing.mix.demand_mix import DemandClasses, Floats, Ints

Rows: TypeAlias = NDArray[np.integer]
# (rows, columns of the classes wanted, None for all) → a value per row and class; NaN where it is
# not known yet
LossFunction: TypeAlias = Callable[[Rows, Ints | None], Floats]

# Of one engine's matrices; 5,000 rows and 40 classes are 1.6 MB a size, 128 classes 8.
_MOST_BYTES = 16 * bounded_cache.MIB
_LEAST_SIZES = 3
# Rows times classes worked out at once, about 0.5 ms; but not fewer rows than that: what arrays
# cost however small they are would be most of it.
_SLICE_CELLS, _LEAST_SLICE = 8_192, 128
_CELLS_A_UNIT = 30  # cells that cost a unit of work: 50 to 80 ns each
_COLUMNS_BESIDE = 3  # of a row, beside its classes: its version, theirs, and what it costs
_FEW = 16  # rows up to which plain integers are quicker sorted than arrays
_NEVER = -1


class ClassVersions:
    """The current classes, and when each of them last changed."""

    def __init__(self) -> None:
        self.at = 0
        self.classes: DemandClasses = DemandClasses.none()
        self._form = formula.Constants()
        self._renewed: Ints = np.zeros(0, dtype=np.int64)  # class → when it last changed

    def take(self, classes: DemandClasses, form: formula.Constants) -> None:
        """Continue with these classes; by other constants of the formula all of them changed."""
        differs = classes.differing(self.classes)
        if form != self._form:
            differs[:] = True
        if differs.any() or len(differs) < len(self._renewed):
            self.at += 1
            kept = np.zeros(len(differs), dtype=np.int64)
            kept[: len(self._renewed)] = self._renewed[: len(kept)]
            self._renewed = np.where(differs, self.at, kept)
        self.classes, self._form = classes, form

    def since(self, moment: int) -> Ints:
        """The classes that changed after that moment."""
        return np.flatnonzero(self._renewed > moment)


class RowClassMatrix:
    """One value per row and class, valid where `version` is that of the index.

    A refresh works out rows in slices, as far as the call's allowance goes; the others keep what
    they had, and the next refresh goes on with them.
    """

    def __init__(
        self,
        cluster: index.TopologyIndex,
        class_versions: ClassVersions,
        spending: work.Work | None = None,
    ) -> None:
        self._index = cluster
        self._class_versions = class_versions
        self._work = spending or work.Work()
        self._at = _NEVER  # the class version by which `_behind` was set
        self._behind = False  # whether the columns of some row may be of older classes
        self._renewed: Ints = np.zeros(0, dtype=np.int64)  # row → class version of its columns
        self.values: Floats = np.zeros((0, 0))
        self.version: Ints = np.zeros(0, dtype=np.int64)  # of each row; -1 is not known

    def refresh(self, rows: Rows, loss_of: LossFunction) -> tuple[Rows, bool]:
        """Bring these rows up to date; which of them were changed, and whether any class had."""
        renewed = self._take_classes()
        outdated = self._outdated(rows)
        if not len(outdated):
            return outdated, renewed
        if len(outdated) > 1:
            outdated = self._in_order(outdated)
        size = max(_SLICE_CELLS // max(self.values.shape[1], 1), _LEAST_SLICE)
        done = 0
        while done < len(outdated):
            # One slice in any case: a call that may do little gets on all the same.
            if done and self._work.spent:
                break
            part = outdated[done : done + size]
            self._renew(part, loss_of)
            done += len(part)
        if done == len(outdated) and self._behind:
            self._behind = bool((self._renewed < self._at)[self._index.state >= 0].any())
        return outdated[:done], renewed

    @property
    def bytes(self) -> int:
        """What it takes."""
        return self.values.nbytes + self.version.nbytes + self._renewed.nbytes

    def known(self, rows: Rows) -> NDArray[np.bool_]:
        """Of which rows all is known as it is now."""
        if self._at != self._class_versions.at or len(self.version) != len(self._index.version):
            return np.zeros(len(rows), dtype=np.bool_)
        found: NDArray[np.bool_] = self.version[rows] == self._index.version[rows]
        if self._behind:
            found &= self._renewed[rows] == self._at
        return found

    def ever(self, rows: Rows) -> NDArray[np.bool_]:
        """Which rows were worked out at all, if by what was before."""
        found: NDArray[np.bool_] = self._renewed[rows] > _NEVER
        return found

    def behind(self) -> NDArray[np.int32]:
        """The rows in use that are of older classes, or were never worked out."""
        if self._at == self._class_versions.at and not self._behind:
            return np.zeros(0, dtype=np.int32)
        used = self._index.state >= 0
        if len(self._renewed) == len(used):
            used &= self._renewed != self._class_versions.at
        return np.flatnonzero(used).astype(np.int32)

    def _outdated(self, rows: Rows) -> Rows:
        differs = self.version[rows] != self._index.version[rows]
        if self._behind:
            differs |= self._renewed[rows] != self._at
        found: Rows = rows[differs]
        return found

    def _in_order(self, rows: Rows) -> Rows:
        """Each of the rows once; those last that were tried, and not all of which was known."""
        if len(rows) <= _FEW:
            return np.array(sorted(set(rows.tolist())), dtype=rows.dtype)
        rows = np.unique(rows)
        tried = (self.version[rows] < 0) & (self._renewed[rows] == self._at)
        return np.concatenate([rows[~tried], rows[tried]])

    def _take_classes(self) -> bool:
        """Bring the arrays to the size of the index and the classes; whether either changed."""
        at, size = self._class_versions.at, len(self._index.version)
        if self._at == at and len(self.version) == size:
            return False
        width = len(self._class_versions.classes.weight)
        if len(self.version) != size:
            self.values = np.zeros((size, width))
            self.version = np.full(size, _NEVER, dtype=np.int64)
            self._renewed = self.version.copy()
        elif self.values.shape[1] != width:
            kept = min(self.values.shape[1], width)
            values = np.zeros((size, width))
            values[:, :kept] = self.values[:, :kept]
            self.values = values
        self._at, self._behind = at, True
        return True

    def _renew(self, rows: Rows, loss_of: LossFunction) -> None:
        """Work out a slice of rows: all columns, or the new ones of rows that are as they were."""
        width = self.values.shape[1]
        whole = rows
        if self._behind:
            same = self.version[rows] == self._index.version[rows]
            if same.any():
                columns = self._class_versions.since(int(self._renewed[rows[same]].min()))
                if 2 * len(columns) <= width:
                    whole = rows[~same]
                    self._renew_columns(rows[same], columns, loss_of)
        if len(whole):
            self._work.spend(len(whole) * width // _CELLS_A_UNIT)
            self._put(whole, loss_of(whole, None))
        self._renewed[rows] = self._at

    def _renew_columns(self, rows: Rows, columns: Ints, loss_of: LossFunction) -> None:
        if len(columns):
            self._work.spend(len(rows) * len(columns) // _CELLS_A_UNIT)
            found = loss_of(rows, columns)
            unknown = np.isnan(found).any(axis=1)
            self.values[np.ix_(rows, columns)] = np.nan_to_num(found)
            self.version[rows[unknown]] = -1

    def _put(self, rows: Rows, found: Floats) -> None:
        unknown = np.isnan(found)
        self.version[rows] = self._index.version[rows]
        if unknown.any():
            self.version[rows[unknown.any(axis=1)]] = -1
            found = np.nan_to_num(found)
        self.values[rows] = found


@dataclasses.dataclass(slots=True)
class _PodSizeLoss:
    """What pods of one size take from each row: by class, and priced."""

    by_class: RowClassMatrix
    loss: Floats
    prices: Floats | None = None  # that `loss` is of


class LossCache:
    """The losses of the pod sizes used of late; the least recently used is dropped.

    A size is (query, CPU, memory); `loss_of` of a size computes what it takes.
    """

    def __init__(
        self,
        cluster: index.TopologyIndex,
        class_versions: ClassVersions,
        spending: work.Work | None = None,
    ) -> None:
        self._index = cluster
        self._class_versions = class_versions
        self._work = spending
        self._sizes: dict[object, _PodSizeLoss] = {}  # size → what it takes, the latest last

    @property
    def figures(self) -> bounded_cache.Figures:
        """How much the cached matrices take."""
        used = sum(each.by_class.bytes + each.loss.nbytes for each in self._sizes.values())
        return bounded_cache.Figures("losses", used, _MOST_BYTES)

    @property
    def most(self) -> int:
        """How many sizes are kept."""
        width = len(self._class_versions.classes.weight) + _COLUMNS_BESIDE
        cells = max(len(self._index.version), 1) * width
        return max(_MOST_BYTES // (8 * cells), _LEAST_SIZES)

    def priced(self, size: object, rows: Rows, loss_of: LossFunction, *, prices: Floats) -> Floats:
        """The priced loss of placing such a pod on each row."""
        known = self._size(size)
        stale, renewed = known.by_class.refresh(rows, loss_of)
        if renewed or known.prices is not prices:
            known.loss = known.by_class.values @ prices
            known.prices = prices
        elif len(stale):
            known.loss[stale] = known.by_class.values[stale] @ prices
        found: Floats = known.loss[rows]
        if len(rows) > 1 and not (ever := known.by_class.ever(rows)).all():
            # What the call did not come to is taken for the mean of the others: no loss at all
            # would make it the best of them.
            found[~ever] = found[ever].mean()
        return found

    def by_class(self, size: object, rows: Rows, loss_of: LossFunction) -> Floats:
        """What such a pod takes from each row, per class, unpriced."""
        known = self._size(size)
        known.prices = None
        known.by_class.refresh(rows, loss_of)
        return known.by_class.values[rows]

    def knows(self, size: object, rows: Rows) -> NDArray[np.bool_]:
        """Of which rows the loss of this size is known as they are now."""
        known = self._sizes.get(size)
        return np.zeros(len(rows), dtype=np.bool_) if known is None else known.by_class.known(rows)

    def behind(self, size: object) -> NDArray[np.int32]:
        """The rows in use whose loss of this size is of older classes; none of an unknown size."""
        known = self._sizes.get(size)
        return np.zeros(0, dtype=np.int32) if known is None else known.by_class.behind()

    def _size(self, size: object) -> _PodSizeLoss:
        known = self._sizes.pop(size, None)
        if known is None:
            while len(self._sizes) >= self.most:
                del self._sizes[next(iter(self._sizes))]
            known = _PodSizeLoss(
                RowClassMatrix(self._index, self._class_versions, self._work), np.zeros(0)
            )
        self._sizes[size] = known
        return known
