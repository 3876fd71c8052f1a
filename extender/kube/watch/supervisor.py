"""Keeps background tasks running: one that fails is logged, counted and started again.

A task group ends with the first failure of any of its tasks, and the process with it. A service
that answers from what it holds is worth more than one that is gone.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable

from extender.kube.watch import backoff

_log = logging.getLogger(__name__)

# A task that ran so long since its last failure has recovered. Longer than the longest pause
# between two starts, so that one that fails at every start is logged all the time.
_RECOVERED_SECONDS = 60.0


class Supervisor:
    """Starts tasks again with growing pauses, by the time of the running loop."""

    def __init__(
        self,
        *,
        rng: random.Random | None = None,
    ) -> None:
        self._rng = rng or random.Random()  # noqa: S311 - spreads restarts, guards nothing
        self.restarts: Counter[str] = Counter()  # task → failures that were followed by a restart
        self._failed: dict[str, tuple[float, str]] = {}  # task → when it failed last, and why

    async def keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` until it returns; start it again whenever it raises an Exception."""
        waits = backoff.Backoff(rng=self._rng)
        self.restarts[name] += 0
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - what this class is for; logged with its trace
                _log.exception("the task %s failed and is started again", name)
                self.restarts[name] += 1
                self._failed[name] = (_now(), f"{type(error).__name__}: {error}"[:200])
            else:
                return
            await asyncio.sleep(waits.next())

    def failing(self) -> dict[str, str]:
        """Task → why it was started again, for those that failed within the last minute."""
        since = _now() - _RECOVERED_SECONDS
        return {
            name: f"started again after {why} ({self.restarts[name]} times)"
            for name, (when, why) in self._failed.items()
            if when > since
        }


def _now() -> float:
    return asyncio.get_running_loop().time()
