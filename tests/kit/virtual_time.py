"""An event loop whose time stands still until a test moves it on.

Sockets are real, and so are pauses up to REAL_SECONDS, which fakes make, and aiohttp's own timers:
a connection that is being made must not be late because a test let an hour pass. Whoever else waits
longer waits for `Clock.advance`. A module of tests runs in it by `LOOP = virtual_time.Loop`.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
import sys
import time

REAL_SECONDS = 0.2
_TURN_SECONDS = 0.001  # that the loop waits for sockets before it looks at the time again


class _Selector(selectors.DefaultSelector):
    """Waits for sockets a turn at the most, however far the next timer is."""

    def __init__(self):
        super().__init__()
        self.after = None  # what hears whether there was nothing

    def select(self, timeout=None):
        most = _TURN_SECONDS if timeout is None else min(timeout, _TURN_SECONDS)
        found = super().select(most)
        if self.after:
            self.after(idle=most > 0 and not found)
        return found


class Loop(asyncio.SelectorEventLoop):
    """`now` is its time; only `Clock.advance` moves it."""

    def __init__(self):
        selector = _Selector()
        super().__init__(selector)
        selector.after = self._looked
        self.now = 10_000.0
        self._short = []  # heap of (real deadline, number, handle)
        self._numbers = itertools.count()
        self._quiet = []  # futures of those who wait until nothing is under way

    def time(self):
        return self.now

    def call_at(self, when, callback, *args, context=None):
        if when - self.now > REAL_SECONDS and not _set_by_aiohttp():
            return super().call_at(when, callback, *args, context=context)
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        deadline = time.monotonic() + max(when - self.now, 0.0)
        heapq.heappush(self._short, (deadline, next(self._numbers), handle))
        return handle

    def _looked(self, *, idle):
        """The sockets were looked at, and had nothing if `idle`: nobody was ready to run either."""
        now = time.monotonic()
        while self._short and self._short[0][0] <= now:
            handle = heapq.heappop(self._short)[2]
            if not handle.cancelled():
                self._ready.append(handle)
        soon = any(at <= now + REAL_SECONDS and not h.cancelled() for at, _, h in self._short)
        if idle and not soon and not self._ready:
            quiet, self._quiet = self._quiet, []
            for each in quiet:
                if not each.done():
                    each.set_result(None)

    async def quiet(self):
        """Wait until all that was under way is done but for what waits for a later time."""
        future = self.create_future()
        self._quiet.append(future)
        await future

    def deadlines(self):
        """When each timer is due."""
        return [handle.when() for handle in self._scheduled if not handle.cancelled()]

    def sleeps(self):
        """When each sleep ends that a test has to let pass."""
        sleeping = asyncio.futures._set_result_unless_cancelled
        return [
            handle.when()
            for handle in self._scheduled
            if handle._callback is sleeping
            and not (handle.cancelled() or handle._args[0].done())  # ended, and not run since
        ]


def _set_by_aiohttp():
    """Whether the first frame outside of asyncio is one of aiohttp's."""
    frame = sys._getframe(2)
    while frame.f_globals["__name__"].startswith("asyncio."):
        frame = frame.f_back
    return frame.f_globals["__name__"].startswith("aiohttp.")


class Clock:
    """The time of the running loop, as tests see and move it."""

    def __init__(self):
        self._loop = asyncio.get_running_loop()

    def __call__(self):
        return self._loop.now

    @property
    def now(self):
        return self._loop.now

    def advance(self, seconds):
        self._loop.now += seconds

    async def let_pass(self, seconds):
        """Let time pass, from one deadline to the next, each once nothing is under way."""
        end = self.now + seconds
        while self.now < end:
            await self._loop.quiet()
            later = [at for at in self._loop.deadlines() if self.now < at < end]
            self._loop.now = min(later, default=end)
        await self._loop.quiet()

    @property
    def asleep(self):
        """Whether anybody waits."""
        return any(end > self.now for end in self._loop.sleeps())

    @property
    def longest_sleep(self):
        """How long whoever waits longest still waits, in seconds."""
        return max((end - self.now for end in self._loop.sleeps()), default=0)

    @property
    def next_deadline(self):
        return min(end for end in self._loop.sleeps() if end > self.now)
