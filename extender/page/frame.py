"""What all pages have in common: the engine once it is ready, the pools, the page around them."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol

from extender import errors
from extender.decisions import engine
from extender.history import decision_history
from extender.page import rendering
from extender.policy import config
from extender.pools import node_pools
from extender.server import admin_routes, admin_turns, metrics

Current = Generator[None, None, tuple[engine.Engine, node_pools.NodePools]]


class Source(Protocol):
    """Who is asked: what the service serves."""

    engine: engine.Engine
    decisions: decision_history.DecisionHistory | None

    def standing(self) -> metrics.ClusterFigures:
        """How ready we are, and which policy is in force."""

    def shadow(self) -> Mapping[str, Any]:
        """What /v1/shadow answers on a candidate policy."""

    def candidate(self) -> config.Policy | None:
        """The candidate policy that judges, None where none does."""


class Frame:
    """The pages' common ground; `source` is asked at each request."""

    def __init__(
        self, source: Callable[[], Source], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._source = source
        self.clock = clock
        self.templates = rendering.templates()
        self._node_pools: node_pools.NodePools | None = None

    @property
    def waiting(self) -> bool:
        """Whether there is nothing to show yet."""
        return bool(self._source().standing().waiting)

    def judging(self) -> engine.Engine:
        """The engine; WireError while there is nothing to show."""
        if waiting := self._source().standing().waiting:
            what = "; ".join(f"{name} {why}" for name, why in waiting.items())
            raise errors.WireError(503, f"Still waiting for {what}")
        return self._source().engine

    def decisions(self) -> decision_history.DecisionHistory | None:
        """The decisions that are kept, complete; None where none are."""
        history = self._source().decisions
        if history is None or not history.bounds.decisions:
            return None
        self._source().engine.recorder.complete()
        return history

    def pools(self) -> node_pools.NodePools:
        """The pools of the nodes, as they were last read."""
        cluster = self._source().engine.index
        if self._node_pools is None or self._node_pools.index is not cluster:
            self._node_pools = node_pools.NodePools(cluster)
        return self._node_pools

    def shadow(self) -> Mapping[str, Any]:
        """What a candidate policy would have changed."""
        return self._source().shadow()

    def candidate(self) -> config.Policy | None:
        """The candidate policy that judges."""
        return self._source().candidate()

    def current(self) -> Current:
        """The engine and the pools, brought up to date in turns."""
        judging = self.judging()
        judging.settle()
        yield
        known = self.pools()
        yield from known.refresh()
        return judging, known

    def route(
        self,
        path: str,
        answer: Callable[[admin_routes.Parameters], admin_turns.Turns],
        *parameters: str,
        kept: bool = False,
    ) -> admin_routes.Route:
        """A page at an address."""
        return admin_routes.Route(
            path,
            answer,
            frozenset(parameters),
            kind=rendering.HTML,
            kept=kept,
            fields=rendering.PAGE_FIELDS,
            queued=True,
            refusal=self.templates.problem,
        )

    def shown(
        self, name: str, *, section: str, crumbs: tuple[tuple[str, str], ...] = (), **values: object
    ) -> admin_turns.Turns:
        """A template with its values, and the page around it."""
        standing = self._source().standing()
        now = dt.datetime.fromtimestamp(self.clock(), dt.UTC)
        return self.templates.page(
            name,
            section=section,
            crumbs=crumbs,
            policy=standing.policy,
            degraded=standing.degraded,
            remarks=(*standing.policy.notes, *standing.notes),
            as_of=now.strftime("%H:%M:%S UTC"),
            **values,
        )
