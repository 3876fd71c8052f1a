"""The same verdicts in words: per node what the pod would get, how good that is, and why not."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from extender.cluster import index
from extender.decisions import engine, scored_nodes
from extender.decisions.explanation import (
    explain_costs,
    explain_demand,
    pod_as_pending,
    shown_devices,
)
from extender.kube.api import objects
from extender.policy import profile
from extender.verdicts import resolver
from extender.verdicts.evaluator import Verdict, VerdictCode

FITS, NOT_JUDGED, REFUSED = "fits", "not judged", "refused"
_WORDS = {
    VerdictCode.FITS: FITS,
    VerdictCode.UNJUDGED: NOT_JUDGED,
    VerdictCode.BUSY: REFUSED,
    VerdictCode.NEVER: "refused for good",
}
NOT_KNOWN = "node is not known here"
ALLOCATED = "claim is allocated here"
NO_OPINION = "Railyard has no opinion on this pod"
_FREED_A_TURN = 500
_NODES_A_TURN = 4  # a millisecond's work at the most
# Priced for the first time so many take a millisecond and a half, and a twentieth of that later.
_PRICED_A_TURN = 32


@dataclasses.dataclass(frozen=True, slots=True)
class Explained:
    """One node's answer. `parts` are costs (smaller is better) that add up to `cost`.

    `tie` is what ranks nodes of equal cost, the least first: how much CPU and how many GPUs would
    be left there (`pricing.formula.tightness`), -1 on a node without GPUs.
    """

    node: str
    verdict: str
    reason: str = ""
    score: int | None = None
    devices: tuple[shown_devices.ShownDevice, ...] = ()
    near: str = ""  # locality in words
    bandwidth_factor: float | None = None
    parts: dict[str, float] = dataclasses.field(default_factory=dict)
    grounds: dict[str, str] = dataclasses.field(default_factory=dict)  # part → in plain words
    cost: float | None = None
    tie: float | None = None
    notes: tuple[str, ...] = ()  # what is inferred, not certain, or not known

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    """A pod's answer over the nodes asked, the best first."""

    pod: str
    demand: str
    profile: str
    generation: int
    nodes: tuple[Explained, ...]
    notes: tuple[str, ...] = ()

    def as_json(self, *, nodes: bool = True) -> dict[str, Any]:
        """As JSON holds it; without its nodes it is quick."""
        found = dataclasses.asdict(self if nodes else dataclasses.replace(self, nodes=()))
        if not nodes:
            del found["nodes"]
        return found


def explain(
    judging: engine.Engine,
    pod: objects.Pod,
    names: Sequence[str] | None = None,
    *,
    excluded: Collection[str] = (),
) -> Explanation:
    """Answer as filter and prioritize would, with the reasons; nothing is reserved.

    A score is a rank among the nodes that pass, so all nodes are judged, whichever are shown; and
    what the pod itself has reserved since does not stand in its way. Nodes that are `excluded`, as
    others refuse them, get no score.
    """
    turns = explaining(judging, pod, names, excluded)
    while True:
        try:
            next(turns)
        except StopIteration as over:
            found: Explanation = over.value
            return found


