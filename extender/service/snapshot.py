"""The service over a snapshot: read once, beside the ports, and never again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from extender.decisions import engine
from extender.policy import config
from extender.server import metrics
from extender.server.http import listeners
from extender.service import assembly, served_engine, startup
from extender.service.policy_source import active_policy, canary_runner, shadow_runner
from extender.service.process import threads
from extender.service.questions import capacity_metric, kept_decisions
from extender.settings import Settings

_LOG = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def opened(settings: Settings, policy: config.Policy) -> AsyncIterator[startup.OpenedService]:
    """Open the ports and read the files of `settings.snapshot`."""
    waiting = {"the snapshot": "is being read"}
    notes = _noted(settings)
    judging = _empty_engine(settings, policy)
    standing = active_policy.Policies(
        judging.use, fallback=active_policy.given(policy, settings.policy)
    )
    decisions = kept_decisions.KeptDecisions(settings)
    candidate = shadow_runner.opened(settings, lambda: front.engine, lambda: not waiting)
    front = served_engine.ServedEngine(
        judging,
        waiting=lambda: waiting,
        policy=candidate.figures_beside(standing.figures),
        notes=lambda: notes,
        routes=(
            *decisions.routes(lambda: front.engine, standing, candidate.rollout.as_json),
            *candidate.routes(),
        ),
        shadow=candidate.as_json,
        candidate=candidate.candidate,
        history=decisions.history,
    )

    async def read() -> None:
        front.engine = await _read(settings, policy)
        decisions.follow(front.engine, in_turns=False)
        startup.settled_memory()
        waiting.clear()
        _LOG.info("ready: %r %r", front.engine.store, front.engine.index)

    measured = metrics.Metrics(front.picture)
    shapes = capacity_metric.shown(measured, settings, lambda: front.engine, lambda: not waiting)
    judge = canary_runner.AnsweringJudge(front, candidate.rollout)
    sites = listeners.Listeners(judge, front, measured, settings)
    async with (
        startup.opened(sites, front, read()) as service,
        _beside(shadow=candidate.run(), capacity=shapes.run()),
    ):
        yield service


@contextlib.asynccontextmanager
async def _beside(**work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have these run in the background, each as a task of that name, until the block ends."""
    tasks = [asyncio.create_task(each, name=name) for name, each in work.items()]
    try:
        yield
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _empty_engine(settings: Settings, policy: config.Policy) -> engine.Engine:
    version = settings.kubernetes_version or policy.kubernetes_version
    features = assembly.features_for(version, settings.feature_gates)
    return assembly.assemble(policy=policy, features=features, hardware=assembly.read_catalogue())


def _noted(settings: Settings) -> tuple[str, ...]:
    """What to say of the version and the feature gates; it is logged, too."""
    notes = assembly.notes(settings.kubernetes_version or "", settings.feature_gates)
    for note in notes:
        _LOG.warning("%s", note)
    return notes


async def _read(settings: Settings, policy: config.Policy) -> engine.Engine:
    """An engine over the files, read in a thread; what is left out of them is logged."""
    judging, snapshot = await threads.run(
        lambda: assembly.from_snapshot(
            settings.snapshot,
            policy=policy,
            kubernetes_version=settings.kubernetes_version or "",
            feature_gates=settings.feature_gates,
        )
    )
    for kind, count in sorted(snapshot.ignored.items()):
        _LOG.warning("ignored %d of kind %s", count, kind)
    return judging
