"""Capacity for a shape, worked out in turns over the index as it was when the count began."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Generator, Sequence

import numpy as np
from numpy.typing import NDArray

from extender import errors
from extender.capacity import answer, blockers, node_counts, pod_shape, pool_capacity
from extender.cluster import index
from extender.decisions import engine, scorer
from extender.decisions.counterfactual import changes
from extender.decisions.explanation import explain_demand, in_tree_filters
from extender.demand import work
from extender.hardware.shape import Kind
from extender.policy import ranking
from extender.verdicts import query, resolver

_NODES_A_TURN = 4
_SCORED_A_TURN = 32  # nodes: about 2 ms where none of their states is priced yet
_MOST_TURNS = 1000  # for the selectors of the shape to be compiled
_SHARED = (
    "some devices are reached by several nodes, and each of these counts them: at most so many"
)
_NOT_JUDGED = "on {count} nodes no answer was found within the policy's budget: at least so many"
_UNITS = "{name} is counted in units that share a GPU: on {nodes} a unit is {part} of a GPU"
_PARTS = {2: "a half", 4: "a quarter"}
_MOST_NAMED = 3  # nodes of a note
_LEFT = "kube-scheduler also looks at {names}, which is not counted"

Turns = Generator[None, None, answer.ShapeCapacity]


def count(judging: engine.Engine, shape: pod_shape.PodShape) -> answer.ShapeCapacity:
    """Count at once; ConfigError where the shape cannot be judged."""
    turns = counting(judging, shape)
    while True:
        try:
            next(turns)
        except StopIteration as over:
            found: answer.ShapeCapacity = over.value
            return found


def counting(judging: engine.Engine, shape: pod_shape.PodShape) -> Turns:
    """`count` in turns, between which the cluster may go on: it is counted as it was."""
    while judging.read_nodes(_NODES_A_TURN):
        yield
    judging.settle()
    yield
    asked = yield from resolved(judging, shape)
    cluster = judging.index.frozen()
    judged = {name for name, _ in asked.question.extended}
    filters = in_tree_filters.InTreeFilters(shape.pod, judging.store, judged)
    yield
    counter = node_counts.NodeCounter(judging, cluster, asked)
    counts = yield from _counted(counter, filters, sorted(cluster.rows))
    rules = yield from _rules(judging, cluster, asked, counts)
    next_node = yield from _next(judging, asked, counts)
    found = yield from pool_capacity.grouping(counts, counter.question, filters.wanted())
    ranked = [*blockers.of_holders(counts, judging.store, counter.question)]
    yield
    ranked += blockers.of_fragmentation(found)
    ranked += blockers.of_amounts(counts)
    yield
    ranked += [*blockers.of_rules(rules), *blockers.of_nodes(counts)]
    ranked.sort(key=lambda blocker: -blocker.gain)
    ranked += blockers.of_hardware(counts, counter.question)
    return answer.ShapeCapacity(
        shape=shape.title,
        demand=explain_demand.demand(asked),
        generation=cluster.generation,
        fits=sum(pool.fits for pool in found),
        defragmented=sum(pool.defragmented for pool in found),
        empty=sum(pool.empty for pool in found),
        next_node=next_node,
        pools=found,
        blockers=tuple(ranked),
        notes=(*shape.notes, *_units(counts, judged), *_notes(counts, filters)),
    )


def resolved(
    judging: engine.Engine, shape: pod_shape.PodShape
) -> Generator[None, None, resolver.ResolvedPod]:
    """What a pod of the shape asks for; ConfigError where nobody can tell."""
    known = pod_shape.Unallocated(shape.extra, judging.store)
    why = ""
    for _ in range(_MOST_TURNS):
        judging.work.allow(work.JUDGING)
        found = judging.resolver.resolve_by(shape.pod, judging.policy, known)
        if isinstance(found, resolver.ResolvedPod):
            return found
        why = found.why
        if not found.unfinished:
            break
        yield
    raise errors.ConfigError("the shape cannot be counted", [(shape.title, why)])


def _counted(
    counter: node_counts.NodeCounter, filters: in_tree_filters.InTreeFilters, names: Sequence[str]
) -> Generator[None, None, list[node_counts.NodeCount]]:
    counts: list[node_counts.NodeCount] = []
    for name in names:
        found = yield from counter.count(name, filters)
        if found is not None:
            counts.append(found)
        yield
    return counts


def _rules(
    judging: engine.Engine,
    cluster: index.TopologyIndex,
    asked: resolver.ResolvedPod,
    counts: Sequence[node_counts.NodeCount],
) -> Generator[None, None, dict[str, tuple[int, int]]]:
    """Rule on locality → how many more fit without it, and on how many nodes."""
    gains: dict[str, tuple[int, int]] = {}
    for kind, without in _relaxed(asked):
        counter = node_counts.NodeCounter(judging, cluster, without)
        gain = nodes = 0
        for each in counts:
            if each.refusals:
                continue
            chain = yield from counter.chain(each.row, each.state)
            more = min([chain.count, *each.by_resource.values()]) - each.fits
            gain, nodes = gain + max(more, 0), nodes + (more > 0)
            yield
        gains[kind] = gain, nodes
    return gains


def _relaxed(asked: resolver.ResolvedPod) -> list[tuple[str, resolver.ResolvedPod]]:
    """The shape without each of the rules that it has on how close its devices must be."""
    found: list[tuple[str, resolver.ResolvedPod]] = []
    if asked.question.mode == "Required":
        found.append(("locality", _with(asked, mode="Preferred")))
    if any(claim.constraints for claim in asked.question.claims):
        found.append(("constraint", _with(asked, constraints=False)))
    return found


def _with(
    asked: resolver.ResolvedPod, *, mode: str = "", constraints: bool = True
) -> resolver.ResolvedPod:
    def changed(question: query.Query) -> query.Query:
        claims = question.claims
        if not constraints:
            claims = tuple(dataclasses.replace(claim, constraints=()) for claim in claims)
        return dataclasses.replace(question, claims=claims, mode=mode or question.mode)

    by_node = None if asked.by_node is None else changed(asked.by_node)
    return dataclasses.replace(asked, question=changed(asked.question), by_node=by_node)


def _next(
    judging: engine.Engine, asked: resolver.ResolvedPod, counts: Sequence[node_counts.NodeCount]
) -> Generator[None, None, str]:
    """The node that our scores put first among those that take the pod, in turns of some nodes."""
    left = [each.node for each in counts if each.fits]
    names: list[str] = []
    totals, ties, orders = [], [], []
    while left:
        some = [name for name in left[:_SCORED_A_TURN] if name in judging.index.rows]
        left = left[_SCORED_A_TURN:]
        rows = judging.index.rows_of(some)
        costs = _costs(judging, asked, rows) if some else None
        if costs is not None:
            names += some
            totals.append(costs.total)
            ties.append(costs.tie)
            orders.append(judging.index.order[rows])
        yield
    if not names:
        return ""
    scores = ranking.scores_of(
        np.concatenate(totals),
        np.concatenate(ties),
        maximum=judging.policy.scores.maximum,
        order=np.concatenate(orders),
    )
    return names[int(np.argmax(scores))]


def _costs(
    judging: engine.Engine, asked: resolver.ResolvedPod, rows: NDArray[np.int32]
) -> scorer.NodeCosts | None:
    judging.work.allow(work.JUDGING)
    table, states = judging.table(asked.question), judging.index.expected[rows]
    candidates = scorer.CandidateNodes(table, rows, states)
    if asked.question:
        table.fill(states)
        return judging.scoring.total_cost(asked, candidates)
    if judging.pricer.priced and judging.policy.cpu_pods == "Score":
        return judging.scoring.cost_of_cpu_pod(asked, candidates)
    return None


def _units(counts: Sequence[node_counts.NodeCount], judged: Collection[str]) -> list[str]:
    """Where a unit of what the shape asks for is less than a device: a share of it."""
    found: dict[tuple[str, int], list[str]] = {}  # (resource, units of a device) → nodes
    for each in counts:
        for resource in each.state.shape.resources:
            if resource.name in judged and resource.kind is Kind.GPU and resource.replicas > 1:
                found.setdefault((resource.name, resource.replicas), []).append(each.node)
    return [
        _UNITS.format(
            name=name,
            nodes=changes.listed(nodes, _MOST_NAMED),
            part=_PARTS.get(replicas, f"1/{replicas}"),
        )
        for (name, replicas), nodes in sorted(found.items())
    ]


def _notes(
    counts: Sequence[node_counts.NodeCount], filters: in_tree_filters.InTreeFilters
) -> tuple[str, ...]:
    notes: list[str] = []
    if pool_capacity.reaches_beyond(counts):
        notes.append(_SHARED)
    if unjudged := sum(not each.judged for each in counts):
        notes.append(_NOT_JUDGED.format(count=unjudged))
    if others := filters.not_judged():
        notes.append(_LEFT.format(names=", ".join(others)))
    notes += [f"no node offers {name}" for name in filters.unknown_names]
    return tuple(notes)