def explaining(
    judging: engine.Engine,
    pod: objects.Pod,
    shown: Sequence[str] | None = None,
    excluded: Collection[str] = (),
) -> Generator[None, None, Explanation]:
    """`explain` in turns, between which the cluster may change.

    All is scored in one turn, once all is priced. What a node would give is shown as it is when its
    turn comes.
    """
    yield from _settled(judging)
    names = sorted(judging.index.rows)
    yield
    shown = names if shown is None else list(dict.fromkeys(shown))
    names = names + [name for name in shown if name not in judging.index.rows]
    meta = pod.metadata
    title = f"{meta.namespace or 'default'}/{meta.name}"
    coming = pod_as_pending.arrival(judging, pod)
    resolved = coming.resolve()
    generation = judging.index.generation
    remarks = profile.remarks(pod, heeded=judging.policy.pod_annotations == "Allow")
    if coming.node:
        remarks = (pod_as_pending.AS_PENDING.format(node=coming.node), *remarks)
    if isinstance(resolved, resolver.NotJudged):
        unjudged = yield from _unjudged(shown, resolved.why)
        return Explanation(title, "", "", generation, unjudged, (resolved.why, *remarks))
    refused = yield from refusals(coming, resolved, names)
    passing = [name for name in names if name not in refused and name not in excluded]
    index_of = {name: number for number, name in enumerate(passing)}
    yield
    yield from priced(coming, resolved, passing)
    with coming.without([coming.node]):
        rows = judging.index.rows_of(passing)
        scored = judging.scored(resolved, rows, with_parts=True) if passing else None
        generation = judging.index.generation
    yield
    found = yield from _described(coming, resolved, shown, refused, scored, index_of)
    demand = explain_demand.demand(resolved)
    return Explanation(title, demand, resolved.profile.name, generation, tuple(found), remarks)


def priced(
    coming: pod_as_pending.PodAsPending, resolved: resolver.ResolvedPod, names: Sequence[str]
) -> Iterator[None]:
    """Price the nodes in turns: what a row costs is kept, so that scoring all of them is short."""
    judging = coming.judging
    for first in range(0, len(names), _PRICED_A_TURN):
        some = names[first : first + _PRICED_A_TURN]
        with coming.without([coming.node]):
            known = [name for name in some if name in judging.index.rows]
            if known:
                judging.scored(resolved, judging.index.rows_of(known), with_parts=False)
        yield


def _settled(judging: engine.Engine) -> Iterator[None]:
    """Bring the engine up to date, in turns."""
    while judging.read_nodes(_NODES_A_TURN):
        yield
    judging.settle()
    yield


def _unjudged(shown: Sequence[str], why: str) -> Generator[None, None, tuple[Explained, ...]]:
    """All nodes of a pod that is not judged."""
    found: list[Explained] = []
    for name in shown:
        found.append(Explained(name, _WORDS[VerdictCode.UNJUDGED], why))
        yield
    return tuple(found)


def _described(
    coming: pod_as_pending.PodAsPending,
    resolved: resolver.ResolvedPod,
    shown: Sequence[str],
    refused: Mapping[str, str],
    scored: scored_nodes.ScoredNodes | None,
    index_of: Mapping[str, int],
) -> Generator[None, None, list[Explained]]:
    """The nodes in words, the best first; `index_of` is where each that passes is in `scored`."""
    keys: list[tuple[bool, int, float, str]] = []
    nodes: list[Explained] = []  # in the order of their keys
    for first in range(0, len(shown), _NODES_A_TURN):
        some = shown[first : first + _NODES_A_TURN]
        passed = [name for name in some if name in index_of]
        judging = coming.judging
        with coming.without(some):
            words = _costs_in_words(
                judging, coming.pod, scored, [index_of[name] for name in passed]
            )
        yield
        words_of = dict(zip(passed, words, strict=False))
        with coming.given_back(some):
            for name in some:
                node = _node(judging, resolved, name, refused.get(name), scored, index_of.get(name))
                node = dataclasses.replace(node, grounds=words_of.get(name, {}))
                key = _order(node)
                at = bisect.bisect(keys, key)
                keys.insert(at, key)
                nodes.insert(at, node)
        yield
    while keys:  # so many at once take milliseconds to go
        del keys[-_FREED_A_TURN:]
        yield
    return nodes


def refusals(
    coming: pod_as_pending.PodAsPending, resolved: resolver.ResolvedPod, names: Sequence[str]
) -> Generator[None, None, dict[str, str]]:
    """Which nodes filter refuses, and why; each state is judged once, so this fills the tables."""
    found: dict[str, str] = {}
    for first in range(0, len(names), _NODES_A_TURN):
        some = names[first : first + _NODES_A_TURN]
        with coming.given_back(some):
            refused = coming.judging.filter_resolved(coming.pod, resolved, some)
        found.update(refused.failed)
        found.update(refused.unresolvable)
        yield
    return found


