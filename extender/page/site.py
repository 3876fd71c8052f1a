"""The site: all pages and their files as routes, and the task that samples what is free."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable

from extender.page import cluster_pages, frame, pod_pages, rendering
from extender.page.fleet import charts, history
from extender.page.views import policy_view
from extender.server import admin_queries, admin_routes

_LOG = logging.getLogger(__name__)
_TURN_SECONDS = 0.002  # between two turns of a sample: nobody waits for it


class Site:
    """The pages over a service; `source` is asked at each request."""

    def __init__(
        self, source: Callable[[], frame.Source], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._frame = frame.Frame(source, clock=clock)
        self.history = history.History()
        self._cluster = cluster_pages.ClusterPages(self._frame, self.history)
        self._pods = pod_pages.PodPages(self._frame)

    def routes(self) -> tuple[admin_routes.Route, ...]:
        """The pages and what they load."""
        return (
            *self._cluster.routes(),
            *self._pods.routes(),
            self._frame.route("/history", self._over_time, "pool"),
            self._frame.route("/policy", self._policy),
            *(
                admin_routes.Route(
                    file.path,
                    functools.partial(_sent, file),
                    kind=file.kind,
                    fields=rendering.STATIC_FIELDS,
                    queued=True,
                )
                for file in rendering.files(self._frame.templates)
            ),
        )

    async def keep_history(self) -> None:
        """Sample what is free, for ever."""
        while True:
            try:
                await self._sample()
            except Exception:  # noqa: BLE001 - a sample is left out, the next one comes
                _LOG.exception("what is free was not sampled")
            await asyncio.sleep(history.EVERY_SECONDS if self.history.samples else 1.0)

    async def _sample(self) -> None:
        if self._frame.waiting:
            return
        judging, known = self._frame.judging(), self._frame.pools()
        for _ in self.history.sampling(judging, known, now=self._frame.clock()):
            await asyncio.sleep(_TURN_SECONDS)

    def _over_time(self, given: admin_routes.Parameters) -> admin_queries.Turns:
        self._frame.judging()
        yield
        title = given.get("pool", "")
        samples = [
            (sample.at, sample.pools.get(title) if title else sample.cluster)
            for sample in self.history.samples
        ]
        yield
        points = [(at, each) for at, each in samples if each is not None]
        drawn = charts.chart(
            (
                ("free", [(at, each.free) for at, each in points]),
                ("fragmented", [(at, each.fragmented) for at, each in points]),
                ("stranded", [(at, each.stranded) for at, each in points]),
            ),
            every=history.EVERY_SECONDS,
        )
        last = self.history.samples[-1] if self.history.samples else None
        return (yield from self._frame.shown(
            "history", section="history", crumbs=(("History", ""),), chart=drawn, title=title,
            pools=last.pools if last is not None else {}, samples=len(points),
        ))  # fmt: skip

    def _policy(self, _given: admin_routes.Parameters) -> admin_queries.Turns:
        judging = self._frame.judging()
        yield
        return (yield from self._frame.shown(
            "policy", section="policy", crumbs=(("Policy", ""),), in_force=judging.policy,
            written=policy_view.written(judging.policy),
        ))  # fmt: skip


def _sent(file: rendering.StaticFile, _given: admin_routes.Parameters) -> admin_queries.Turns:
    return rendering.sent(file)
