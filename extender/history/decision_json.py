"""Decisions as JSON: what /v1/decisions answers, and what is logged."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from extender.history import decision, decision_history

_DIGITS = 6


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339, in UTC."""
    return dt.datetime.fromtimestamp(seconds, tz=dt.UTC).isoformat(timespec="milliseconds")


def kept(history: decision_history.DecisionHistory) -> dict[str, Any]:
    """How much is kept, and how much may be."""
    return {
        "decisions": len(history),
        "made": history.total,
        "bytes": history.bytes + history.answer_bytes,
        "most": {
            "decisions": history.bounds.decisions,
            "minutes": history.bounds.seconds / 60,
            "bytes": decision_history.MOST_BYTES + decision_history.MOST_ANSWER_BYTES,
        },
    }


def of(made: decision.Decision) -> dict[str, Any]:
    """One decision."""
    return {
        "number": made.number,
        "time": timestamp(made.last),
        "firstTime": timestamp(made.first),
        "attempts": made.attempts,
        "pod": {"namespace": made.namespace, "name": made.name, "uid": made.uid},
        "demand": made.demand,
        "profile": made.profile,
        "policy": made.policy,
        "asked": made.asked,
        "passed": made.passed,
        "unknown": made.unknown,
        "refused": [
            {"reason": each.reason, "nodes": each.nodes, "forGood": each.for_good}
            for each in made.refused
        ],
        "best": [_node(each) for each in made.best],
        "outcome": outcome(made),
    }


def outcome(made: decision.Decision) -> dict[str, Any]:
    """What became of the pod: `asPredicted` is null while that is not known."""
    found = made.outcome
    body: dict[str, Any] = {
        "state": found.state,
        "node": found.node,
        "time": timestamp(found.at) if found.at else None,
        "asPredicted": as_predicted(made),
        "devices": dict(found.devices),
    }
    if found.state == decision.BOUND:
        body |= {
            "ourBest": expected_node(made) == found.node,
            "scoreThere": score_on(made, found.node),
        }
    return body


def as_predicted(made: decision.Decision) -> bool | None:
    """Whether the pod went to the node that we ranked first and got the devices expected there."""
    expected = expected_node(made)
    if made.outcome.state != decision.BOUND or not expected:
        return None
    if expected != made.outcome.node:
        return False
    return not made.outcome.devices.get("different")


def expected_node(made: decision.Decision) -> str:
    """The node that we ranked first, empty where prioritize did not come."""
    return made.expected.node if made.expected is not None else ""


def score_on(made: decision.Decision, node: str) -> int | None:
    """The score that the node got; None where that is not known any more."""
    for each in made.best:
        if each.node == node:
            return each.score
    if made.answers is None or (at := made.answers.index_of(node)) < 0:
        return None
    score = int(made.answers.score[at])
    return score if score >= 0 else None


def outvoted(made: decision.Decision) -> dict[str, Any] | None:
    """Where kube-scheduler preferred another node than ours, and by how much at least.

    `steps` are of our score: each counts the extender's weight x 10 points in kube-scheduler. None
    where the pod has no node yet, or the one that we ranked first.
    """
    best, bound = made.expected, made.outcome
    if best is None or bound.state != decision.BOUND or bound.node == best.node:
        return None
    there = score_on(made, bound.node)
    return {
        "best": best.node,
        "bestScore": best.score,
        "node": bound.node,
        "score": there,
        "steps": best.score - there if there is not None else None,
    }


def sentences(made: decision.Decision) -> list[str]:
    """What was decided and what became of it, for people."""
    asked = f"asked about {made.asked} nodes, {made.passed} could take it"
    if made.attempts > 1:
        asked += f", tried {made.attempts} times since {timestamp(made.first)}"
    found = [asked]
    best, bound = made.expected, made.outcome
    if best is not None:
        found.append(f"Railyard ranked {best.node} first")
    if bound.state == decision.GONE:
        found.append("the pod was deleted before it had a node")
    if bound.state != decision.BOUND:
        return found
    lost = outvoted(made)
    if lost is None:
        found.append(f"kube-scheduler bound it to {bound.node} at {timestamp(bound.at)}")
    elif lost["steps"] is None:
        found.append(f"kube-scheduler bound it to {bound.node}, which we did not score")
    else:
        found.append(
            f"outvoted: kube-scheduler bound it to {bound.node}, which had {lost['score']} of our"
            f" points and {lost['best']} {lost['bestScore']}: its other scores put {bound.node}"
            f" ahead by at least {lost['steps']} x 10 x the extender's weight"
        )
    if bound.devices:
        counts = ", ".join(f"{count} {result}" for result, count in sorted(bound.devices.items()))
        found.append(f"its claims' devices compared with the prediction: {counts}")
    return found


def on_node(made: decision.Decision, node: str) -> dict[str, Any]:
    """What was answered for one node."""
    body: dict[str, Any] = {"node": node, "verdict": "not asked"}
    for each in made.best:
        if each.node == node:
            return body | {"verdict": "passed"} | _node(each)
    if made.answers is None:
        return body | {"verdict": "forgotten"}
    at = made.answers.index_of(node)
    if at < 0:
        return body
    reason = int(made.answers.reason[at])
    if reason >= 0:
        refused = made.refused[reason]
        word = "refused for good" if refused.for_good else "refused"
        return body | {"verdict": word, "reason": refused.reason}
    body["verdict"] = "passed"
    if made.answers.score[at] >= 0:
        body["score"] = int(made.answers.score[at])
        body["cost"] = round(float(made.answers.cost[at]), _DIGITS)
    return body


def matching(
    history: decision_history.DecisionHistory, *, pod: str = "", node: str = "", since: float = 0.0
) -> Iterator[decision.Decision | None]:
    """The decisions about the pod, with the node among those asked, the newest first.

    None stands for one that is passed over, so that others may have their turn.
    """
    for made in history.newest_first():
        wanted = not pod or pod in (made.pod, made.uid)
        if wanted and made.last >= since and (not node or concerns(made, node)):
            yield made
        else:
            yield None


def concerns(made: decision.Decision, node: str) -> bool:
    """Whether the node was asked about, or got the pod, as far as that is still known."""
    if made.outcome.node == node or any(each.node == node for each in made.best):
        return True
    return made.answers is not None and made.answers.index_of(node) >= 0


def _node(each: decision.BestNode) -> dict[str, Any]:
    names = ("claim", "request", "driver", "pool", "device")
    return {
        "node": each.node,
        "score": each.score,
        "cost": round(each.cost, _DIGITS),
        "tie": round(each.tie, _DIGITS),
        "parts": {part: round(value, _DIGITS) for part, value in each.parts.items()},
        "devices": [dict(zip(names, device, strict=True)) for device in each.devices],
        "locality": each.locality,
    }
