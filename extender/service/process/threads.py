"""Work that takes long and awaits nothing, beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


async def run(work: Callable[[], _T]) -> _T:
    """What `work` returns or raises, from a thread that does not outlive the process.

    The loop's own executor is waited for at the end: Ctrl-C would then last as long as the work.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def finish(set_: Callable[[], None]) -> None:
        if not done.done():  # nobody waits any more where it was cancelled
            set_()

    def body() -> None:
        try:
            found = work()
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            failed = error
            say = lambda: finish(lambda: done.set_exception(failed))  # noqa: E731 - one of two
        else:
            say = lambda: finish(lambda: done.set_result(found))  # noqa: E731 - the other
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
            loop.call_soon_threadsafe(say)

    threading.Thread(target=body, name="reading", daemon=True).start()
    return await done
