"""A canary in a running service: when it begins, who hears of its steps, what is reported.

A candidate that was rolled back stays so until its document is another text, also over a restart
where `kept` is a file: it holds a hash of that text.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import pathlib
from collections.abc import Callable, Collection
from typing import Any, Protocol

import msgspec

from extender.decisions import engine
from extender.history import decision_json
from extender.kube.api import objects
from extender.policy import config
from extender.rollout import canary, candidate_engine, document, split_engine
from extender.server import policy_figures, verbs
from extender.service.policy_source import kept_text, policy_events
from extender.shadow import candidate

_LOG = logging.getLogger(__name__)


class Front(Protocol):
    """What holds the engine of the moment: `service.served_engine.ServedEngine`."""

    engine: engine.Engine

    def waiting_for(self) -> Collection[str]: ...


class AnsweringJudge:
    """Who judges kube-scheduler's calls: the front's engine, or with a canary both policies."""

    def __init__(self, front: Front, rollout: CanaryRunner) -> None:
        self._front = front
        self._rollout = rollout

    @property
    def engine(self) -> verbs.VerbEngine:
        return self._rollout.engine(self._front.engine)

    def waiting_for(self) -> Collection[str]:
        return self._front.waiting_for()


class CanaryRunner:
    """At most one canary.

    `spent` tells the processor time of the thread in seconds, `wall` seconds since 1970; `limit`
    does work and stops it where it takes too long, and `stopped` hears when that has happened.
    """

    def __init__(
        self,
        *,
        spent: Callable[[], float],
        wall: Callable[[], float],
        limit: Callable[[Callable[[], None]], None],
        stopped: Callable[[], None] = lambda: None,
        announced: policy_events.Announce = policy_events.nobody,
        kept: pathlib.Path | None = None,
    ) -> None:
        self._spent, self._wall = spent, wall
        self._limit, self._stopped = limit, stopped
        self._announced = announced
        self._kept = kept
        self._key = ""  # of the candidate's text
        self._rolled_back = self._read()  # the key of the text that was rolled back last
        self._item: objects.ConfigMap | None = None  # where the candidate came from
        self._split: tuple[split_engine.SplitEngine, candidate.CandidatePolicy] | None = None
        self.canary: canary.CanaryRun | None = None

    # ------------------------------------------------------------ which candidate

    def take(
        self, found: document.Candidate | None, text: str, item: objects.ConfigMap | None
    ) -> None:
        """Another document, or none any more."""
        self._split = self.canary = None
        self._item = item
        self._key = hashlib.sha256(text.encode()).hexdigest()
        if found is None or found.canary is None:
            return
        self.canary = canary.CanaryRun(
            found.canary, config.fingerprint(found.policy), on_step=self._on_step, wall=self._wall
        )
        if self._key == self._rolled_back:
            self.canary.roll_back("rolled back before, and the document is the same")

    def begin(self, trying: candidate.CandidatePolicy) -> None:
        """The candidate is tried on another engine, or beside another policy."""
        self.end("the policy in force is another one, and the candidate learns the demand")
        if self.canary is None:
            return
        split = split_engine.SplitEngine(
            trying.engine,
            candidate_engine.CandidateEngine(trying),
            self.canary,
            spent=self._spent,
            limit=self._limit,
            stopped=self._stopped,
        )
        self._split = split, trying

    def end(self, why: str) -> None:
        """The candidate of the moment answers no more."""
        self._split = None
        if self.canary is not None:
            self.canary.wait(why)

    def tick(self) -> None:
        """Let the candidate answer once it has learnt the demand."""
        if self.canary is not None and self._split is not None and self._split[1].ready:
            self.canary.answer()

    def engine(self, judging: engine.Engine) -> verbs.VerbEngine:
        """Who answers kube-scheduler's calls now."""
        if self._split is None:
            return judging
        split, trying = self._split
        current = trying.engine is judging and trying.beside is judging.policy
        return split if current else judging

    # ------------------------------------------------------------ who hears of it

    def _on_step(self, step: canary.CanaryStep) -> None:
        if self.canary is None:
            return  # it is being made
        step_of = self.canary.fingerprint, step.state, step.why
        if step.state == canary.ROLLED_BACK:
            _LOG.error("candidate policy %s: %s: %s", *step_of)
            self._write()
        else:
            _LOG.info("candidate policy %s: %s: %s", *step_of)
        reason = _REASONS.get(step.state)
        if reason is not None and self._item is not None:
            self._announced(self._item, reason, "candidate policy {}: {}: {}".format(*step_of))

    def _read(self) -> str:
        if self._kept is None:
            return ""
        try:
            return self._kept.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def _write(self) -> None:
        """Note for the next start that this text was rolled back."""
        self._rolled_back = self._key
        if self._kept is None:
            return
        try:
            kept_text.write(self._kept, f"{self._key}\n")
        except OSError as error:
            _LOG.warning("that the candidate was rolled back cannot be kept: %s", error)

    # ------------------------------------------------------------ what is reported

    def notes(self) -> tuple[str, ...]:
        """What an operator should know of it, in sentences."""
        if self.canary is None or not self.canary.rolled_back:
            return ()
        why = self.canary.steps[-1].why
        return (f"the candidate policy {self.canary.fingerprint} was rolled back: {why}",)

    def figures(self, beside: policy_figures.PolicyFigures) -> policy_figures.PolicyFigures:
        """These figures with the canary's."""
        if self.canary is None:
            return beside
        counts, limits = self.canary.counts, self.canary.settings.rollback
        return dataclasses.replace(
            beside,
            notes=(*self.notes(), *beside.notes),
            canary={state: int(state == self.canary.state) for state in canary.STATES},
            canary_calls={
                "answered": counts.answered - counts.slow,
                "slow": counts.slow,
                "failed": counts.failed,
            },
            canary_pods=counts.pods,
            canary_recent=self.canary.recent,
            canary_limits={"failed": limits.error_rate, "slow": limits.slow_rate},
        )

    def as_json(self) -> dict[str, Any] | None:
        """The canary for `/v1/shadow` and `/v1/policy`; None without one."""
        found = self.canary
        if found is None:
            return None
        return {
            "hash": found.fingerprint,
            "state": found.state,
            **msgspec.to_builtins(found.settings),
            "podsAnswered": found.counts.pods,
            "callsAnswered": found.counts.answered,
            "callsSlow": found.counts.slow,
            "callsFailed": found.counts.failed,
            "fault": found.fault or None,
            "steps": [
                {"time": decision_json.timestamp(step.when), "state": step.state, "why": step.why}
                for step in found.steps
            ],
        }


def beside(last_good: pathlib.Path | None) -> pathlib.Path | None:
    """The file that tells the next start what was rolled back, beside the last good policy."""
    return None if last_good is None else last_good.with_name(f"{last_good.name}.rolled-back")


_REASONS = {
    canary.ANSWERING: policy_events.CANARY_ANSWERS,
    canary.ROLLED_BACK: policy_events.CANARY_ROLLED_BACK,
}
