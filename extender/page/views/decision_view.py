"""Decisions as the history keeps them: a list, and one with its scores term by term."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Generator

from extender.history import decision, decision_history, decision_json

SHOWN = 100
_PARTS = 5  # of a score, that a table has columns for


@dataclasses.dataclass(frozen=True, slots=True)
class DecisionLine:
    """One decision of the list; `outcome` is in words, `good` None while it is not known."""

    made: decision.Decision
    time: str
    verdict: str
    outcome: str
    good: bool | None


@dataclasses.dataclass(frozen=True, slots=True)
class Term:
    """A part of the cost of a node, and by how much it differs from the winner's."""

    name: str
    value: float
    more: float


@dataclasses.dataclass(frozen=True, slots=True)
class RankedNode:
    """One of the best nodes; `behind` is what its cost exceeds the winner's by."""

    node: decision.BestNode
    behind: float
    terms: tuple[Term, ...]
    chosen: bool


@dataclasses.dataclass(frozen=True, slots=True)
class DecisionView:
    """The page of a decision. `asked` is what was answered for one node, if one was named."""

    line: DecisionLine
    first: str
    candidates: tuple[RankedNode, ...]
    parts: tuple[str, ...]
    outvoted: str
    asked: tuple[tuple[str, str], ...]


def listed(
    history: decision_history.DecisionHistory, *, text: str
) -> Generator[None, None, list[DecisionLine]]:
    """The newest decisions whose pod or node has the text, in turns."""
    found: list[DecisionLine] = []
    wanted = text.lower()
    for made in history.newest_first():
        if wanted in made.pod.lower() or wanted in made.outcome.node.lower():
            found.append(line(made))
        if len(found) == SHOWN:
            break
        yield
    return found


def of_pod(history: decision_history.DecisionHistory | None, uid: str) -> DecisionLine | None:
    """The last decision on a pod."""
    made = history.latest(uid) if history is not None else None
    return line(made) if made is not None else None


def of_name(
    history: decision_history.DecisionHistory, pod: str
) -> Generator[None, None, DecisionLine | None]:
    """The last decision on a pod of this namespace/name that is kept, in turns."""
    for made in history.newest_first():
        if made.pod == pod:
            return line(made)
        yield
    return None


def age(created: str, now: float) -> str:
    """How long ago a pod was created; empty where that is not known."""
    try:
        at = dt.datetime.fromisoformat(created)
    except ValueError:
        return ""
    return duration(now - at.timestamp()) if at.tzinfo is not None else ""


def duration(seconds: float) -> str:
    """A duration as people say it: 40 s, 25 min, 3 h, 2 days."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"


def find(
    history: decision_history.DecisionHistory, number: int
) -> Generator[None, None, decision.Decision | None]:
    """The decision of this number, in turns."""
    for made in history.newest_first():
        if made.number == number:
            return made
        yield
    return None


def line(made: decision.Decision) -> DecisionLine:
    """One decision in words."""
    verdict = f"{made.passed} of {made.asked} nodes passed" if made.passed else "refused everywhere"
    expected = decision_json.expected_node(made)
    outcome, state = made.outcome, made.outcome.state
    words = {decision.WAITING: "waits", decision.GONE: "deleted before it had a node"}.get(state)
    if words is None:
        words = f"went to {outcome.node}"
        if expected and expected == outcome.node:
            different = outcome.devices.get("different", 0)
            words += ", our best" + (", other devices than predicted" if different else "")
        elif expected:
            words += f", our best was {expected}"
    return DecisionLine(made, _clock(made.last), verdict, words, decision_json.as_predicted(made))


def view(made: decision.Decision, node: str) -> DecisionView:
    """One decision; `node`: also what was answered there."""
    parts = dict.fromkeys(part for each in made.best for part in each.parts)
    shown = tuple(parts)[:_PARTS]
    candidates = tuple(_candidate(made, each, shown) for each in made.best)
    facts: list[tuple[str, str]] = []
    if node:
        found = decision_json.on_node(made, node)
        facts = [(name, str(value)) for name, value in found.items() if value not in ("", {}, [])]
        facts = [(name, value) for name, value in facts if name not in {"devices", "parts"}]
    return DecisionView(
        line(made), _clock(made.first), candidates, shown, _outvoted(made), tuple(facts)
    )


def _candidate(
    made: decision.Decision, node: decision.BestNode, parts: tuple[str, ...]
) -> RankedNode:
    first = made.best[0]
    terms = tuple(
        Term(
            part, node.parts.get(part, 0.0), node.parts.get(part, 0.0) - first.parts.get(part, 0.0)
        )
        for part in parts
    )
    return RankedNode(node, node.cost - first.cost, terms, node.node == made.outcome.node)


def _outvoted(made: decision.Decision) -> str:
    """That kube-scheduler chose another node, and how many points of ours it gave up; else ""."""
    there, expected = made.outcome.node, made.expected
    if not there or expected is None or there == expected.node:
        return ""
    score = decision_json.score_on(made, there)
    if score is None:
        return f"kube-scheduler chose {there}; what it scored here is not kept any more."
    lost = expected.score - score
    return (
        f"kube-scheduler chose {there}, {lost} points of ours below {expected.node}: "
        "its own scores outvoted ours, or that node was gone when it chose."
    )


def _clock(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%H:%M:%S")
