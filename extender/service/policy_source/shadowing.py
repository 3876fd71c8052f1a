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

from extender import errors
from extender.decisions import engine
from extender.kube.api import objects
from extender.policy import config
from extender.server import admin_queries, admin_routes, policy_figures
from extender.service import assembly
from extender.service.policy_source import policy_text
from extender.shadow import budget, candidate, shadow

_LOG = logging.getLogger(__name__)
KEY = "shadow.yaml"  # of the ConfigMap's data
_TICK_SECONDS = 0.05


class Shadowing:
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
    ) -> None:
        self._judging = judging
        self._ready = ready
        self._wall, self._now, self._spent = wall, now, spent
        self._policy: config.Policy | None = None
        self._origin = ""
        self._since = 0.0
        self._text: str | None = None  # of the ConfigMap's key
        self.refused = ""  # why the candidate cannot be tried
        self.running: shadow.Shadow | None = None
        if path is not None:
            self._take(assembly.read_policy(path), f"the file {path}")

    # ------------------------------------------------------------ which candidate

    def see(self, item: objects.ConfigMap | None) -> None:
        """The watch shows the policy's ConfigMap, or that there is none."""
        text = ((item.data or {}) if item is not None else {}).get(KEY)
        if text == self._text:
            return
        self._text, self.refused = text, ""
        if text is None:
            self._take(None, "")
            return
        try:
            policy = policy_text.parse(text, source=KEY)
        except errors.ConfigError as error:
            self._take(None, "")
            self.refused = str(error)
            _LOG.error("the candidate policy cannot be tried: %s", error)
            return
        self._take(policy, f"{KEY} of the ConfigMap")

    def _take(self, policy: config.Policy | None, origin: str) -> None:
        self._policy, self._origin, self._since = policy, origin, self._wall()
        if self.running is not None:
            self.running.detach()
            self.running = None
        if policy is not None:
            _LOG.info("%s is tried beside the policy in force", origin)

    # ------------------------------------------------------------ its turns

    async def run(self) -> None:
        """Keep the candidate at work until cancelled."""
        try:
            while True:
                await asyncio.sleep(_TICK_SECONDS)
                self._tick()
        finally:
            if self.running is not None:
                self.running.detach()

    def _tick(self) -> None:
        """Begin anew where the engine or its policy is another one; else let it catch up."""
        judging, running = self._judging(), self.running
        if self._policy is None or not self._ready():
            return
        pair = judging, judging.policy
        if running is None or (running.candidate.engine, running.candidate.beside) != pair:
            self._begin(judging, self._policy)
        elif not running.candidate.ready:
            running.settle()

    def _begin(self, judging: engine.Engine, policy: config.Policy) -> None:
        if self.running is not None:
            self.running.detach()
        self.running = shadow.Shadow(
            judging,
            candidate.CandidatePolicy(judging, policy),
            wall=self._wall,
            within=budget.Budget(self._now, self._spent),
        )

    # ------------------------------------------------------------ what is reported of it

    def figures_beside(
        self, policy: Callable[[], policy_figures.PolicyFigures]
    ) -> Callable[[], policy_figures.PolicyFigures]:
        """The figures of the policy in force, with those of the candidate."""

        def both() -> policy_figures.PolicyFigures:
            if self.running is None:
                return policy()
            sums = self.running.report.sums
            return dataclasses.replace(
                policy(),
                shadow={
                    "agreed": sums.agreed,
                    "differed": sums.judged - sums.agreed,
                    "skipped": sums.skipped,
                    "unfinished": sums.unfinished,
                    "failed": sums.failed,
                },
                shadow_regret={"active": sums.regret_active, "candidate": sums.regret_candidate},
            )

        return both

    def routes(self) -> Iterator[admin_routes.Route]:
        """GET /v1/shadow."""
        yield admin_routes.Route("/v1/shadow", lambda _: self._report())

    def _report(self) -> admin_queries.Turns:
        yield
        return [admin_queries.encoded(self.as_json()) + b"\n"]

    def candidate(self) -> config.Policy | None:
        """The candidate that judges, None where none does."""
        return None if self.running is None else self.running.candidate.policy

    def as_json(self) -> dict[str, Any]:
        """The candidate, and what it would have changed since it is tried beside this policy."""
        found: dict[str, Any] = {"candidate": None, "refused": self.refused or None}
        if self._policy is None:
            return found
        found["candidate"] = {
            "source": self._origin,
            "hash": config.fingerprint(self._policy),
            "since": self._since,
        }
        running = self.running
        if running is None:
            return found | {"state": "waits for the cluster to be read"}
        if running.stopped:
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
            "differences": [each.as_json() for each in reversed(running.report.differences)],
        }
