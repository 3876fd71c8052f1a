"""Stops work that takes too much processor time, while it works, on the one thread that there is.

The clock is the process's own processor time: a machine that is busy with other things stops
nothing. Work that waits in a call of another language (a regular expression, an array) is stopped
when the call returns.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from extender import errors


class Watchdog:
    """A limit in seconds; without effect outside of the main thread, which alone has signals."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._armed = False
        self._ready = threading.current_thread() is threading.main_thread()
        if self._ready:
            signal.signal(signal.SIGVTALRM, self._expired)

    def limit(self, work: Callable[[], None]) -> None:
        """Do the work; StoppedError where it takes longer than the limit."""
        if not self._ready or self._armed:
            work()
            return
        self._armed = True
        signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds)
        try:
            work()
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)

    def _expired(self, *_: object) -> None:
        if self._armed:
            self._armed = False
            raise errors.StoppedError(f"more than {self._seconds:g} s of processor time")
