"""One pod: what it asks for, where it is or why it is nowhere, and which nodes are the best."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Sequence

import numpy as np

from extender.decisions import engine
from extender.decisions.explanation import explain, explain_demand
from extender.demand import claims
from extender.kube.api import objects
from extender.page import links, timed_batches
from extender.page.views import node_view, pending
from extender.verdicts import resolver

_BEST = 5  # nodes that are shown in full
# Nodes that are priced together. Fewer take as long, as what few have in common is not found.
# More, grown where prices were kept, then meet nodes without: 32 take 0.7 ms there once what they
# rest on is counted, 512 take 10.
_PRICED = 32
# Of these, so many in a turn of their own are judged as the pod would leave them, and what devices
# allow there is counted: two thirds of what prices take where nothing is known.
_COUNTED = 16
_A_PAGE_SECONDS = 0.2  # of the processor, that one page spends on pricing nodes


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """A device that the pod has, or would get."""

    request: str
    name: str
    href: str


@dataclasses.dataclass(frozen=True, slots=True)
class PodView:
    """The page of a pod.

    `best` are the nodes with the highest scores, the first first; None while they are worked out.
    """

    namespace: str
    name: str
    phase: str
    node: str
    demand: str
    profile: str
    priority: int
    created: str
    held: tuple[Held, ...]
    inferred: bool
    judged: pending.GroupJudgement | None
    best: tuple[explain.Explained, ...] | None
    notes: tuple[str, ...]


def view(
    judging: engine.Engine, pod: objects.Pod, *, spent: Callable[[], float] = time.thread_time
) -> Generator[None, None, PodView]:
    """Describe a pod, in turns; `spent` is the processor's time in seconds."""
    judging.settle()
    resolved = judging.resolver.resolve(pod, judging.policy)
    demand = profile = ""
    notes: tuple[str, ...] = ()
    if isinstance(resolved, resolver.NotJudged):
        notes = (resolved.why,)
    else:
        demand, profile = explain_demand.demand(resolved), resolved.profile.name
    judged: pending.GroupJudgement | None = None
    best: tuple[explain.Explained, ...] | None = ()
    if pending.is_waiting(pod):
        judged = yield from pending.judged(judging, pod)
        if judged.passing:
            best = yield from _best(judging, pod, judged.fitting, spent)
    held, inferred = _held(judging, pod)
    meta = pod.metadata
    return PodView(
        namespace=meta.namespace or "default",
        name=meta.name,
        phase=pod.status.phase or "Pending",
        node=pod.spec.node_name,
        demand=demand,
        profile=profile,
        priority=pod.spec.priority or 0,
        created=meta.creation_timestamp or "",
        held=held,
        inferred=inferred,
        judged=judged,
        best=best,
        notes=notes,
    )


def _best(
    judging: engine.Engine,
    pod: objects.Pod,
    passing: Sequence[str],
    spent: Callable[[], float],
) -> Generator[None, None, tuple[explain.Explained, ...] | None]:
    """Of the nodes that pass, those with the highest scores, explained; None beyond a page's time.

    What passes is what kube-scheduler's own filters let pass, too: it asks about no other node.

    A score is one of all nodes. What it is made of is kept by node, and worked out in turns, so
    that the next page goes on.
    """
    priced = timed_batches.TimedBatches(len(passing), spent=spent, least=_PRICED, most=_PRICED)
    for part in priced:
        for first in range(part.start, part.stop, _COUNTED):
            with priced:
                _count_ahead(judging, pod, passing[first : min(first + _COUNTED, part.stop)])
            yield
        with priced, judging.assumed.suspended(pod):
            judging.score(pod, passing[part], with_parts=False)
        yield
        if priced.used > _A_PAGE_SECONDS and part.stop < len(passing):
            return None
    with judging.assumed.suspended(pod):
        scored = judging.score(pod, passing, with_parts=False) if passing else None
    if scored is None:
        return ()
    order = np.argsort(-scored.scores, kind="stable")[:_BEST].tolist()
    yield
    found_words = yield from explain.explaining(judging, pod, [passing[number] for number in order])
    return found_words.nodes


def _count_ahead(judging: engine.Engine, pod: objects.Pod, names: Sequence[str]) -> None:
    """Work out what the prices of these nodes rest on, which `score` then finds done."""
    judging.settle()
    resolved = judging.resolver.resolve(pod, judging.policy)
    if isinstance(resolved, resolver.NotJudged) or resolved.by_node is not None:
        return
    if resolved.question and judging.pricer.priced:
        rows = judging.index.rows_of(names)
        states = judging.index.expected[rows[rows >= 0]]
        table = judging.table(resolved.question)
        table.fill(states)
        judging.pricer.count_ahead(np.concatenate([states, table.after[states]]))


def _held(judging: engine.Engine, pod: objects.Pod) -> tuple[tuple[Held, ...], bool]:
    """The devices that the pod has, and whether these are our guess."""
    detail = judging.index.detail(pod.spec.node_name) if pod.spec.node_name else None
    if detail is None or pending.is_over(pod):
        return (), False
    found: list[Held] = []
    own = claims.of_pod(pod, judging.store) if pod.spec.resource_claims else ()
    for claim in own if isinstance(own, tuple) else ():
        allocation = claim.allocation
        for each in (allocation.devices.results or ()) if allocation is not None else ():
            href = links.device(detail.name, each.driver, each.pool, each.device)
            found.append(Held(f"{claim.name}/{each.request}", each.device, href))
    return _with_plugin(judging, pod, found)


def _with_plugin(
    judging: engine.Engine, pod: objects.Pod, found: list[Held]
) -> tuple[tuple[Held, ...], bool]:
    detail = judging.index.detail(pod.spec.node_name)
    inferred = False
    if detail is not None and detail.machine.shape.resources:
        shown = node_view.view(detail, judging.store)
        key = (pod.metadata.namespace or "default", pod.metadata.name)
        known = {each.href for each in found}
        for tenant in shown.tenants:
            if (tenant.namespace, tenant.pod) != key:
                continue
            found += [Held("device plug-in", text, "") for text in tenant.units]
            for number in tenant.devices:
                href = node_view.href(detail, number)
                if href not in known:
                    inferred |= shown.inferred
                    found.append(Held("", shown.names[number], href))
    return tuple(found), inferred
