"""`railyard` with somebody who watches its event loop and its garbage collector.

    python -m loadtests.performance.process.observed serve …

A tick every millisecond sees how much processor time the turns between two ticks took together, and
`gc.callbacks` how much each collection took. At SIGUSR2 the longest of both since the last one are
appended to the file that RAILYARD_OBSERVED names, in milliseconds. With RAILYARD_OBSERVED_STACKS a
thread looks at the loop's stack while a turn is long, and the longest turn's is reported as well:
that takes time of its own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import pathlib
import signal
import sys
import threading
import time
import traceback
from typing import Any

from extender.cli import entry
from extender.service.process import serving

_OUTPUT = "RAILYARD_OBSERVED"
_STACKS = "RAILYARD_OBSERVED_STACKS"
_TICK_SECONDS = 0.001
_LONG_SECONDS = 0.004  # from which on a turn's stack is looked at


class Observer:
    """The longest turn and the longest collection, in seconds of processor time."""

    def __init__(self) -> None:
        self.turn = self.pause = 0.0
        self.collections = 0
        self.where: list[str] = []  # stacks in the longest turn
        self._began = 0.0
        self._turn_began = time.monotonic()
        self._seen: list[str] = []  # stacks in this turn

    def collected(self, phase: str, _info: dict[str, Any]) -> None:
        if phase == "start":
            self._began = time.thread_time()
            return
        self.collections += 1
        self.pause = max(self.pause, time.thread_time() - self._began)

    async def tick(self) -> None:
        while True:
            began, self._seen = time.thread_time(), []
            self._turn_began = time.monotonic()
            await asyncio.sleep(_TICK_SECONDS)
            took = time.thread_time() - began
            if took > self.turn:
                self.turn, self.where = took, self._seen

    def look(self, thread: int) -> None:
        """Note what a long turn is doing; for a thread of its own."""
        while True:
            time.sleep(_TICK_SECONDS)
            if time.monotonic() - self._turn_began < _LONG_SECONDS:
                continue
            frames = traceback.extract_stack(sys._current_frames()[thread])  # noqa: SLF001
            ours = [f"{each.name}:{each.lineno}" for each in frames if "extender" in each.filename]
            self._seen.append(" < ".join(reversed(ours)))

    def tell(self) -> None:
        reported = {
            "turn_ms": round(1000 * self.turn, 2),
            "gc_ms": round(1000 * self.pause, 2),
            "collections": self.collections,
            **({"where": self.where} if self.where else {}),
        }
        with pathlib.Path(os.environ[_OUTPUT]).open("a") as file:
            file.write(json.dumps(reported) + "\n")
        self.turn, self.pause, self.collections, self.where = 0.0, 0.0, 0, []


def main() -> int:
    observer, serve = Observer(), serving._serve  # noqa: SLF001 - it has no other door

    async def observed(settings):
        gc.callbacks.append(observer.collected)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, observer.tell)
        ticking = asyncio.create_task(observer.tick())
        if os.environ.get(_STACKS):
            sys.setswitchinterval(0.0002)
            here = threading.main_thread().ident
            threading.Thread(target=observer.look, args=(here,), daemon=True).start()
        try:
            await serve(settings)
        finally:
            ticking.cancel()

    serving._serve = observed  # noqa: SLF001
    return entry.main()


if __name__ == "__main__":
    sys.exit(main())
