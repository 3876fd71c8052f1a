"""GET /v1/policy: the policy in force with all its defaults, where it comes from, since when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from extender.history import decision_json
from extender.policy import config
from extender.server import admin_routes, admin_turns
from extender.service.policy_source import active_policy

# The canary of a candidate policy, if there is one.
CanaryAnswer = Callable[[], Mapping[str, Any] | None]


def routes(
    policies: active_policy.Policies, canary: CanaryAnswer = lambda: None
) -> Iterator[admin_routes.Route]:
    """The route over these policies."""

    def answer(_: admin_routes.Parameters) -> admin_turns.Turns:
        yield
        return [admin_turns.encoded({**as_json(policies), "canary": canary()}), b"\n"]

    yield admin_routes.Route("/v1/policy", answer)


def as_json(policies: active_policy.Policies) -> dict[str, Any]:
    """What is in force; `refused` is null while the ConfigMap is followed."""
    used, refused, last = policies.in_force, policies.refused, policies.last_refused
    body: dict[str, Any] = {"hash": None, "policy": None, "warnings": []}
    if used is not None:
        body = {
            "hash": used.fingerprint,
            "source": used.origin,
            "sourceKind": used.kind,
            "resourceVersion": used.resource_version or None,
            "since": decision_json.timestamp(used.since),
            "policy": msgspec.to_builtins(used.policy),
            "warnings": config.warnings(used.policy),
        }
    body["refused"] = _refused(refused) if refused is not None else None
    body["lastRefused"] = _refused(last) if last is not None else None
    return body


def _refused(refused: active_policy.RefusedPolicy) -> dict[str, Any]:
    return {
        "why": refused.why,
        "since": decision_json.timestamp(refused.since),
        "resourceVersion": refused.resource_version or None,
        "problems": [{"place": where, "problem": text} for where, text in refused.problems],
    }
