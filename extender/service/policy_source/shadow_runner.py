"""Runs a candidate policy beside the one in force, in the pauses between kube-scheduler's calls.

The candidate is `shadow.yaml` of the policy's ConfigMap, or the file of `--shadow-policy`. A broken
one is reported and tries nothing; it never touches the policy in force.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from extender import errors, settings
from extender.decisions import engine
from extender.kube.api import objects
from extender.policy import config
from extender.rollout import document
from extender.server import admin_routes, admin_turns, policy_figures
from extender.service import assembly
from extender.service.policy_source import canary_runner, candidate_text, policy_events
from extender.service.process import watchdog
from extender.shadow import budget, candidate, shadow

_LOG = logging.getLogger(__name__)
KEY = candidate_text.KEY
_TICK_SECONDS = 0.05
_LEARNING_SECONDS = 0.005  # its budget makes it rest longer than that
# Of processor time for one call or one turn of a candidate; an honest one takes a hundredth.
_MOST_SECONDS = 1.0


class ShadowRunner:
    """Keeps one candidate on whichever engine judges; `ready` tells whether it judges yet."""

    def __init__(
        self,
        judging: Callable[[], engine.Engine],
        ready: Callable[[], bool],
        *,
        path: pathlib.Path | None = None,
        wall: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
        spent: Callable[[], float] = time.thread_time,
        limit: Callable[[Callable[[], None]], None] = lambda work: work(),
        halted: Callable[[], None] = lambda: None,
        announced: policy_events.Announce = policy_events.nobody,
        kept: pathlib.Path | None = None,
    ) -> None:
        self._judging = judging
        self._ready = ready
        self._wall, self._now, self._spent = wall, now, spent
        self._limit, self._on_halt = limit, halted
        self._over = False  # the candidate had to be stopped: it is not tried again
        self._announced = announced
        self.rollout = canary_runner.CanaryRunner(
            spent=spent, wall=wall, limit=limit, stopped=self._halt, announced=announced, kept=kept
        )
        self._candidate: document.Candidate | None = None
        self._origin = ""
        self._since = 0.0
        self._text: str | None = None  # of the ConfigMap's key
        self.refused = ""  # why the candidate cannot be tried
        self.running: shadow.Shadow | None = None
        if path is not None:
            found, text = assembly.read_candidate(path)
            self._take(found, text, f"the file {path}")

    # ------------------------------------------------------------ which candidate

    def see(self, item: objects.ConfigMap | None) -> None:
        """The watch shows the policy's ConfigMap, or that there is none."""
        text = candidate_text.of_config_map(item) if item is not None else None
        if text == self._text:
            return
        self._text, self.refused = text, ""
        if text is None or item is None:
            self._take(None, "", "")
            return
        try:
            found = candidate_text.parse(text, source=KEY)
        except errors.ConfigError as error:
            self._take(None, "", "")
            self.refused = str(error)
            _LOG.error("the candidate policy cannot be tried: %s", error)
            problem = f"the candidate policy cannot be tried: {error}"
            self._announced(item, policy_events.CANDIDATE_REFUSED, problem)
            return
        self._take(found, text, f"{KEY} of the ConfigMap", item)

    def _take(
        self,
        found: document.Candidate | None,
        text: str,
        origin: str,
        item: objects.ConfigMap | None = None,
    ) -> None:
        self._candidate, self._origin, self._since = found, origin, self._wall()
        self._over = False
        if self.running is not None:
            self.running.detach()
            self.running = None
        if found is not None:
            _LOG.info("%s is tried beside the policy in force", origin)
        self.rollout.take(found, text, item)

    def _halt(self) -> None:
        """The candidate had to be stopped: what it shares with the engine may be half-written."""
        self._over = True
        _LOG.error("the candidate policy was stopped: it took far too long, and is not tried again")
        if self.rollout.canary is not None:
            self.rollout.canary.roll_back("it was stopped: it took far too long")
        self._on_halt()

    # ------------------------------------------------------------ its turns

    async def run(self) -> None:
        """Keep the candidate at work until cancelled."""
        try:
            while True:
                learning = self.running is not None and self.running.learning
                await asyncio.sleep(_LEARNING_SECONDS if learning else _TICK_SECONDS)
                self._tick()
        finally:
            if self.running is not None:
                self.running.detach()

    def _tick(self) -> None:
        """Begin anew where the engine or its policy is another one; else let it catch up."""
        judging, running = self._judging(), self.running
        if self._over and running is not None:
            running.detach()
        if self._candidate is None or self._over or not self._ready():
            return
        pair = judging, judging.policy
        if running is None or (running.candidate.engine, running.candidate.beside) != pair:
            self._begin(judging, self._candidate)
        elif running.learning:
            running.settle()
        self.rollout.tick()

    def _begin(self, judging: engine.Engine, tried: document.Candidate) -> None:
        if self.running is not None:
            self.running.detach()
        self.running = shadow.Shadow(
            judging,
            candidate.CandidatePolicy(judging, tried.policy),
            wall=self._wall,
            within=budget.Budget(
                self._now, self._spent, self._limit, percent=tried.trial.cpu_percent
            ),
            halted=self._halt,
        )
        self.rollout.begin(self.running.candidate)

    # ------------------------------------------------------------ what is reported of it

    def figures_beside(
        self, policy: Callable[[], policy_figures.PolicyFigures]
    ) -> Callable[[], policy_figures.PolicyFigures]:
        """The figures of the policy in force, with those of the candidate."""

        def both() -> policy_figures.PolicyFigures:
            found = self.rollout.figures(policy())
            if self.running is None:
                return found
            sums = self.running.report.sums
            return dataclasses.replace(
                found,
                shadow={
                    "agreed": sums.agreed,
                    "differed": sums.judged - sums.agreed,
                    "skipped": sums.skipped,
                    "unfinished": sums.unfinished,
                    "failed": sums.failed,
                },
                shadow_projected=self.running.projections.figures(),
                shadow_regret={"active": sums.regret_active, "candidate": sums.regret_candidate},
            )

        return both

    def routes(self) -> Iterator[admin_routes.Route]:
        """GET /v1/shadow."""
        yield admin_routes.Route("/v1/shadow", lambda _: self._report())

    def _report(self) -> admin_turns.Turns:
        yield
        return [admin_turns.encoded(self.as_json()) + b"\n"]

    def candidate(self) -> config.Policy | None:
        """The candidate that judges, None where none does."""
        return None if self.running is None else self.running.candidate.policy

    def as_json(self) -> dict[str, Any]:
        """The candidate, and what it would have changed since it is tried beside this policy."""
        found: dict[str, Any] = {
            "candidate": None,
            "canary": None,
            "refused": self.refused or None,
        }
        if self._candidate is None:
            return found
        found["candidate"] = {
            "source": self._origin,
            "hash": config.fingerprint(self._candidate.policy),
            "since": self._since,
        }
        found["canary"] = self.rollout.as_json()
        running = self.running
        if running is None:
            return found | {"state": "waits for the cluster to be read"}
        if self._over:
            state = "stopped: it took far too long"
        elif running.stopped:
            state = "stopped: it failed too often"
        else:
            state = "judges" if running.candidate.ready else "learns the demand"
        return found | {
            "state": state,
            "beside": config.fingerprint(running.candidate.beside),
            "notTried": running.candidate.not_tried(),
            "fault": running.report.fault or None,
            **running.report.sums.as_json(),
            "cpuSeconds": round(running.cpu_seconds, 6),
            "projected": running.projections.as_json(),
            "cpuPercent": self._candidate.trial.cpu_percent,
            "differences": [each.as_json() for each in reversed(running.report.differences)],
        }


def opened(
    chosen: settings.Settings,
    judging: Callable[[], engine.Engine],
    ready: Callable[[], bool],
    *,
    halted: Callable[[], None] = lambda: None,
    announced: policy_events.Announce = policy_events.nobody,
) -> ShadowRunner:
    """That of a service with these settings, its candidate stopped where it takes too long."""
    return ShadowRunner(
        judging,
        ready,
        path=chosen.shadow_policy,
        limit=watchdog.Watchdog(_MOST_SECONDS).limit,
        halted=halted,
        announced=announced,
        kept=canary_runner.beside(chosen.policy_last_good),
    )
