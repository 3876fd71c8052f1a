"""A decision as it was made: what has to be taken while the cluster is as the decision saw it.

Arrays and objects are held as they are; nothing in them changes later. Putting them in short form
(`condensed`) reads nothing else, so it can wait until nobody does.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.cluster.names import name_order
from extender.decisions import refusals, scored_nodes, scorer, verb_results
from extender.decisions.explanation import explain_demand, shown_devices
from extender.history import decision
from extender.verdicts import evaluator, resolver

BEST = 5  # nodes that are kept with their parts and devices


@dataclasses.dataclass(frozen=True, slots=True)
class LeadingNode:
    """One of the nodes that were ranked first, and what it was then."""

    at: int  # among those scored
    name: str
    detail: index.Row | None
    parts: dict[str, float]


@dataclasses.dataclass(frozen=True, slots=True)
class CapturedScores:
    """What prioritize answered; `keys` tell its nodes apart (`name_order.order_of`)."""

    scored: scored_nodes.ScoredNodes
    keys: NDArray[np.int64]
    leading: tuple[LeadingNode, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class CapturedDecision:
    """One pod's filter, its prioritize, or both; `at` in seconds since 1970.

    `found` is None where no filter was seen, and has no ticket: the pod itself, which may be large,
    is not held on to. `keys` are those of the nodes asked.
    """

    at: float
    namespace: str
    name: str
    uid: str
    concerned: bool  # whether a decision on the pod is kept: it asks for devices, or filter came
    policy: str  # hash
    resolved: resolver.Resolution
    names: Sequence[str]
    keys: NDArray[np.int64]
    found: verb_results.FilterResult | None
    scores: CapturedScores | None


def keys_of(
    cluster: index.TopologyIndex, names: Sequence[str], rows: NDArray[np.int32]
) -> NDArray[np.int64]:
    """What tells these nodes apart later, when they have other rows."""
    keys: NDArray[np.int64] = cluster.order[rows]
    if len(rows) and rows.min() < 0:
        for at in np.flatnonzero(rows < 0).tolist():
            keys[at] = name_order.order_of(names[at])
    return keys


def scores(
    cluster: index.TopologyIndex,
    names: Sequence[str],
    scored: scored_nodes.ScoredNodes,
    scoring: scorer.Scorer,
) -> CapturedScores:
    """What prioritize answered, with the parts of the costs of the best nodes as they are now."""
    rows = scored.candidates.rows
    chosen = [one for one in _leading(scored) if rows[one] >= 0]
    some = scored.some(chosen)
    parts = some.parts
    if not parts and some.resolved.question:
        parts = scoring.parts_of(some.resolved, some.candidates, some.priced)
    values = {name: part.tolist() for name, part in parts.items()}
    leading = tuple(
        LeadingNode(
            one,
            names[one],
            cluster.details[int(rows[one])],
            {name: part[at] for name, part in values.items()},
        )
        for at, one in enumerate(chosen)
    )
    return CapturedScores(scored, cluster.order[rows], leading)


def condensed(captured: CapturedDecision, number: int) -> decision.Decision:
    """What filter answered, as it is kept under this number."""
    found = captured.found or verb_results.FilterResult()
    resolved = captured.resolved
    if isinstance(resolved, resolver.ResolvedPod):
        demand, profile = explain_demand.demand(resolved), resolved.profile.name
    else:
        demand, profile = f"not judged: {resolved.why}", ""
    refused, reason = _refused(captured.names, found)
    return decision.Decision(
        number=number,
        first=captured.at,
        last=captured.at,
        namespace=captured.namespace,
        name=captured.name,
        uid=captured.uid,
        demand=demand,
        profile=profile,
        policy=captured.policy,
        asked=len(captured.names),
        passed=len(captured.names) - len(found.failed) - len(found.unresolvable),
        unknown=found.unknown,
        refused=refused,
        answers=decision.NodeAnswers(
            key=captured.keys,
            reason=reason,
            cost=np.full(len(reason), np.nan, dtype=np.float32),
            score=np.full(len(reason), -1, dtype=np.int16),
        ),
    )


def with_scores(answers: decision.NodeAnswers, captured: CapturedScores) -> decision.NodeAnswers:
    """The answers with the costs and scores of the nodes that were scored."""
    scored, keys = captured.scored, captured.keys
    passed = np.flatnonzero(answers.reason < 0)
    if len(passed) != len(keys) or not (answers.key[passed] == keys).all():
        index_of = {key: at for at, key in enumerate(answers.key.tolist())}
        passed = np.array([index_of.get(key, -1) for key in keys.tolist()], dtype=np.intp)
    known = (scored.candidates.rows >= 0) & (passed >= 0)
    answers.cost[passed[known]] = scored.cost[known]
    answers.score[passed[known]] = scored.scores[known]
    return answers


def best_nodes(captured: CapturedScores) -> tuple[decision.BestNode, ...]:
    """The nodes ranked first, with their devices."""
    return tuple(_best(captured.scored, node) for node in captured.leading)


def _best(scored: scored_nodes.ScoredNodes, node: LeadingNode) -> decision.BestNode:
    at, resolved = node.at, scored.resolved
    verdict = scored.candidates.table.known(int(scored.candidates.states[at]))
    devices: tuple[decision.Device, ...] = ()
    locality = ""
    if node.detail is not None and verdict is not None and resolved.question:
        devices = tuple(found[:5] for found in shown_devices.named(resolved, node.detail, verdict))
        locality = verdict.locality.why if verdict.locality else ""
    cost, tie, score = float(scored.cost[at]), float(scored.tie[at]), int(scored.scores[at])
    return decision.BestNode(node.name, score, cost, tie, node.parts, devices, locality)


def _refused(
    names: Sequence[str], found: verb_results.FilterResult
) -> tuple[tuple[decision.RefusedNodes, ...], NDArray[np.int16]]:
    """The reasons, the most frequent first; and which of them each asked node has."""
    if found.judged is not None and found.distinct:
        reasons, codes = _by_verdict(found, found.judged[1])
    else:
        reasons, codes = _by_name(names, found)
    counts = np.bincount(codes[codes >= 0], minlength=len(reasons))
    order = np.argsort(-counts, kind="stable")
    position = np.zeros(len(reasons) + 1, dtype=np.int16)
    position[order] = np.arange(len(order))
    position[-1] = -1
    listed = [decision.RefusedNodes(reasons[n][1], int(counts[n]), reasons[n][0]) for n in order]
    return tuple(listed), position[codes]


def _by_verdict(
    found: verb_results.FilterResult, verdicts: NDArray[np.int8]
) -> tuple[list[tuple[bool, str]], NDArray[np.int16]]:
    """The distinct refusals, and the number of each node's, by the codes of their verdicts."""
    codes = np.full(len(verdicts), -1, dtype=np.int16)
    distinct: list[tuple[bool, str]] = []
    never = verdicts == evaluator.NEVER
    for_now = (verdicts >= evaluator.REFUSED_FROM) & ~never
    for final, chosen, refused in (
        (False, for_now, found.failed),
        (True, never, found.unresolvable),
    ):
        if not refused:
            continue
        texts = refused.texts if isinstance(refused, refusals.Refusals) else list(refused.values())
        # Equal reasons are mostly one object: a look-up for each is quicker than one per state.
        number_of = dict(zip(dict.fromkeys(texts), itertools.count(len(distinct)), strict=False))
        distinct += [(final, text) for text in number_of]
        codes[chosen] = np.fromiter(map(number_of.__getitem__, texts), np.int16, len(texts))
    return distinct, codes


