"""Runs the service: a snapshot or a cluster behind two ports, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Sequence

import uvloop

from extender import errors
from extender.decisions import engine, journal
from extender.hardware import versions
from extender.kube import client, endpoint, informers, objects
from extender.policy import config
from extender.server import metrics, site
from extender.service import assembly, facade, logs
from extender.settings import Settings

_LOG = logging.getLogger(__name__)

_IDLE_SECONDS = 0.05  # how long changes may wait for a request before they are settled anyway
_TURN_NODES = 32  # read anew before others get their turn: 10 ms with 48 devices each
# With structs outside the collector's sight a full collection finds little; it shall come seldom.
_GC_THRESHOLDS = (100_000, 50, 100)


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit status is 0."""
    logs.set_up(settings.log_level)
    gc.set_threshold(*_GC_THRESHOLDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))
    return 0


async def _serve(settings: Settings) -> None:
    async with opened(settings) as sites:
        _LOG.info("verbs on %s, questions on %s", sites.bound, sites.admin_bound)
        await site.until_stopped()
        _LOG.info("stopping")
        await sites.drain()


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[site.Sites]:
    """The service with both ports open; what it reads from is a snapshot or a cluster."""
    policy = assembly.read_policy(settings.policy)
    if settings.snapshot:
        async with _over_snapshot(settings, policy) as sites:
            yield sites
    else:
        async with _over_cluster(settings, policy) as sites:
            yield sites


@contextlib.asynccontextmanager
async def _over_snapshot(settings: Settings, policy: config.Policy) -> AsyncIterator[site.Sites]:
    judging, snapshot = assembly.from_snapshot(
        settings.snapshot,
        policy=policy,
        kubernetes_version=settings.kubernetes_version or "",
        feature_gates=settings.feature_gates,
    )
    for kind, count in sorted(snapshot.ignored.items()):
        _LOG.warning("ignored %d of kind %s", count, kind)
    _LOG.info("%r %r", judging.store, judging.index)
    front = facade.Facade(judging)
    sites = site.Sites(front, front, metrics.Metrics(front.picture), settings)
    await sites.start()
    settled_memory()
    try:
        yield sites
    finally:
        await sites.close()


@contextlib.asynccontextmanager
async def _over_cluster(settings: Settings, policy: config.Policy) -> AsyncIterator[site.Sites]:
    server = (
        client.from_kubeconfig(str(settings.kubeconfig), settings.context or "")
        if settings.kubeconfig
        else endpoint.in_cluster()
    )
    async with client.Client(server) as api, asyncio.TaskGroup() as tasks:
        features = await _features(settings, policy, api)
        live = Live(settings, policy, features, api)
        await live.sites.start()
        running = [
            tasks.create_task(live.informers.run(), name="informers"),
            tasks.create_task(live.keep_settled(), name="settling"),
        ]
        try:
            yield live.sites
        finally:
            for task in running:
                task.cancel()
            await live.sites.close()


