"""The pages of policies: the one in force, and a candidate side by side with it."""

from __future__ import annotations

from extender.page import frame
from extender.page.views import policy_view
from extender.server import admin_routes, admin_turns


class PolicyPages:
    """By which rules pods are judged, and what other rules would have changed."""

    def __init__(self, common: frame.Frame) -> None:
        self._frame = common

    def routes(self) -> tuple[admin_routes.Route, ...]:
        """The addresses of these pages."""
        return (
            self._frame.route("/policy", self._policy),
            self._frame.route("/shadow", self._shadow),
        )

    def _policy(self, _given: admin_routes.Parameters) -> admin_turns.Turns:
        judging = self._frame.judging()
        yield
        text = yield from policy_view.written(judging.policy)
        return (yield from self._frame.shown(
            "policy", section="policy", crumbs=(("Policy", ""),), in_force=judging.policy,
            written=text, shadow=self._frame.shadow(),
        ))  # fmt: skip

    def _shadow(self, _given: admin_routes.Parameters) -> admin_turns.Turns:
        judging = self._frame.judging()
        yield
        candidate, more = self._frame.candidate(), False
        found: list[policy_view.Differing] = []
        if candidate is not None:
            found, more = yield from policy_view.differing(judging.policy, candidate)
        crumbs = (("Policy", "/policy"), ("Candidate", ""))
        shown = self._frame.shadow()
        return (yield from self._frame.shown(
            "shadow", section="policy", crumbs=crumbs, shadow=shown,
            verdict=policy_view.verdict(shown), differing=found, more=more,
        ))  # fmt: skip
