"""The pages: which address shows what. Each answer is worked out in turns, like all questions."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import logging
import time
from collections.abc import Callable, Generator
from typing import Protocol

import orjson

from extender import errors
from extender.decisions import engine
from extender.page import rendering
from extender.page.fleet import charts, cluster_map, gpu_states, history, places, pool_figures
from extender.page.views import node_view, pending, pod_view, policy_view, pool_view
from extender.server import admin_queries, admin_routes, metrics

_LOG = logging.getLogger(__name__)
_TURN_SECONDS = 0.002  # between two turns of a sample: nobody waits for it
_MOST_PODS = 200  # of a list
_MOST_STRIPS = 48  # nodes of a pool whose GPUs the overview shows one by one
_SEARCHED = 50  # nodes of a search


class Source(Protocol):
    """Who is asked: the facade of the service."""

    engine: engine.Engine

    def standing(self) -> metrics.ClusterFigures:
        """How ready we are, and which policy is in force."""


class Site:
    """The pages over a service; `source` is asked at each request."""

    def __init__(
        self, source: Callable[[], Source], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._source = source
        self._clock = clock
        self._templates = rendering.templates()
        self._drawings = cluster_map.Drawings()
        self._places: places.Places | None = None
        self.history = history.History()

    def routes(self) -> tuple[admin_routes.Route, ...]:
        """The pages and what they load."""
        return (
            self._page("/", self._overview, kept=True),
            self._page("/pools/", self._pool, "q", "state", "group", "page"),
            self._page("/nodes/", self._node),
            self._page("/pods", self._pods, "q"),
            self._page("/pods/", self._pod),
            self._page("/history", self._history, "pool"),
            self._page("/policy", self._policy),
            self._page("/search", self._search, "q"),
            admin_routes.Route("/map/", self._map, fields=rendering.PAGE_FIELDS, queued=True),
            *(
                admin_routes.Route(
                    file.path,
                    functools.partial(_sent, file),
                    kind=file.kind,
                    fields=rendering.STATIC_FIELDS,
                    queued=True,
                )
                for file in rendering.files(self._templates)
            ),
        )

    def _page(
        self,
        path: str,
        answer: Callable[[admin_routes.Parameters], admin_queries.Turns],
        *parameters: str,
        kept: bool = False,
    ) -> admin_routes.Route:
        return admin_routes.Route(
            path,
            answer,
            frozenset(parameters),
            kind=rendering.HTML,
            kept=kept,
            fields=rendering.PAGE_FIELDS,
            queued=True,
            refusal=self._templates.problem,
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
        if self._source().standing().waiting:
            return
        turns = self.history.sampling(self._judging(), self._known(), now=self._clock())
        for _ in turns:
            await asyncio.sleep(_TURN_SECONDS)

    # ------------------------------------------------------------ what all pages have

    def _judging(self) -> engine.Engine:
        """The engine; WireError while there is nothing to show."""
        if waiting := self._source().standing().waiting:
            what = "; ".join(f"{name} {why}" for name, why in waiting.items())
            raise errors.WireError(503, f"Still waiting for {what}")
        return self._source().engine

    def _known(self) -> places.Places:
        cluster = self._source().engine.index
        if self._places is None or self._places.index is not cluster:
            self._places = places.Places(cluster)
        return self._places

    def _current(self) -> Generator[None, None, tuple[engine.Engine, places.Places]]:
        judging = self._judging()
        judging.settle()
        yield
        known = self._known()
        yield from known.refresh()
        return judging, known

    def _shown(
        self, name: str, *, section: str, crumbs: tuple[tuple[str, str], ...] = (), **told: object
    ) -> admin_queries.Turns:
        standing = self._source().standing()
        now = dt.datetime.fromtimestamp(self._clock(), dt.UTC)
        return self._templates.page(
            name,
            section=section,
            crumbs=crumbs,
            policy=standing.policy,
            degraded=standing.degraded,
            remarks=(*standing.policy.notes, *standing.notes),
            as_of=now.strftime("%H:%M:%S UTC"),
            **told,
        )

    # ------------------------------------------------------------ the pages

    def _overview(self, _given: admin_routes.Parameters) -> admin_queries.Turns:
        judging, known = yield from self._current()
        pools = yield from pool_figures.of_pools(judging, known)
        waits = yield from pending.waiting(judging.store)
        drawn = []
        for each in pools:
            closer = len(each.pool.rows) <= _MOST_STRIPS
            blocks = []
            for block, drawing in self._drawings.of_pool(each):
                strips = _strips(judging, block) if closer else ()
                blocks.append((block, drawing, strips))
                yield
            drawn.append((each, blocks, closer))
        samples = self.history.samples
        return (yield from self._shown(
            "overview",
            section="overview",
            pools=drawn,
            total=pool_figures.together([each.figures for each in pools]),
            worst=pool_figures.most_fragmented(pools),
            waiting=len(waits),
            first_sample=samples[0] if samples else None,
        ))  # fmt: skip

    def _pool(self, given: admin_routes.Parameters) -> admin_queries.Turns:
        judging, known = yield from self._current()
        pool = known.pool(given.get("", ""))
        if pool is None:
            raise errors.WireError(404, f"there is no pool {given.get('', '')!r}")
        left, total = yield from pool_figures.counted(judging, pool.rows)
        blocked = known.blocked[pool.rows].astype(float)
        figures = pool_figures.of_rows(judging, pool.rows, left, total, blocked)
        chosen = pool_view.chosen(given)
        listed = yield from pool_view.listed(judging, known, pool, chosen)
        return (yield from self._shown(
            "pool",
            section="overview",
            crumbs=((pool.title, ""),),
            pool=pool,
            figures=figures,
            chosen=chosen,
            states=pool_view.STATES,
            listed=listed,
            pages=pool_view.page_numbers(chosen.page, listed.pages),
        ))  # fmt: skip

    def _node(self, given: admin_routes.Parameters) -> admin_queries.Turns:
        judging, known = yield from self._current()
        name, _, rest = given.get("", "").partition("/")
        detail = judging.index.detail(name)
        if detail is None:
            raise errors.WireError(404, f"no node {name!r} is known here")
        pool = known.pool_of(name)
        crumbs = ((pool.title, f"/pools/{pool.slug}"),) if pool is not None else ()
        if not rest:
            shown = node_view.view(detail, judging.store)
            crumbs = (*crumbs, (name, ""))
            page = self._shown(
                "node",
                section="overview",
                crumbs=crumbs,
                node=shown,
                pool=pool,
                words=gpu_states.WORDS,
            )
            return (yield from page)
        path = rest.split("/")
        found = None
        if path[0] == "devices" and len(path) >= 3:
            found = node_view.device_view(detail, judging.store, path[1:])
        if found is None:
            raise errors.WireError(404, f"node {name!r} has no such device")
        crumbs = (*crumbs, (name, f"/nodes/{name}"), (found.name, ""))
        return (yield from self._shown(
            "device", section="overview", crumbs=crumbs, device=found, words=gpu_states.WORDS
        ))  # fmt: skip

    def _pods(self, given: admin_routes.Parameters) -> admin_queries.Turns:
        judging, _ = yield from self._current()
        groups = yield from pending.groups(judging)
        text = given.get("q", "")
        found, more = yield from pending.searched(judging.store, text, most=_MOST_PODS)
        placed = [each for each in found if each.spec.node_name and not pending.is_over(each)]
        return (yield from self._shown(
            "pods", section="pods", crumbs=(("Pods", ""),), groups=groups, text=text,
            placed=placed, more=more,
        ))  # fmt: skip

    def _pod(self, given: admin_routes.Parameters) -> admin_queries.Turns:
        judging, _ = yield from self._current()
        namespace, _, name = given.get("", "").partition("/")
        pod = judging.store.pods.get((namespace, name))
        if pod is None:
            raise errors.WireError(404, f"no pod {namespace}/{name} is known here")
        shown = yield from pod_view.view(judging, pod)
        crumbs = (("Pods", "/pods"), (f"{namespace}/{name}", ""))
        return (yield from self._shown("pod", section="pods", crumbs=crumbs, pod=shown))

    def _history(self, given: admin_routes.Parameters) -> admin_queries.Turns:
        self._judging()
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
        return (yield from self._shown(
            "history", section="history", crumbs=(("History", ""),), chart=drawn, title=title,
            pools=last.pools if last is not None else {}, samples=len(points),
        ))  # fmt: skip

    def _policy(self, _given: admin_routes.Parameters) -> admin_queries.Turns:
        judging = self._judging()
        yield
        return (yield from self._shown(
            "policy", section="policy", crumbs=(("Policy", ""),), in_force=judging.policy,
            written=policy_view.written(judging.policy),
        ))  # fmt: skip

    def _search(self, given: admin_routes.Parameters) -> admin_queries.Turns:
        judging, known = yield from self._current()
        text = given.get("q", "").strip()
        wanted = text.lower()
        nodes: list[str] = []
        for number, name in enumerate(list(judging.index.rows) if wanted else ()):
            if number % 64 == 0:
                yield
            if wanted in name.lower() and len(nodes) < _SEARCHED:
                nodes.append(name)
        pods, more = yield from pending.searched(judging.store, text, most=_SEARCHED)
        pools = [each for each in known.pools if wanted and wanted in each.title.lower()]
        return (yield from self._shown(
            "search", section="", crumbs=(("Search", ""),), text=text, pools=pools,
            nodes=sorted(nodes, key=places.natural), pods=pods if wanted else [], more=more,
        ))  # fmt: skip

    def _map(self, given: admin_routes.Parameters) -> admin_queries.Turns:
        """Names of a pool's nodes by block, for the map's own pointer: JSON."""
        _, known = yield from self._current()
        pool = known.pool(given.get("", ""))
        if pool is None:
            raise errors.WireError(404, "there is no such pool")
        text = admin_queries.Text()
        text.add(b"[")
        for number, block in enumerate(pool.blocks):
            text.add(b"," if number else b"", orjson.dumps(block.names))
            yield
        text.add(b"]\n")
        return text.pieces()


def _strips(
    judging: engine.Engine, block: places.Block
) -> tuple[tuple[str, cluster_map.Strip, bool], ...]:
    """The nodes of a block with their GPUs, and whether no pod goes there."""
    found = []
    for name in block.names:
        detail = judging.index.detail(name)
        if detail is not None:
            drawn = cluster_map.strip_of(detail.machine.shape, detail.usage)
            found.append((name, drawn, bool(places.problems_of(detail.node))))
    return tuple(found)


def _sent(file: rendering.StaticFile, _given: admin_routes.Parameters) -> admin_queries.Turns:
    return rendering.sent(file)
