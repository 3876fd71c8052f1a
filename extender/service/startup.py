"""Two open ports, and the reading behind them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
from collections.abc import AsyncIterator, Coroutine

from extender import errors
from extender.server.http import listeners
from extender.service import served_engine


@dataclasses.dataclass(frozen=True, slots=True)
class OpenedService:
    """A service whose ports are open, and the task that reads what it answers from.

    `reading` ends once a snapshot was read; that of a cluster goes on. It fails where there is no
    use in going on.
    """

    sites: listeners.Listeners
    front: served_engine.ServedEngine
    reading: asyncio.Task[None]


@contextlib.asynccontextmanager
async def opened(
    sites: listeners.Listeners,
    front: served_engine.ServedEngine,
    reading: Coroutine[None, None, None],
) -> AsyncIterator[OpenedService]:
    """Open the ports, then read; ConfigError where a port cannot be had."""
    try:
        await sites.start()
    except OSError as error:
        reading.close()
        problem = [("", error.strerror or str(error))]
        raise errors.ConfigError("the ports cannot be opened", problem) from error
    task = asyncio.create_task(reading, name="reading")
    sampling = asyncio.create_task(front.sampling.run(), name="sampling")
    try:
        yield OpenedService(sites, front, task)
    finally:
        task.cancel()
        sampling.cancel()
        await asyncio.gather(task, sampling, return_exceptions=True)
        await sites.close()


def settled_memory() -> None:
    """What was read stays: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
