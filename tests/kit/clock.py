"""Time that moves only when a test says so."""

from __future__ import annotations

import asyncio


class Clock:
    """Call it for the seconds; `sleep` waits until `advance` has brought the time."""

    def __init__(self, now=10_000.0):
        self.now = now
        self._sleepers = []  # (deadline, future)

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        future = asyncio.get_running_loop().create_future()
        sleeper = (self.now + seconds, future)
        self._sleepers.append(sleeper)
        try:
            await future
        finally:
            self._sleepers.remove(sleeper)

    @property
    def asleep(self):
        """Whether anybody waits."""
        return any(not future.done() for _, future in self._sleepers)

    @property
    def longest_sleep(self):
        """How long whoever waits longest still waits, in seconds."""
        return max(
            (end - self.now for end, future in self._sleepers if not future.done()), default=0
        )

    @property
    def next_deadline(self):
        return min(deadline for deadline, future in self._sleepers if not future.done())

    def advance(self, seconds):
        self.now += seconds
        for deadline, future in self._sleepers:
            if deadline <= self.now and not future.done():
                future.set_result(None)


async def eventually(condition, what="it"):
    """Wait until `condition()` holds, and fail if it does not within seconds of real time."""
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError(f"{what} did not happen")
