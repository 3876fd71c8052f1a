"""Notices a connection on which nothing comes any more.

HTTP/1.1 has no pings, and TCP may take half an hour to give up on a path that swallows packets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from extender import errors

_T = TypeVar("_T")

# The API server sends a bookmark about every 60 s and keeps events for at least 75 s: a watch that
# is silent for longer than this is dead, and can still be resumed.
SECONDS = 70.0


class Silence:
    """A deadline that moves with every sign of life; one piece of work at a time.

    `clock` is monotonic, in seconds; `sleep` waits on it.
    """

    def __init__(
        self, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[object]]
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._last = 0.0

    def heard(self) -> None:
        """Something came."""
        self._last = self._clock()

    async def guard(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What `work` returns or raises; `UnreachableError` once nothing was heard for 70 s."""
        self.heard()
        task, alarm = asyncio.ensure_future(work), asyncio.ensure_future(self._lapse())
        try:
            await asyncio.wait((task, alarm), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise errors.UnreachableError(f"nothing heard for {SECONDS:g} s")
            return task.result()
        finally:
            task.cancel()
            alarm.cancel()
            await asyncio.gather(task, alarm, return_exceptions=True)

    async def _lapse(self) -> None:
        while (rest := self._last + SECONDS - self._clock()) > 0:
            await self._sleep(rest)
