"""Notices a connection on which nothing comes any more.

HTTP/1.1 has no pings, and TCP may take half an hour to give up on a path that swallows packets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from extender import errors

_T = TypeVar("_T")

# The API server sends a bookmark about every 60 s and keeps events for at least 75 s: a watch that
# is silent for longer than this can still be resumed. It need not be dead: where etcd reports no
# progress (its own default is every 10 minutes) a kind that does not change gets no bookmarks.
SECONDS = 70.0
# A watch is accepted or refused at once, or after 15 s in the API server's own queue (priority and
# fairness: a quarter of the request timeout). A server that says nothing for longer is down.
ANSWER_SECONDS = 20.0
# A body that drips is as good as silent: a sign of life is a whole line, or so many bytes.
LEAST_BYTES = 4 << 10
# Signs come by the thousand: the deadline is moved for those that are so far apart.
_SLACK_SECONDS = 0.05


class IdleTimeoutError(errors.UnreachableError):
    """Nothing was heard for too long."""


class IdleTimeout:
    """A deadline that moves with every sign of life; one piece of work at a time.

    It is `patience` seconds after the last sign, by the loop's time.
    """

    def __init__(self, *, patience: float = SECONDS) -> None:
        self._patience = self._usual = patience
        self._deadline: asyncio.Timeout | None = None  # while work is guarded
        self._set = 0.0  # when the deadline was set
        self._dripped = 0  # bytes since the last sign of life

    def heard(self) -> None:
        """A sign of life came."""
        self._dripped = 0
        now = asyncio.get_running_loop().time()
        if self._deadline is not None and now - self._set >= _SLACK_SECONDS:
            self._set = now
            self._deadline.reschedule(now + self._patience)

    def answered(self) -> None:
        """The server has begun to answer: from now on the usual patience holds."""
        self._patience, self._set = self._usual, float("-inf")
        self.heard()

    def received(self, size: int) -> None:
        """So many bytes of a body came."""
        self._dripped += size
        if self._dripped >= LEAST_BYTES:
            self.heard()

    async def guard(self, work: Coroutine[Any, Any, _T], *, answer: float | None = None) -> _T:
        """What `work` returns or raises; `IdleTimeoutError` once nothing was heard for too long.

        `answer` is how long the beginning of the answer may take, where that is less.
        """
        self._patience = min(self._usual, answer or self._usual)
        self._dripped = 0
        deadline = asyncio.timeout(self._patience)
        try:
            async with deadline as self._deadline:
                self._set = asyncio.get_running_loop().time()
                return await work
        except TimeoutError:
            if not deadline.expired():
                raise  # the work's own
            raise IdleTimeoutError(f"nothing heard for {self._patience:g} s") from None
        finally:
            self._deadline = None
