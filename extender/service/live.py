"""A service over a snapshot or a cluster, behind two ports.

The ports are opened first. Whatever is read comes after, and until it is there readiness says what
is awaited: a server that is down, or refuses us, is shown at the port where people look.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Mapping

from extender import errors
from extender.cluster import store
from extender.decisions import engine
from extender.decisions.expected import prediction_log
from extender.hardware import allocator_features
from extender.kube import client
from extender.kube.auth import endpoint
from extender.kube.watch import informers, supervisor
from extender.policy import config
from extender.server import metrics
from extender.server.http import listeners
from extender.service import (
    assembly,
    compaction,
    served_engine,
    server_version,
    sink,
    snapshot,
    startup,
)
from extender.service.policy_source import (
    active_policy,
    canary_runner,
    policy_events,
    rebuilding,
    shadow_runner,
)
from extender.service.process import pauses
from extender.service.questions import capacity_metric, kept_decisions
from extender.settings import Settings

_LOG = logging.getLogger(__name__)

_TURN_NODES = 32  # read anew before others get their turn: 10 ms with 48 devices each
# How long an API server may refuse whom a kubeconfig names before the process gives up: a token or
# a role may be on its way. In a cluster it is waited for however long.
_REFUSED_SECONDS = 10.0
_VERSION = "the API server's version"


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[listeners.Listeners]:
    """The service with both ports open; a snapshot has been read by then, a cluster may not."""
    async with ports(settings) as service:
        if settings.snapshot:
            await service.reading
        yield service.sites


@contextlib.asynccontextmanager
async def ports(settings: Settings) -> AsyncIterator[startup.OpenedService]:
    """The service with both ports open, and the task that reads behind them."""
    policy = assembly.read_policy(settings.policy)
    over = snapshot.opened if settings.snapshot else _over_cluster
    async with over(settings, policy) as service:
        yield service


@contextlib.asynccontextmanager
async def _over_cluster(
    settings: Settings, policy: config.Policy
) -> AsyncIterator[startup.OpenedService]:
    if settings.kubeconfig:
        # Imported where it is needed: it brings `kubernetes`, half a second and 20 MB.
        from extender.kube.auth import kubeconfig  # noqa: PLC0415

        server = kubeconfig.read(str(settings.kubeconfig), settings.context or "")
    else:
        server = endpoint.in_cluster()
    async with client.Client(server) as api:
        live = Live(settings, policy, api)
        async with startup.opened(live.sites, live.front, live.read()) as service:
            yield service


class Live:
    """The objects of a service over a cluster, and the tasks that keep them current."""

    def __init__(self, settings: Settings, policy: config.Policy, api: client.Client) -> None:
        self._settings = settings
        self._api = api
        self._policy = policy
        self._known = ""  # the API server's version, once it said it
        self._features = self._features_for(policy)
        given = settings.kubernetes_version or policy.kubernetes_version
        self._version = server_version.ServerVersion(api, given=given)
        self._decisions = kept_decisions.KeptDecisions(settings)
        self.engine = self._engine(policy)
        self._rebuilding = rebuilding.Rebuilding()
        self._events = policy_events.PolicyEvents(api)
        announced = self._events.note if settings.policy_events else policy_events.nobody
        followed = active_policy.followed(settings, policy, api.server.namespace)
        self.policies = self._policies(followed, announced)
        self._shadowing = shadow_runner.opened(
            settings,
            lambda: self.engine,
            lambda: not self._waiting_for(),
            halted=self._build_anew,
            announced=announced,
        )
        self._sink = sink.StoreSink(self._stores, self.policies, self._shadowing.see)
        self._background = supervisor.Supervisor()
        self._compaction = compaction.Compaction(time.monotonic)
        self.informers = informers.Informers(
            api, self._sink, kinds=followed.kinds, background=self._background
        )
        self._pauses = pauses.Pauses(lambda: self.sites.calls)
        self._settled = False  # whether everything read has been in the index once
        self.front = self._served()
        self.metrics = metrics.Metrics(self.front.picture)
        self._shapes = capacity_metric.shown(
            self.metrics, settings, lambda: self.engine, lambda: not self._waiting_for()
        )
        judge = canary_runner.AnsweringJudge(self.front, self._shadowing.rollout)
        self.sites = listeners.Listeners(
            judge, self.front, self.metrics, settings, background=self._background, api=api
        )

    def _policies(
        self, followed: active_policy.Followed, announced: policy_events.Announce
    ) -> active_policy.Policies:
        return active_policy.Policies(
            self._use,
            config_map=followed.config_map,
            fallback=followed.fallback,
            last_good=self._settings.policy_last_good,
            counted=lambda good: self.metrics.reload("policy", good=good),
            announced=announced,
        )

    def _served(self) -> served_engine.ServedEngine:
        """What the two ports ask."""
        return served_engine.ServedEngine(
            self.engine,
            clock=asyncio.get_running_loop().time,  # by which the kinds' times are
            waiting=self._waiting_for,
            degraded=self._degraded,
            restarts=lambda: self._background.restarts,
            statuses=lambda: self.informers.statuses,
            policy=self._shadowing.figures_beside(self.policies.figures),
            notes=self._notes,
            routes=(
                *self._decisions.routes(
                    lambda: self.engine, self.policies, self._shadowing.rollout.as_json
                ),
                *self._shadowing.routes(),
            ),
            shadow=self._shadowing.as_json,
            candidate=self._shadowing.candidate,
            history=self._decisions.history,
        )

    def _engine(self, policy: config.Policy) -> engine.Engine:
        judging = assembly.assemble(
            policy=policy,
            features=self._features,
            hardware=assembly.read_catalogue(),
            patient=False,
            on_prediction=self._on_prediction,
        )
        self._decisions.follow(judging, in_turns=True)
        return judging

    async def read(self) -> None:
        """Keep everything current until cancelled; ends only where the API server refuses us."""
        works = {
            "informers": self._inform,
            "settling": self.keep_settled,
            "policy events": self._events.run,
            "shadow": self._shadowing.run,
            "capacity": self._shapes.run,
        }
        tasks = [asyncio.create_task(self._background.keep(*each)) for each in works.items()]
        try:
            await self._until_ready()
            await asyncio.gather(*tasks)
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _inform(self) -> None:
        while self._version.wanted:
            self._predict_as(await self._version.ask())
        await self.informers.run()

    async def _until_ready(self) -> None:
        """Wait for the first picture of the cluster; ConfigError where we are refused for long."""
        since: float | None = None
        while self._waiting_for():
            refused = self._refusal()
            since = (time.monotonic() if since is None else since) if refused else None
            for_long = since is not None and time.monotonic() - since >= _REFUSED_SECONDS
            if for_long and self._settings.kubeconfig:
                what = f"no access to the API server {self._api.server.url}"
                raise errors.ConfigError(what, [("", refused)])
            await asyncio.sleep(pauses.IDLE_SECONDS)

    def _refusal(self) -> str:
        """Why the API server, or what we need to reach it, turns us away; empty if it does not."""
        if self._version.wanted:
            return self._version.refused
        for each in informers.KINDS:
            status = self.informers.statuses[each.kind]
            if each.required and status.refused:
                return f"{each.kind}: {status.problem}"
        return ""

    def _predict_as(self, version: str) -> None:
        """Judge by what this version of Kubernetes allocates; nothing has been read yet.

        Gates are given only: the API server may have others than kube-scheduler, and names none.
        """
        if allocator_features.is_version(version):
            self._known = version
        elif version:
            self._version.unknown = allocator_features.remark(version)
        if self._version.unknown:
            _LOG.warning("kube-scheduler's version is not known: %s", self._version.unknown)
        _LOG.info("predicting as kube-scheduler %s", version or "of the newest version known")
        for note in self._notes():
            _LOG.warning("%s", note)
        features = self._features_for(self._policy)
        if features != self._features:
            self._features = features
            self.engine = self.front.engine = self._engine(self._policy)
        self._version.wanted = ""

    def _notes(self) -> tuple[str, ...]:
        version = self._settings.kubernetes_version or self._known
        return assembly.notes(version, self._settings.feature_gates)

    # ------------------------------------------------------------ the policy

    def _stores(self) -> tuple[store.ClusterStore, ...]:
        """Who hears what the watch shows: the engine, and the next one while it is built."""
        return (self.engine.store, *self._rebuilding.stores())

    def _features_for(self, policy: config.Policy) -> allocator_features.AllocatorFeatures:
        """The allocator's switches: by flag or policy, else of the API server's version."""
        given = self._settings.kubernetes_version or policy.kubernetes_version or self._known
        return assembly.features_for(given, self._settings.feature_gates)

    def _use(self, policy: config.Policy) -> None:
        """Judge by this policy; one that names another version needs another engine."""
        self._policy = policy
        self.engine.use(policy)
        features = self._features_for(policy)
        if features != self._features:
            self._features = features
            self._rebuilding.begin(self.engine, self._engine(policy))
        else:
            self._rebuilding.use(policy)

    def _build_anew(self) -> None:
        """Have another engine over the same objects: this one's may be half-written."""
        self._rebuilding.begin(self.engine, self._engine(self._policy))

    def _check_policy(self) -> None:
        """Notice a ConfigMap that may not be read, and take the next engine when it is built."""
        why = self.informers.degraded().get("ConfigMap")
        if why:
            self.policies.missing(f"cannot be read: {why}")
        built = self._rebuilding.take()
        if built is not None:
            self.engine = self.front.engine = built
            _LOG.info("predicting by other rules: %r", self.engine.index)

    async def keep_settled(self) -> None:
        """Make the index once everything was read; then settle what no request comes for."""
        while self._version.wanted or self.informers.waiting_for():
            await asyncio.sleep(pauses.IDLE_SECONDS)
            self._check_policy()
        while self._rebuilding.step():  # noqa: ASYNC110 - turns of work
            await asyncio.sleep(0)
        self._check_policy()
        await self._take_in()
        _LOG.info("ready: %r %r", self.engine.store, self.engine.index)
        moment = -1
        while True:
            idle = self._pauses.next(self.engine)
            await asyncio.sleep(0 if self._rebuilding.step() else idle)
            self._check_policy()
            if self._sink.fresh:
                await self._take_in()
            elif self.engine.index.outdated:
                self.engine.read_nodes(_TURN_NODES)
            elif self.engine.unsettled:
                self.engine.settle(between=True)
                self.engine.ahead.step()
            elif self.engine.pricer.aged and moment == self.engine.index.writes:
                self.engine.settle(rest=True)  # nothing happens: agree with the other replicas
            elif moment == self.engine.index.writes:
                self._compaction.step(self.engine.index)
            moment = self.engine.index.writes
            self.engine.recorder.advance()
            self.front.log_unusable()

    async def _take_in(self) -> None:
        """Put what was read for the first time into the index, in turns."""
        while self.engine.read_nodes(_TURN_NODES):  # noqa: ASYNC110 - turns of work
            await asyncio.sleep(0)
        self.engine.settle()
        while self.engine.unlearnt:
            await asyncio.sleep(0)
            self.engine.settle()
        startup.settled_memory()
        self._settled, self._sink.fresh = True, False

    def _waiting_for(self) -> dict[str, str]:
        """What must come before anything can be decided, and why it is not there."""
        waiting = self.informers.waiting_for()
        if self._version.wanted:
            return {_VERSION: self._version.wanted, **waiting}
        if not self._settled or self._sink.fresh:
            waiting["the index"] = "takes in what was read"
        return waiting | self.policies.waiting_for()

    def _degraded(self) -> Mapping[str, str]:
        """What we do without, and what that takes away."""
        statuses = self.informers.statuses
        found = {
            kind: why
            for kind, why in self.informers.degraded().items()
            if statuses[kind].state != "absent"  # of what is not served there is none
        }
        if self._version.unknown:
            found[_VERSION] = f"{self._version.unknown}; the newest one known is assumed"
        return found | self._background.failing()

    def _on_prediction(self, result: str, mismatch: prediction_log.Mismatch | None) -> None:
        self.metrics.prediction(result)
        if mismatch is not None:
            kept_decisions.log_mismatch(mismatch)
