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
# is silent for longer than this can still be resumed. It need not be dead: where etcd reports no
# progress (its own default is every 10 minutes) a kind that does not change gets no bookmarks.
SECONDS = 70.0


class SilentError(errors.UnreachableError):
    """Nothing was heard for too long."""


class Silence:
    """A deadline that moves with every sign of life; one piece of work at a time.

    `clock` is monotonic, in seconds; `sleep` waits on it, `patience` seconds after the last sign.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
        patience: float = SECONDS,
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._last = 0.0

    def heard(self) -> None:
        """Something came."""
        self._last = self._clock()

    async def guard(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What `work` returns or raises; `SilentError` once nothing was heard for too long."""
        self.heard()
        task, alarm = asyncio.ensure_future(work), asyncio.ensure_future(self._lapse())
        try:
            await asyncio.wait((task, alarm), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise SilentError(f"nothing heard for {self._patience:g} s")
            return task.result()
        finally:
            task.cancel()
            alarm.cancel()
            await asyncio.gather(task, alarm, return_exceptions=True)

    async def _lapse(self) -> None:
        while (rest := self._last + self._patience - self._clock()) > 0:
            await self._sleep(rest)
