"""The pages of the cluster: overview, pool, node, device; the map's names; the search."""

from __future__ import annotations

import orjson

from extender import errors
from extender.decisions import engine
from extender.page import frame, rendering
from extender.page.fleet import cluster_map
from extender.page.views import device_view, node_view, pending, pool_view
from extender.pools import gpu_states, history, node_pools, pool_figures
from extender.server import admin_routes, admin_turns

_MOST_STRIPS = 48  # nodes of a pool whose GPUs the overview shows one by one
_SEARCHED = 50  # nodes of a search
_MOST_PODS = 512  # waiting ones that are put into groups there: those that wait longest
_MOST_DOUBTED = 200  # annotations of a list
_MOST_GROUPS = 4  # of waiting pods, whose main reason the overview tells
# Of the processor, that the overview spends on judging them: half of what the page of pods does, as
# it is the page that is left open. What is not judged yet says so, and the next one goes on.
_JUDGING_SECONDS = 0.05


class ClusterPages:
    """Where what is, from the whole down to a device."""

    def __init__(
        self, common: frame.Frame, samples: history.History, groups: pending.Groups
    ) -> None:
        self._frame = common
        self._groups = groups
        self._history = samples
        self._drawings = cluster_map.Drawings()

    def routes(self) -> tuple[admin_routes.Route, ...]:
        """The addresses of these pages."""
        route = self._frame.route
        return (
            route("/", self._overview, kept=True),
            route("/pools/", self._pool, "q", "state", "group", "page"),
            route("/nodes/", self._node),
            route("/search", self._search, "q"),
            route("/annotations", self._annotations),
            admin_routes.Route("/map/", self._map, fields=rendering.PAGE_FIELDS, queued=True),
        )

    def _overview(self, _given: admin_routes.Parameters) -> admin_turns.Turns:
        judging, known = yield from self._frame.current()
        pools = yield from pool_figures.of_pools(judging, known)
        waits = yield from pending.waiting(judging.store)
        among = waits if len(waits) > _MOST_PODS else None
        groups = yield from self._groups.of(
            judging, seconds=_JUDGING_SECONDS, among=among[:_MOST_PODS] if among else None
        )
        stuck = [each for each in groups if each.judged is None or not each.judged.passing]
        fitting = sum(len(each.pods) for each in groups) - sum(len(each.pods) for each in stuck)
        drawn = []
        for each in pools:
            closer = len(each.pool.rows) <= _MOST_STRIPS
            blocks = []
            for block, drawing in self._drawings.of_pool(each):
                strips = _strips(judging, block) if closer else ()
                blocks.append((block, drawing, strips))
                yield
            drawn.append((each, blocks, closer))
        return (yield from self._frame.shown(
            "overview",
            section="overview",
            pools=drawn,
            total=pool_figures.together([each.figures for each in pools]),
            worst=pool_figures.most_fragmented(pools),
            waiting=len(waits),
            groups=stuck[:_MOST_GROUPS],
            fitting=fitting,
            other=len(waits) - fitting - sum(len(each.pods) for each in stuck[:_MOST_GROUPS]),
            shadow=self._frame.shadow(),
        ))  # fmt: skip

    def _pool(self, given: admin_routes.Parameters) -> admin_turns.Turns:
        judging, known = yield from self._frame.current()
        pool = known.pool(given.get("", ""))
        if pool is None:
            raise errors.WireError(404, f"there is no pool {given.get('', '')!r}")
        gpus = yield from pool_figures.counted(judging, pool.rows)
        blocked = known.blocked[pool.rows].astype(float)
        figures = pool_figures.of_rows(judging, pool.rows, gpus, blocked)
        chosen = pool_view.chosen(given)
        listed = yield from pool_view.listed(judging, known, pool, chosen)
        return (yield from self._frame.shown(
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

    def _node(self, given: admin_routes.Parameters) -> admin_turns.Turns:
        judging, known = yield from self._frame.current()
        name, _, rest = given.get("", "").partition("/")
        detail = judging.index.detail(name)
        if detail is None:
            raise errors.WireError(404, f"no node {name!r} is known here")
        pool = known.pool_of(name)
        crumbs = ((pool.title, f"/pools/{pool.slug}"),) if pool is not None else ()
        if not rest:
            shown = node_view.view(detail, judging.store)
            crumbs = (*crumbs, (name, ""))
            page = self._frame.shown(
                "node",
                section="overview",
                crumbs=crumbs,
                node=shown,
                model=judging.index.builder.hardware.title(shown.product) if shown.product else "",
                pool=pool,
                words=gpu_states.WORDS,
            )
            return (yield from page)
        path = rest.split("/")
        found = None
        if path[0] == "devices" and len(path) >= 3:
            found = device_view.view(detail, judging.store, path[1:])
        if found is None:
            raise errors.WireError(404, f"node {name!r} has no such device")
        crumbs = (*crumbs, (name, f"/nodes/{name}"), (found.name, ""))
        return (yield from self._frame.shown(
            "device", section="overview", crumbs=crumbs, device=found, words=gpu_states.WORDS
        ))  # fmt: skip

    def _search(self, given: admin_routes.Parameters) -> admin_turns.Turns:
        judging, known = yield from self._frame.current()
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
        return (yield from self._frame.shown(
            "search", section="", crumbs=(("Search", ""),), text=text, pools=pools,
            nodes=sorted(nodes, key=node_pools.natural), pods=pods if wanted else [], more=more,
        ))  # fmt: skip

    def _annotations(self, _given: admin_routes.Parameters) -> admin_turns.Turns:
        """Annotations of bound pods that are not believed, with what to do."""
        judging, _ = yield from self._frame.current()
        found: list[tuple[str, str, str]] = []  # (pod, node, why)
        for number, detail in enumerate(list(judging.index.details)):
            if detail is not None and len(found) < _MOST_DOUBTED:
                found += [(pod, detail.name, why) for pod, why in detail.doubted]
            if number % 64 == 0:
                yield
        return (yield from self._frame.shown(
            "annotations", section="overview", crumbs=(("Annotations not believed", ""),),
            found=sorted(found)[:_MOST_DOUBTED],
        ))  # fmt: skip

    def _map(self, given: admin_routes.Parameters) -> admin_turns.Turns:
        """Names of a pool's nodes by block, for the map's own pointer: JSON."""
        _, known = yield from self._frame.current()
        pool = known.pool(given.get("", ""))
        if pool is None:
            raise errors.WireError(404, "there is no such pool")
        text = admin_turns.ChunkedText()
        text.add(b"[")
        for number, block in enumerate(pool.blocks):
            text.add(b"," if number else b"", orjson.dumps(block.names))
            yield
        text.add(b"]\n")
        return text.pieces()


def _strips(
    judging: engine.Engine, block: node_pools.Block
) -> tuple[tuple[str, cluster_map.Strip, bool, str], ...]:
    """The nodes of a block with their GPUs, whether no pod goes there, and units without GPUs."""
    found = []
    for name in block.names:
        detail = judging.index.detail(name)
        if detail is not None:
            drawn = cluster_map.strip_of(detail.machine.shape, detail.usage)
            closed = bool(node_pools.problems_of(detail.node))
            loose = pool_view.loose_units(detail) if not drawn.cells else ""
            found.append((name, drawn, closed, loose))
    return tuple(found)
