"""Lays out the names of the index in memory in the order in which requests list them.

A request lists hundreds of names, and each is found by a look-up that reads the name and its row.
As they were read from the watch they lie all over the heap, and every one of them is a miss of the
processor's caches: of 5,000 nodes that is most of what filter takes. kube-scheduler lists nodes in
an order of its own, of which each request has a window that begins elsewhere. So names are copied
one behind the other in that order, and their rows as well, and runs of them are known at once
(`cluster.names.name_order`):

    requests list names far apart in memory ─▶ the order is learnt from some of them
                                            ─▶ a copy is made, a few hundred names a turn
    `index.rows` is replaced by the copy, which is equal to it

Nothing but time depends on it: without it, or when nodes have come and gone, look-ups are slower.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.cluster.names import name_order

_FEW = 64  # names of a request that tells nothing of the order; so few are quickly found
_CLOSE = 64  # positions apart that are close: a few pages
_CLOSE_SHARE = 0.5  # share of the steps between names that are close where the layout is good
# Requests that the order is learnt from. kube-scheduler's windows follow each other, so that ten of
# the default size are the whole order; the names that none of them had follow.
_LEARNT_FROM = 32
_ENOUGH = 0.95  # share of the names with which no more requests are awaited
# Where requests list names in no order, no layout helps: it is tried again after so many of them.
_APART = 4096
_NAMES_A_TURN = 256  # looked up and copied in less than half a millisecond


class NameLayout:
    """Sees which names requests list, and lays those of the index out when there is time."""

    def __init__(self, cluster: index.TopologyIndex) -> None:
        self._index = cluster
        # Requests to learn from, and how many names they have.
        self._asked: collections.deque[tuple[Sequence[str], NDArray[np.int32]]] = (
            collections.deque()
        )
        self._waiting = 0
        self._order: dict[str, None] = {}  # the names learnt, in the order in which they are asked
        self._learnt_from = 0  # requests
        self._until_next = 0  # requests that are not learnt from
        self._copying: Iterator[None] | None = None

    def see(self, names: Sequence[str], rows: NDArray[np.int32]) -> None:
        """Note a request's names, and their rows; nothing is done yet.

        Calls that follow each other leave no time for a turn in between: as many wait as have the
        names of the index once.
        """
        self._until_next -= 1
        wanted = self._until_next < 0 and self._waiting < len(self._index.rows)
        if wanted and len(names) >= _FEW:
            self._asked.append((names, rows))
            self._waiting += len(names)

    @property
    def unfinished(self) -> bool:
        """Whether there is something to do."""
        return self._copying is not None or bool(self._asked)

    def step(self) -> None:
        """Do a turn of it: less than half a millisecond."""
        if self._copying is None:
            self._learn()
        elif next(self._copying, self) is self:
            self._copying = None

    def _learn(self) -> None:
        if not self._asked:
            return
        names, rows = self._asked.popleft()
        self._waiting -= len(names)
        if not self._order and self._is_close(rows):
            return
        known = itertools.compress(names, (rows >= 0).tobytes())
        self._order.update(dict.fromkeys(known))
        self._learnt_from += 1
        enough = len(self._order) >= _ENOUGH * len(self._index.rows)
        if enough or self._learnt_from >= _LEARNT_FROM:
            self._asked.clear()
            self._waiting = 0
            self._copying = self._copies()

    def _is_close(self, rows: NDArray[np.int32]) -> bool:
        """Whether the names of these rows lie close to each other already."""
        positions = np.array([self._index.listed.position(row) for row in rows.tolist()])
        steps = np.abs(np.diff(positions[positions >= 0]))
        return int(np.count_nonzero(steps <= _CLOSE)) >= _CLOSE_SHARE * len(rows) > 0

    def _copies(self) -> Iterator[None]:
        """Copy in turns, and put the copy in the place of what the index has."""
        order, layout = self._order, self._index.layout
        self._order, self._learnt_from = {}, 0
        self._until_next = _APART
        turn = itertools.count(1)
        for name in self._index.rows:
            order.setdefault(name)
            if not next(turn) % _NAMES_A_TURN:
                yield
                if self._index.layout != layout:
                    self._until_next = 0
                    return
        laid_out: dict[str, int] = {}
        for name in order:
            row = self._index.rows.get(name)
            if row is not None:
                # Copies of both: new objects are one behind the other.
                laid_out["".join((name[:1], name[1:]))] = int(str(row))
            if not next(turn) % _NAMES_A_TURN:
                yield
                if self._index.layout != layout:
                    self._until_next = 0
                    return
        self._index.rows = laid_out
        self._index.listed = name_order.NameOrder(laid_out)
