"""Samples the pools every half minute, in turns: for metrics, and for the page's history."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Generator, Mapping
from typing import Protocol

from extender.decisions import engine
from extender.pools import history, node_pools, pool_models
from extender.server.figures import pool_series

_LOG = logging.getLogger(__name__)
_TURN_SECONDS = 0.002  # between two turns: nobody waits for a sample
_FIRST_SECONDS = 1.0  # between two looks at whether there is anything to sample yet


class EngineSource(Protocol):
    """Who is asked: what the service serves."""

    engine: engine.Engine

    def waiting_for(self) -> Mapping[str, str]:
        """What must come before there is anything to sample."""


class PoolSampling:
    """Keeps the last sample and the history; `source` is asked at each sample."""

    def __init__(
        self, source: Callable[[], EngineSource], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._source = source
        self._clock = clock
        self._pools: node_pools.NodePools | None = None
        self.history = history.History()
        self.latest = pool_series.PoolSample()

    async def run(self) -> None:
        """Sample for ever."""
        while True:
            try:
                for _ in self.sampling():
                    await asyncio.sleep(_TURN_SECONDS)
            except Exception:  # noqa: BLE001 - a sample is left out, the next one comes
                _LOG.exception("the pools were not sampled")
            await asyncio.sleep(history.EVERY_SECONDS if self.latest.at else _FIRST_SECONDS)

    def sampling(self) -> Generator[None, None, None]:
        """Take one sample in turns, if there is anything to sample."""
        if self._source().waiting_for():
            return
        judging = self._source().engine
        if self._pools is None or self._pools.index is not judging.index:
            self._pools = node_pools.NodePools(judging.index)
        now = self._clock()
        yield from self.history.sampling(judging, self._pools, now=now)
        pools = yield from pool_models.measured(judging, self._pools)
        self.latest = pool_series.PoolSample(now, pools)