def _costs_in_words(
    judging: engine.Engine,
    pod: objects.Pod,
    scored: scored_nodes.ScoredNodes | None,
    positions: list[int],
) -> list[explain_costs.Words]:
    """The costs of some of the scored nodes in words."""
    if scored is None or not positions:
        return []
    table = judging.table(scored.resolved.question)
    some = scored.some(positions).by_numbers_of(table)
    return explain_costs.words_by_part(judging, pod, some)


def _node(
    judging: engine.Engine,
    resolved: resolver.ResolvedPod,
    name: str,
    reason: str | None,
    scored: scored_nodes.ScoredNodes | None,
    number: int | None,
) -> Explained:
    detail = judging.index.detail(name)
    if detail is None:
        return Explained(name, _WORDS[VerdictCode.UNJUDGED], NOT_KNOWN)
    if resolved.bound_to and not resolved.question and reason is None:
        return Explained(
            name, _WORDS[VerdictCode.FITS], ALLOCATED, devices=shown_devices.allocated(resolved)
        )
    if not resolved.question and scored is None and reason is None:
        left = explain_demand.left_over(resolved)
        return Explained(
            name,
            _WORDS[VerdictCode.UNJUDGED if left else VerdictCode.FITS],
            left or explain_demand.NO_DEVICES,
        )
    table = judging.verdicts.on(resolved, name)
    plain = table.verdict(int(judging.index.state[judging.index.rows[name]]))
    if reason is not None or scored is None or number is None:
        word = _WORDS[plain.code] if plain.code >= VerdictCode.BUSY else "refused for good"
        return Explained(
            name, word, reason or plain.reason,
            devices=shown_devices.predicted(resolved, detail, plain),
            near=plain.locality.why if plain.locality else "",
            notes=_notes(plain, detail),
        )  # fmt: skip
    now = scored.some([number]).by_numbers_of(judging.table(resolved.question))
    verdict = table.verdict(int(now.candidates.states[0]))
    return _scored_node(resolved, detail, plain, verdict, scored, number)


def _scored_node(
    resolved: resolver.ResolvedPod,
    detail: index.Row,
    plain: Verdict,
    verdict: Verdict,
    scored: scored_nodes.ScoredNodes,
    number: int,
) -> Explained:
    """A node that passes, by its verdict without reservations and by the expected one."""
    return Explained(
        node=detail.name,
        verdict=_WORDS[plain.code],
        reason=plain.detail,
        score=int(scored.scores[number]),
        devices=shown_devices.predicted(resolved, detail, verdict),
        near=verdict.locality.why if verdict.locality and resolved.question else "",
        bandwidth_factor=verdict.locality.rate if verdict.locality and resolved.question else None,
        parts={part: round(float(values[number]), 6) for part, values in scored.parts.items()},
        cost=round(float(scored.cost[number]), 6),
        tie=round(float(scored.tie[number]), 6),
        notes=_notes(verdict, detail),
    )


def _notes(verdict: Verdict, detail: index.Row) -> tuple[str, ...]:
    notes: list[str] = []
    if not verdict.certain:
        notes.append("this Kubernetes version walks pools in random order: one possible pick")
    if verdict.plugin and detail.usage.inferred:
        notes.append("devices behind the device plug-in are inferred, the API does not name them")
    if verdict.locality is not None and verdict.locality.unknown:
        notes.append("part of the locality is not published")
    return tuple(notes)


def _order(node: Explained) -> tuple[bool, int, float, str]:
    cost = np.inf if node.cost is None else node.cost
    return (node.score is None, -(node.score or 0), cost, node.node)
