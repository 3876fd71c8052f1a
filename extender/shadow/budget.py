"""How much of the processor a candidate policy may take."""

from __future__ import annotations

from collections.abc import Callable

# Seconds rested for each second of work: at most 3 % of a core, so that of a hundred calls that
# follow upon a reply at once three meet a candidate at work.
_REST = 32.0


class Budget:
    """`now` tells the time, `spent` the processor time of this thread, both in seconds.

    `limit` does one piece of work, and stops it (StoppedError) where it takes far too long.
    """

    def __init__(
        self,
        now: Callable[[], float],
        spent: Callable[[], float],
        limit: Callable[[Callable[[], None]], None] = lambda work: work(),
    ) -> None:
        self._limit = limit
        self._now, self._spent = now, spent
        self._rest_until = 0.0
        self.seconds = 0.0  # of processor time, in all

    @property
    def free(self) -> bool:
        """Whether the candidate has rested enough."""
        return self._now() >= self._rest_until

    def charge(self, work: Callable[[], None]) -> None:
        """Do the work, and rest for it afterwards."""
        before = self._spent()
        try:
            self._limit(work)
        finally:
            took = self._spent() - before
            self.seconds += took
            self._rest_until = self._now() + _REST * took
