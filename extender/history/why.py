"""Why a pod is where it is, and not on another node: what was decided, and what would do now.

The same answer before and after binding: the decision, if it is kept; what kube-scheduler made of
it; and how the nodes stand if the pod came now, with the smallest changes that flip an answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import Any

from extender.cluster import store
from extender.decisions import engine
from extender.decisions.counterfactual import why_node
from extender.decisions.explanation import explain_demand
from extender.history import decision, decision_json
from extender.kube.api import objects
from extender.verdicts import resolver

NOT_KEPT = "no decision on this pod is kept: it was before a restart, or too long ago"
NONE_YET = "no decision on this pod is kept: kube-scheduler has not asked about it of late"
_MOST_NODES = 5  # shown where no node is asked about
_MOST_REASONS = 3  # of refusals, one node each


def why(
    judging: engine.Engine,
    pod: objects.Pod | None,
    made: decision.Decision | None,
    node: str = "",
) -> Generator[None, None, dict[str, Any]]:
    """All that is known, as JSON holds it; of the pod and the decision one may be missing."""
    bound = pod is not None and bool(pod.spec.node_name)
    notes = [] if made is not None else [NOT_KEPT if bound else NONE_YET]
    body: dict[str, Any] = {
        "pod": made.pod if made is not None else title(pod),
        "demand": made.demand if made is not None else "",
        "state": decision.GONE if pod is None else decision.WAITING,
        "node": "",
        "decision": decision_json.of(made) if made is not None else None,
        "onNode": decision_json.on_node(made, node) if made is not None and node else None,
        "outvoted": decision_json.outvoted(made) if made is not None else None,
        "said": decision_json.sentences(made) if made is not None else [],
        "now": [],
        "refusedNow": [],
        "notes": notes,
    }
    if pod is not None:
        if pod.spec.node_name:
            body["state"], body["node"] = decision.BOUND, pod.spec.node_name
        yield from _now(judging, pod, node, body)
    return body


def title(pod: objects.Pod | None) -> str:
    """NAMESPACE/NAME."""
    return f"{pod.metadata.namespace or 'default'}/{pod.metadata.name}" if pod is not None else ""


def _now(
    judging: engine.Engine, pod: objects.Pod, node: str, body: dict[str, Any]
) -> Generator[None, None, None]:
    """How the nodes stand if the pod came now."""
    now = yield from why_node.picture(judging, pod)
    resolved = now.resolved
    if isinstance(resolved, resolver.NotJudged):
        body["notes"].append(f"not judged: {resolved.why}")
        return
    body["demand"] = body["demand"] or explain_demand.demand(resolved)
    if store.bound_to(pod):
        body["notes"].append("now: as if the pod were not there, its devices given back")
    reasons = Counter(now.refused.values())
    reasons.update("; ".join(w) for name, w in now.others.items() if name not in now.refused)
    body["refusedNow"] = [{"reason": text, "nodes": n} for text, n in reasons.most_common()]
    names = [node] if node else list(_examples(now))
    for name in names:
        found = yield from why_node.why(now, name)
        body["now"].append(found.as_json())
        yield


def _examples(now: why_node.Picture) -> dict[str, None]:
    """The nodes to tell of: those ranked first, or one for each of the main reasons."""
    if now.scored is not None:
        order = now.scored.cost.argsort(kind="stable")[:_MOST_NODES]
        return dict.fromkeys([now.best, *(now.names[at] for at in order)])
    found: dict[str, None] = {}
    for reason, _ in Counter(now.refused.values()).most_common(_MOST_REASONS):
        found[next(name for name, why in now.refused.items() if why == reason)] = None
    return found
