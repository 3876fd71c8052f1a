"""The site: all pages and their files as routes."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from extender.page import cluster_pages, frame, pod_pages, policy_pages, rendering
from extender.page.fleet import charts
from extender.page.views import pending
from extender.pools import history
from extender.server import admin_routes, admin_turns


class Site:
    """The pages over a service; `source` is asked at each request, `samples` are of its pools."""

    def __init__(
        self,
        source: Callable[[], frame.Source],
        samples: history.History,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._frame = frame.Frame(source, clock=clock)
        self.history = samples
        groups = pending.Groups(clock)
        self._cluster = cluster_pages.ClusterPages(self._frame, self.history, groups)
        self._pods = pod_pages.PodPages(self._frame, groups)
        self._policies = policy_pages.PolicyPages(self._frame)

    def routes(self) -> tuple[admin_routes.Route, ...]:
        """The pages and what they load."""
        return (
            *self._cluster.routes(),
            *self._pods.routes(),
            self._frame.route("/history", self._over_time, "pool"),
            *self._policies.routes(),
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

    def _over_time(self, given: admin_routes.Parameters) -> admin_turns.Turns:
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
            "history", section="history", crumbs=(("Over time", ""),), chart=drawn, title=title,
            pools=last.pools if last is not None else {}, samples=len(points),
        ))  # fmt: skip


def _sent(file: rendering.StaticFile, _given: admin_routes.Parameters) -> admin_turns.Turns:
    return rendering.sent(file)