class Live:
    """The objects of a service over a cluster."""

    def __init__(
        self,
        settings: Settings,
        policy: config.Policy,
        features: versions.Features,
        api: client.Client,
    ) -> None:
        self.engine = assembly.assemble(
            policy=policy,
            features=features,
            hardware=assembly.read_catalogue(),
            patient=False,
            on_prediction=self._on_prediction,
        )
        self.metrics = metrics.Metrics(self._picture)
        kinds: tuple[informers.Wanted, ...] = informers.KINDS
        if settings.policy_config_map:
            namespace, _, name = settings.policy_config_map.rpartition("/")
            kinds = (*kinds, informers.config_map(namespace or api.server.namespace, name))
        self._sink = _Sink(self.engine, self.metrics)
        self.informers = informers.Informers(api, self._sink, kinds=kinds)
        self._settled = False  # whether everything read has been in the index once
        self.front = facade.Facade(
            self.engine,
            waiting=self._waiting_for,
            statuses=lambda: self.informers.statuses,
        )
        self.sites = site.Sites(self.front, self.front, self.metrics, settings)

    def _picture(self) -> metrics.Picture:
        return self.front.picture()

    async def keep_settled(self) -> None:
        """Make the index once everything was read; then settle what no request comes for."""
        while self.informers.waiting_for():  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(_IDLE_SECONDS)
        while self.engine.index.settle(most=_TURN_NODES):  # noqa: ASYNC110 - turns of work
            await asyncio.sleep(0)
        self.engine.settle()
        settled_memory()
        self._settled = True
        _LOG.info("ready: %r %r", self.engine.store, self.engine.index)
        while True:
            await asyncio.sleep(_IDLE_SECONDS)
            if self.engine.store.pending or self.engine.room.unfinished:
                self.engine.settle()

    def _waiting_for(self) -> tuple[str, ...]:
        """What must come before anything can be decided."""
        return (*self.informers.waiting_for(), *(() if self._settled else ("the index",)))

    def _on_prediction(self, result: str, mismatch: journal.Mismatch | None) -> None:
        self.metrics.prediction(result)
        if mismatch is not None:
            _LOG.warning(
                "claim %s on %s got %s, predicted %s %s",
                mismatch.claim,
                mismatch.node,
                mismatch.allocated,
                mismatch.predicted,
                mismatch.note,
            )


class _Sink:
    """Feeds the store; a ConfigMap is the policy."""

    def __init__(self, judging: engine.Engine, counted: metrics.Metrics) -> None:
        self._engine = judging
        self._metrics = counted

    def replace(self, kind: str, items: Sequence[objects.Object], resource_version: str) -> None:
        if kind == "ConfigMap":
            for item in items:
                self._use(item)
            return
        self._engine.store.replace(kind, items, resource_version)

    def apply(self, kind: str, event: str, item: objects.Object) -> None:
        if kind != "ConfigMap":
            self._engine.store.apply(kind, event, item)
        elif event != "DELETED":
            self._use(item)

    def bookmark(self, kind: str, resource_version: str) -> None:
        self._engine.store.bookmark(kind, resource_version)

    def lost(self, kind: str, reason: str) -> None:
        _LOG.warning("%s: the watch is lost, data may go stale: %s", kind, reason)
        self._engine.store.lost(kind, reason)

    def _use(self, item: objects.Object) -> None:
        """Judge by the ConfigMap's policy; a bad one leaves the last good one in force."""
        if not isinstance(item, objects.ConfigMap):
            return
        source = f"ConfigMap {item.metadata.namespace}/{item.metadata.name}"
        try:
            self._engine.use(assembly.policy_of(item, source=source))
        except errors.ConfigError as error:
            self._metrics.reload("policy", good=False)
            _LOG.error("the last good policy stays in force: %s", error)
        else:
            self._metrics.reload("policy", good=True)
            _LOG.info("%s is in force", source)


async def _features(
    settings: Settings, policy: config.Policy, api: client.Client
) -> versions.Features:
    """The allocator's switches: as told, else those of the API server's version.

    Gates are told only: the API server may have others than kube-scheduler, and names none to us.
    """
    told = settings.kubernetes_version or policy.kubernetes_version
    if not told:
        told = await _version(api)
        _LOG.info("predicting as kube-scheduler %s", told or "of the newest version known")
    if passed_over := sorted(settings.feature_gates.keys() - versions.GATES.keys()):
        _LOG.info("no prediction depends on the feature gates %s", ", ".join(passed_over))
    return assembly.features_for(told, settings.feature_gates)


async def _version(api: client.Client) -> str:
    """The API server's version; it may be down while we start, so it is asked until it answers."""
    while True:
        try:
            return await api.version()
        except errors.ForbiddenError:
            return ""
        except errors.ApiError as error:
            _LOG.warning("the API server does not answer: %s", error)
            await asyncio.sleep(1.0)


def settled_memory() -> None:
    """What was read stays: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
