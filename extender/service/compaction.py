"""Drops the states that no node is in any more, when nothing else is to be done.

Every decision adds a few states, and a hostile class many. Numbering them anew drops all tables, so
it is done seldom: where most are history, or once a class that they may stem from is gone.
"""

from __future__ import annotations

from collections.abc import Callable

from extender.cluster import index

_SECONDS = 60.0  # between two of them: the next request judges again what it meets
_FEW = 4096  # states that take a few MB, however many are history
_HISTORY = 4  # states for each node, above which most are history


class Compaction:
    """Numbers the states of an index anew; `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock() - _SECONDS
        self._gone = 0  # classes gone when it was last done

    def step(self, of: index.TopologyIndex) -> bool:
        """Do it if it is worth while now; whether it was done."""
        now = self._clock()
        worth = self._gone != of.store.classes_gone or len(of.states) > max(
            _FEW, _HISTORY * len(of.rows)
        )
        if not worth or now - self._last < _SECONDS:
            return False
        self._last, self._gone = now, of.store.classes_gone
        of.compact()
        return True
