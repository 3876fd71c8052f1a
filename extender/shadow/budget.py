"""How much of the processor a candidate policy may take."""

from __future__ import annotations

from collections.abc import Callable

# Seconds rested for each second of work. While calls come: at most 0.7 % of a core, so that of a
# hundred calls that follow upon a reply at once less than one meets a candidate at work, and the
# 99th percentile stays what it is. While none come there is nobody to hold up.
_REST = 150.0
_QUIET_REST = 16.0


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
        self.called = False  # whether a call has come since the last piece of work

    @property
    def free(self) -> bool:
        """Whether the candidate has rested enough."""
        return self._now() >= self._rest_until

    def charge(self, work: Callable[[], None]) -> None:
        """Do the work, and rest for it afterwards."""
        rest = _REST if self.called else _QUIET_REST
        before, self.called = self._spent(), False
        try:
            self._limit(work)
        finally:
            took = self._spent() - before
            self.seconds += took
            self._rest_until = self._now() + rest * took
