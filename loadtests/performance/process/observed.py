"""`railyard` with somebody who watches its event loop and its garbage collector.

    python -m loadtests.performance.process.observed serve …

A tick every millisecond sees how much processor time the turns between two ticks took together, and
`gc.callbacks` how much each collection took. At SIGUSR2 the longest of both since the last one are
appended to the file that RAILYARD_OBSERVED names, in milliseconds.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import pathlib
import signal
import sys
import time
from typing import Any

from extender.cli import entry
from extender.service.process import serving

_OUTPUT = "RAILYARD_OBSERVED"
_TICK_SECONDS = 0.001


class Observer:
    """The longest turn and the longest collection, in seconds of processor time."""

    def __init__(self) -> None:
        self.turn = self.pause = 0.0
        self.collections = 0
        self._began = 0.0

    def collected(self, phase: str, _info: dict[str, Any]) -> None:
        if phase == "start":
            self._began = time.thread_time()
            return
        self.collections += 1
        self.pause = max(self.pause, time.thread_time() - self._began)

    async def tick(self) -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(_TICK_SECONDS)
            self.turn = max(self.turn, time.thread_time() - began)

    def tell(self) -> None:
        told = {
            "turn_ms": round(1000 * self.turn, 2),
            "gc_ms": round(1000 * self.pause, 2),
            "collections": self.collections,
        }
        with pathlib.Path(os.environ[_OUTPUT]).open("a") as file:
            file.write(json.dumps(told) + "\n")
        self.turn, self.pause, self.collections = 0.0, 0.0, 0


def main() -> int:
    observer, serve = Observer(), serving._serve  # noqa: SLF001 - it has no other door

    async def observed(settings):
        gc.callbacks.append(observer.collected)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, observer.tell)
        ticking = asyncio.create_task(observer.tick())
        try:
            await serve(settings)
        finally:
            ticking.cancel()

    serving._serve = observed  # noqa: SLF001
    return entry.main()


if __name__ == "__main__":
    sys.exit(main())
