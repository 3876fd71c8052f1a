"""Ends the pauses of all kinds once one of them hears the API server again.

Each kind backs off by itself, up to 24 s. They share one server: when it is back for one of them
there is nothing to wait for, and the picture of the cluster is whole again that much sooner.
"""

from __future__ import annotations

import asyncio


class Recovery:
    """Pauses that end early."""

    def __init__(self) -> None:
        self._pausing: set[asyncio.Event] = set()

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until somebody hears the server."""
        heard = asyncio.Event()
        self._pausing.add(heard)
        waits = (asyncio.ensure_future(asyncio.sleep(seconds)), asyncio.ensure_future(heard.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pausing.discard(heard)
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def heard(self) -> None:
        """The server answers again."""
        for each in self._pausing:
            each.set()
