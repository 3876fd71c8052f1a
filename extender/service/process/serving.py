"""The process: it serves until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from typing import Any

import uvloop

from extender.service import live
from extender.service.process import large_blocks, logs, stopping
from extender.settings import Settings

_LOG = logging.getLogger(__name__)

# What was read is frozen (`startup.settled_memory`), so a collection looks at what came since: at
# 2,000 objects in a tenth of a millisecond, every fifth time at what is left of 10,000. Of 25,000,
# where a hostile claim left most, one took 7 ms; of 100,000, as a relist makes them, 20. A full one
# finds little, and shall come seldom.
_GC_THRESHOLDS = (2_000, 5, 2_500)


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit status is 0."""
    with stopping.at_once():
        logs.set_up(settings.log_level)
        gc.set_threshold(*_GC_THRESHOLDS)
        large_blocks.give_back()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings))
    return 0


async def _serve(settings: Settings) -> None:
    async with live.ports(settings) as service:
        with stopping.asked() as first:
            sites, signalled = service.sites, first()
            _LOG.info("verbs on %s, questions on %s", sites.bound, sites.admin_bound)
            either: list[asyncio.Future[Any]] = [signalled, service.reading]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if service.reading.done():
                service.reading.result()
            number = await signalled
            _LOG.info("stopping")
            # Who presses Ctrl-C waits for the end, and no endpoints have to move. Nobody calls
            # what is not ready.
            if number == signal.SIGTERM and not (settings.snapshot or service.front.waiting_for()):
                await sites.drain()
