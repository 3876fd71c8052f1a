"""What SIGTERM and SIGINT do, from the first moment to the last.

Until both ports are open there is nothing to finish: a signal ends the process where it stands, be
it in a read that never returns. From then on the first signal asks for the end, and a second one
ends the process where it stands. Where it stands may be anywhere, also where an exception would be
swallowed or break what is half done: so it is no exception.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_KILLED = 128  # a shell's exit status for a process that a signal ended, less the signal's number


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


def _leave_at_once(number: int, _frame: FrameType | None) -> None:
    os._exit(_KILLED + number)


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """While inside, a signal ends the process with status 0."""
    with _handled(_leave):
        yield


@contextlib.contextmanager
def asked() -> Iterator[Callable[[], asyncio.Future[int]]]:
    """While inside, the first signal completes a future with its number; the second one exits.

    Yields what returns that future. Needs a running loop.
    """
    loop = asyncio.get_running_loop()
    first: asyncio.Future[int] = loop.create_future()

    def note(number: int, _frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, _leave_at_once)
        # Handlers run between two instructions of whatever runs: the loop decides when.
        loop.call_soon_threadsafe(_complete, first, number)

    with _handled(note):
        yield lambda: first


def _complete(first: asyncio.Future[int], number: int) -> None:
    if not first.done():
        first.set_result(number)


@contextlib.contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
