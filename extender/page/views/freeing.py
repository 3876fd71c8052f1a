"""What would let a waiting pod go: the fewest pods that would have to leave one node.

It is the search of preemption, asked as if the pod were more important than all others; nothing is
evicted, and nothing is reserved.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator

import msgspec

from extender.decisions import engine, verb_results
from extender.decisions.eviction import victim_selection
from extender.kube.api import objects
from extender.verdicts import resolver

_MOST_PRIORITY = 2**31 - 1
_CHUNK = 16  # nodes judged in one turn
_SEARCHED = 32  # nodes with the most free GPUs: each search is a millisecond or two
_SHOWN = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Leaving:
    """A pod that would have to go; `preemptible`: the waiting pod may evict it by its priority."""

    namespace: str
    name: str
    priority: int
    preemptible: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """One node that takes the pod once these have left."""

    node: str
    pods: tuple[Leaving, ...]


def ways(judging: engine.Engine, pod: objects.Pod) -> Generator[None, None, tuple[Way, ...]]:
    """The nodes that the fewest pods would have to leave, in turns."""
    busy: list[tuple[float, str]] = []
    names = sorted(judging.index.rows)
    yield
    for first in range(0, len(names), _CHUNK):
        some = names[first : first + _CHUNK]
        with judging.assumed.suspended(pod):
            failed = judging.filter_only(pod, some).failed
        for name in failed:
            row = judging.index.rows.get(name)
            if row is not None:
                free = float(judging.room.inventory.left(judging.index.state[[row]])[0])
                busy.append((-free, name))
        yield
    found: list[tuple[int, int, str, Way]] = []
    for _, name in sorted(busy)[:_SEARCHED]:
        way = _way(judging, pod, name)
        if way is not None:
            barred = sum(not each.preemptible for each in way.pods)
            found.append((len(way.pods), barred, name, way))
        yield
    return tuple(way for *_, way in sorted(found, key=lambda each: each[:3])[:_SHOWN])


def _way(judging: engine.Engine, pod: objects.Pod, name: str) -> Way | None:
    """Who would have to leave this node; None where nobody's leaving helps, or it is unknown."""
    spec = msgspec.structs.replace(pod.spec, priority=_MOST_PRIORITY)
    urgent = msgspec.structs.replace(pod, spec=spec)
    with judging.assumed.suspended(pod):
        resolved = judging.resolver.resolve(pod, judging.policy)
        if isinstance(resolved, resolver.NotJudged) or not resolved.question:
            return None
        kept = victim_selection.keep(
            urgent,
            {name: verb_results.Victims()},
            on=judging.verdicts.of(resolved),
            cluster=judging.index,
        )
    victims = kept.get(name)
    if victims is None or not victims.pods:
        return None
    mine = pod.spec.priority or 0
    present = {p.metadata.uid: p for p in judging.store.pods_on.get(name, {}).values()}
    leaving = [present[uid] for uid in victims.pods if uid in present]
    return Way(
        name,
        tuple(
            Leaving(
                each.metadata.namespace or "default",
                each.metadata.name,
                each.spec.priority or 0,
                preemptible=(each.spec.priority or 0) < mine,
            )
            for each in leaving
        ),
    )
