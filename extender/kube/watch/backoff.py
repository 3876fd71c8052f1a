"""How long to wait before the API server is asked again."""

from __future__ import annotations

import asyncio
import random

# client-go's reflector (tools/cache/reflector.go), but for the cap: its 30 to 60 s between requests
# keep a kind stale for a minute after an outage. With 12 to 24 s, and some for the list, no outage
# outlives itself by more than 35 s, and a broken server still gets one request in 18 s per kind.
FIRST_SECONDS = 0.8
FACTOR = 2.0
CAP_SECONDS = 12.0
JITTER = 1.0  # up to this share of the delay is added, so that many clients spread
RESET_SECONDS = 120.0  # so long without a failure, the next one starts small again


class Backoff:
    """Delays that grow with each failure and start anew after two quiet minutes.

    Time is that of the running loop. One instance is shared by the lists and watches of a kind.
    """

    def __init__(self, *, rng: random.Random) -> None:
        self._rng = rng
        self._delay = FIRST_SECONDS
        self._last = float("-inf")

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        now = asyncio.get_running_loop().time()
        if now - self._last > RESET_SECONDS:
            self._delay = FIRST_SECONDS
        delay = self._delay
        self._delay = min(delay * FACTOR, CAP_SECONDS)
        jittered = delay * (1 + JITTER * self._rng.random())
        # The wait itself is not quiet time, else the longest waits would reset what made them.
        self._last = now + jittered
        return jittered
