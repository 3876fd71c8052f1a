"""Why a pod is not on a node, and what would have to change: one answer, worked out in turns."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from typing import Any

import numpy as np

from extender.decisions import engine, scored_nodes
from extender.decisions.counterfactual import changes, holders, passing_node, refused_node
from extender.decisions.explanation import explain, in_tree_filters, pod_as_pending
from extender.kube.api import objects
from extender.verdicts import resolver

_NODES_A_TURN = 4
BEST, PASSES, REFUSED, SCHEDULER, NOT_JUDGED = (
    "best",
    "not the best",
    "refused",
    "refused by kube-scheduler",
    "not judged",
)


@dataclasses.dataclass(frozen=True, slots=True)
class WhyNode:
    """How a node stands for a pod now.

    `rank` counts from 1 among the `of` nodes that can take the pod; `best` is the first of them.
    `scheduler` is what kube-scheduler's own filters have against the node. `changes` are those of
    which each alone would make the node take the pod (refused), or be the best one for it.
    """

    node: str
    verdict: str
    reason: str = ""
    scheduler: tuple[str, ...] = ()
    rank: int = 0
    of: int = 0
    best: str = ""
    score: int | None = None
    best_score: int | None = None
    cost: float | None = None
    best_cost: float | None = None
    differences: tuple[passing_node.CostDifference, ...] = ()
    holders: tuple[changes.EvictableHolder, ...] = ()
    changes: tuple[changes.Change, ...] = ()

    def as_json(self) -> dict[str, Any]:
        found = dataclasses.asdict(self)
        found["differences"] = [each.as_json() for each in self.differences]
        found["bestScore"], found["bestCost"] = found.pop("best_score"), found.pop("best_cost")
        return found


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """The nodes as the pod would find them now: who passes, and how these were scored.

    `refused` are ours, node → reason; `others` what kube-scheduler's filters say, node → reasons.
    """

    coming: pod_as_pending.PodAsPending
    resolved: resolver.Resolution
    names: tuple[str, ...] = ()
    refused: dict[str, str] = dataclasses.field(default_factory=dict)
    others: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    scored: scored_nodes.ScoredNodes | None = None

    @property
    def best(self) -> str:
        """The node that is ranked first; empty where none passes."""
        if self.scored is None:
            return ""
        return self.names[int(np.argmax(self.scored.scores))]


def picture(
    judging: engine.Engine, pod: objects.Pod, *, among: frozenset[str] | None = None
) -> Generator[None, None, Picture]:
    """Judge the pod on all nodes, or on those `among` them, as if it came now."""
    judging.settle()
    coming = pod_as_pending.arrival(judging, pod)
    resolved = coming.resolve()
    yield
    if isinstance(resolved, resolver.NotJudged):
        return Picture(coming, resolved)
    names = [name for name in sorted(judging.index.rows) if among is None or name in among]
    yield
    refused = yield from explain.refusals(coming, resolved, names)
    judged = {name for name, _ in resolved.question.extended}
    filters = in_tree_filters.InTreeFilters(pod, judging.store, judged)
    others: dict[str, tuple[str, ...]] = {}
    for position, name in enumerate(names):
        node = judging.store.nodes.get(name)
        if node is not None and (refusals := filters.answer(node).refusals):
            others[name] = refusals
        if position % _NODES_A_TURN == 0:
            yield
    passing = [name for name in names if name not in refused and name not in others]
    if resolved.question:
        yield from explain.priced(coming, resolved, passing)
    scored = None
    with coming.without([coming.node]):
        passing = [name for name in passing if name in judging.index.rows]
        if passing and resolved.question:
            rows = judging.index.rows_of(passing)
            scored = judging.scored(resolved, rows, with_parts=True)
    yield
    return Picture(coming, resolved, tuple(passing), refused, others, scored)


def why(now: Picture, name: str) -> Generator[None, None, WhyNode]:
    """How the node stands; the picture is of a moment ago."""
    judging, resolved = now.coming.judging, now.resolved
    detail = judging.index.detail(name)
    if detail is None:
        return WhyNode(name, NOT_JUDGED, explain.NOT_KNOWN, best=now.best)
    if isinstance(resolved, resolver.NotJudged):
        return WhyNode(name, NOT_JUDGED, resolved.why)
    if name in now.refused or name in now.others:
        held = holders.on(detail, judging.index, now.coming.pod)
        yield
        found: list[changes.Change] = []
        if not (resolved.bound_to or _kept_away(now, resolved, name)):
            found = yield from refused_node.search(
                now.coming, resolved, detail, held, amounts_fit=name not in now.others
            )
        verdict = REFUSED if name in now.refused else SCHEDULER
        return WhyNode(
            name,
            verdict,
            now.refused.get(name, ""),
            scheduler=now.others.get(name, ()),
            of=len(now.names),
            best=now.best,
            holders=tuple(held),
            changes=tuple(found),
        )
    if now.scored is None or name not in now.names:
        return WhyNode(name, PASSES, explain.NO_OPINION, of=len(now.names))
    return (yield from _passing(now, now.scored, now.names.index(name)))


def _kept_away(now: Picture, resolved: resolver.ResolvedPod, name: str) -> bool:
    """Whether a taint or a label keeps the pod away, whoever leaves and whatever it requests."""
    source = now.coming.judging.store
    node = source.nodes.get(name)
    judged = {resource for resource, _ in resolved.question.extended}
    filters = in_tree_filters.InTreeFilters(now.coming.pod, source, judged)
    return node is not None and bool(filters.refusals(node))


def _passing(
    now: Picture, scored: scored_nodes.ScoredNodes, position: int
) -> Generator[None, None, WhyNode]:
    best, judging = int(np.argmax(scored.scores)), now.coming.judging
    with now.coming.without([now.coming.node]):
        found = passing_node.search(judging, scored, list(now.names), position)
        rank = 1 + len(passing_node.ranked_before(judging, scored, position))
    yield
    return WhyNode(
        now.names[position],
        BEST if position == best else PASSES,
        rank=rank,
        of=len(now.names),
        best=now.names[best],
        score=int(scored.scores[position]),
        best_score=int(scored.scores[best]),
        cost=round(float(scored.cost[position]), 6),
        best_cost=round(float(scored.cost[best]), 6),
        differences=tuple(passing_node.differences(scored, position, best))
        if position != best
        else (),
        changes=tuple(found),
    )
