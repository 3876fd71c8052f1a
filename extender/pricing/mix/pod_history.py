"""The recent pods by creation time, whatever order they arrived in.

Only the newest count, and of one namespace only so many before those of others: what it requests
beyond that counts as older than everything else. Which pods count, and in which order, follows from
the set of pods observed, so that replicas agree.
"""

from __future__ import annotations

import bisect
from collections import Counter
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.int64]
Age: TypeAlias = tuple[str, ...]  # what pods are sorted by, the oldest first

_SPARE = 1.25  # of `most`: spare capacity before pods that do not count are dropped


class PodHistory:
    """At most `most` pods count; each has the number of its demand and of its group (-1: none)."""

    def __init__(self, *, most: int) -> None:
        self.most = most
        self.seen = 0
        self._size = 0
        capacity = int(most * _SPARE) + 2
        self._ages: list[Age] = []
        self._uids: list[str] = []
        self._known: set[str] = set()
        self._columns = np.zeros((3, capacity), dtype=np.int64)  # demand, namespace, group
        self._namespaces: dict[str, int] = {}
        self._groups: dict[str, int] = {}
        self._of: Counter[int] = Counter()  # namespace → its pods

    def __contains__(self, uid: str) -> bool:
        return uid in self._known

    def __len__(self) -> int:
        return self._size

    def add(self, uid: str, kind: int, *, age: Age | None, namespace: str, group: str) -> None:
        """Add a pod that is new; without an age it is the newest."""
        if self._size == self._columns.shape[1]:
            self._drop()
        age = age if age is not None else (self._ages[-1] if self._ages else ())
        position = bisect.bisect_right(self._ages, age)
        if position < self._size:
            self._columns[:, position + 1 : self._size + 1] = self._columns[
                :, position : self._size
            ]
        owner = self._namespaces.setdefault(namespace, len(self._namespaces))
        gang = self._groups.setdefault(group, len(self._groups)) if group else -1
        self._columns[:, position] = kind, owner, gang
        self._ages.insert(position, age)
        self._uids.insert(position, uid)
        self._known.add(uid)
        self._of[owner] += 1
        self._size += 1
        self.seen += 1

    def counted(self, first: int) -> tuple[Numbers, Numbers]:
        """Demands and groups of the pods that count, the newest first.

        The `first` newest of each namespace come before all others.
        """
        order = self._order(first)[: self.most]
        return self._columns[0, order], self._columns[2, order]

    def _order(self, first: int) -> Numbers:
        newest = np.arange(self._size - 1, -1, -1)
        over = [owner for owner, pods in self._of.items() if pods > first]
        if not over or len(self._of) == 1:
            return newest
        owners = self._columns[1, newest]
        late = np.zeros(self._size, dtype=np.bool_)
        for owner in over:
            late[np.flatnonzero(owners == owner)[first:]] = True
        return np.concatenate([newest[~late], newest[late]])

    def drop_beyond(self, first: int) -> None:
        """Forget the pods that do not count, if there are many."""
        if self._size == self._columns.shape[1]:
            self._drop(first)

    def _drop(self, first: int | None = None) -> None:
        kept = np.sort(self._order(first if first is not None else self.most)[: self.most])
        self._columns[:, : len(kept)] = self._columns[:, kept]
        positions = kept.tolist()
        self._ages = [self._ages[position] for position in positions]
        self._uids = [self._uids[position] for position in positions]
        self._known = set(self._uids)
        self._size = len(kept)
        self._of = Counter(self._columns[1, : self._size].tolist())
        self._renumber()

    def _renumber(self) -> None:
        """Forget the names of namespaces and groups of which no pod is left."""
        for row, names in ((1, self._namespaces), (2, self._groups)):
            column = self._columns[row, : self._size]
            left = {
                number: position
                for position, number in enumerate(np.unique(column[column >= 0]).tolist())
            }
            kept = {name: left[number] for name, number in names.items() if number in left}
            names.clear()
            names.update(kept)
            column[column >= 0] = [left[number] for number in column[column >= 0].tolist()]
        self._of = Counter(self._columns[1, : self._size].tolist())

    def kinds(self) -> set[int]:
        """The demand numbers in use."""
        return set(np.unique(self._columns[0, : self._size]).tolist())

    def renumber_kinds(self, number_of: dict[int, int]) -> None:
        """Renumber the demands."""
        column = self._columns[0, : self._size]
        column[:] = [number_of[number] for number in column.tolist()]