def _by_name(
    names: Sequence[str], found: verb_results.FilterResult
) -> tuple[list[tuple[bool, str]], NDArray[np.int16]]:
    codes = np.full(len(names), -1, dtype=np.int16)
    numbers: dict[tuple[bool, str], int] = {}
    if found.failed or found.unresolvable:
        for at, name in enumerate(names):
            refusal = _refusal(found, name)
            if refusal[1]:
                codes[at] = numbers.setdefault(refusal, len(numbers))
    return list(numbers), codes


def _refusal(found: verb_results.FilterResult, name: str) -> tuple[bool, str]:
    """Whether the node is refused for good, and why."""
    never = name in found.unresolvable
    return never, (found.unresolvable if never else found.failed).get(name, "")


def _leading(scored: scored_nodes.ScoredNodes) -> list[int]:
    """The positions of the best nodes: by score, of equal ones the least cost, then the first."""
    scores = scored.scores
    if len(scores) > BEST:
        least = np.partition(scores, len(scores) - BEST)[len(scores) - BEST]
        above = np.flatnonzero(scores >= least)
        if len(above) > 16 * BEST:
            # Many share the last score; of these any few will do that cost the least.
            better = np.flatnonzero(scores > least)
            equal = np.flatnonzero(scores == least)
            cheap = np.argpartition(scored.cost[equal], BEST)[:BEST]
            above = np.concatenate([better, equal[np.sort(cheap)]])
    else:
        above = np.arange(len(scores))
    order = np.lexsort((scored.tie[above], scored.cost[above], -scores[above]))
    found: list[int] = above[order[:BEST]].tolist()
    return found
