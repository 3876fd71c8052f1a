"""The decision history of a service, and what the admin port tells of it and of the policy."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from extender.decisions import engine
from extender.decisions.expected import prediction_log
from extender.history import decision, decision_history, decision_json, decision_recorder
from extender.server import admin_routes
from extender.service.policy_source import active_policy
from extender.service.questions import decision_routes, policy_routes, why_routes
from extender.settings import Settings

_LOG = logging.getLogger(__name__)
_MOST_REASONS = 20  # in a line of the log; /v1/decisions tells all


class KeptDecisions:
    """A history within the bounds of the settings, of whichever engine judges."""

    def __init__(self, settings: Settings) -> None:
        self.history = decision_history.DecisionHistory(
            decision_history.Bounds(settings.decisions, settings.decisions_minutes * 60),
            wall=time.time,
            on_decision=_logged if settings.log_decisions else lambda _: None,
        )

    def follow(self, judging: engine.Engine, *, in_turns: bool) -> None:
        """Keep the engine's decisions; `in_turns` where its recorder is given some."""
        if self.history.bounds.decisions:
            kept = decision_recorder.DecisionRecorder(judging, self.history, in_turns=in_turns)
            kept.attach()

    def routes(
        self,
        judging: Callable[[], engine.Engine],
        policies: active_policy.Policies,
        canary: policy_routes.CanaryAnswer,
    ) -> tuple[admin_routes.Route, ...]:
        """What the admin port answers of decisions and of the policy."""

        def complete() -> None:
            judging().recorder.complete()

        return (
            *decision_routes.routes(self.history, complete),
            *why_routes.routes(self.history, judging),
            *policy_routes.routes(policies, canary),
        )


def _logged(made: decision.Decision) -> None:
    body = decision_json.of(made)
    body["refused"] = body["refused"][:_MOST_REASONS]
    fields = {"decision": body}
    _LOG.info("decided on pod %s", made.pod, extra={"fields": fields})


def log_mismatch(mismatch: prediction_log.Mismatch) -> None:
    """A line of the log about a claim that got other devices than were predicted."""
    where = mismatch.claim, mismatch.node
    what = mismatch.allocated, mismatch.predicted, mismatch.note
    _LOG.warning("claim %s on %s got %s, predicted %s %s", *where, *what)
