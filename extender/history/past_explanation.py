"""What was decided of a pod, in the form of an explanation: for pods that have their node."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence

from extender.decisions.explanation import explain, shown_devices
from extender.history import decision, decision_json

NOT_ASKED = "kube-scheduler did not ask about it: its own filters refused it, or it had enough"
FORGOTTEN = "what was answered for this node is not kept any more"
_DECIDED = "as decided at {time} by policy {policy}, not as it would be now"
_NODES_A_TURN = 20


def explained(
    made: decision.Decision, names: Sequence[str]
) -> Generator[None, None, explain.Explanation]:
    """The decision on these nodes, the best first, in turns."""
    best = {each.node: each for each in made.best}
    found: list[explain.Explained] = []
    for number, name in enumerate(names):
        found.append(_best(best[name]) if name in best else _other(made, name))
        if number % _NODES_A_TURN == 0:
            yield
    found.sort(key=lambda node: (node.score is None, -(node.score or 0), node.cost or 0.0))
    yield
    decided = _DECIDED.format(time=decision_json.timestamp(made.last), policy=made.policy)
    notes = (decided, *decision_json.sentences(made))
    return explain.Explanation(made.pod, made.demand, made.profile, 0, tuple(found), notes)


def _best(each: decision.BestNode) -> explain.Explained:
    return explain.Explained(
        node=each.node,
        verdict=explain.FITS,
        score=each.score,
        devices=tuple(shown_devices.ShownDevice(*device) for device in each.devices),
        near=each.locality,
        parts={part: round(value, 6) for part, value in each.parts.items()},
        grounds=dict.fromkeys(each.parts, ""),
        cost=round(each.cost, 6),
        tie=round(each.tie, 6),
    )


def _other(made: decision.Decision, name: str) -> explain.Explained:
    body = decision_json.on_node(made, name)
    match body["verdict"]:
        case "not asked":
            return explain.Explained(name, explain.NOT_JUDGED, NOT_ASKED)
        case "forgotten":
            return explain.Explained(name, explain.NOT_JUDGED, FORGOTTEN)
        case "passed":
            found = explain.Explained(name, explain.FITS)
            return dataclasses.replace(found, score=body.get("score"), cost=body.get("cost"))
        case verdict:
            return explain.Explained(name, str(verdict), body["reason"])
