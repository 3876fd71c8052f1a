"""How much of the processor a candidate policy may take."""

from __future__ import annotations

from collections.abc import Callable

# Percent of a core. While calls come so little that of a hundred calls that follow upon a reply at
# once less than one meets a candidate at work, and the 99th percentile stays what it is. While
# none come there is nobody to hold up.
PERCENT = 0.7
_QUIET_PERCENT = 6.0


class Budget:
    """`now` tells the time, `spent` the processor time of this thread, both in seconds.

    `limit` does one piece of work, and stops it (StoppedError) where it takes far too long;
    `percent` of a core is what it may take while calls come.
    """

    def __init__(
        self,
        now: Callable[[], float],
        spent: Callable[[], float],
        limit: Callable[[Callable[[], None]], None] = lambda work: work(),
        *,
        percent: float = PERCENT,
    ) -> None:
        self._percent = percent
        self._limit = limit
        self._now, self._spent = now, spent
        self._rest_until = 0.0
        self.seconds = 0.0  # of processor time, in all
        self.called = False  # whether a call has come since the last piece of work

    @property
    def free(self) -> bool:
        """Whether the candidate has rested enough."""
        return self._now() >= self._rest_until

    def charge(self, work: Callable[[], None]) -> None:
        """Do the work, and rest for it afterwards."""
        percent = self._percent if self.called else max(self._percent, _QUIET_PERCENT)
        before, self.called = self._spent(), False
        try:
            self._limit(work)
        finally:
            took = self._spent() - before
            self.seconds += took
            self._rest_until = self._now() + (100.0 / percent - 1.0) * took
