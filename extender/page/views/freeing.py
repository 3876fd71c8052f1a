"""What would let a waiting pod go: the smallest changes that each make one node take it."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator

from extender.decisions import engine
from extender.decisions.counterfactual import changes, why_node
from extender.kube.api import objects
from extender.page import timed_batches

_SEARCHED = 12  # nodes with the most free GPUs: each search tries some sets of pods
_SHOWN = 4
_NOBODY = 1 << 16  # leaves: more than any node has pods


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """One node, why it refuses, and the changes of which each alone makes it take the pod."""

    node: str
    reason: str
    changes: tuple[changes.Change, ...]


def ways(judging: engine.Engine, pod: objects.Pod) -> Generator[None, None, tuple[Way, ...]]:
    """The nodes for which the fewest pods would have to leave, in turns."""
    busy = yield from _busy(judging, pod)
    now = yield from why_node.picture(judging, pod, among=frozenset(busy))
    found: list[tuple[int, int, Way]] = []
    for position, name in enumerate(busy):
        why = yield from why_node.why(now, name)
        if why.changes:
            leaving = [len(each.pods) for each in why.changes if each.pods]
            way = Way(name, why.reason, why.changes)
            # What frees it is a pod that leaves; that it might ask for less comes after.
            found.append((min(leaving, default=_NOBODY), position, way))
        yield
    return tuple(way for *_, way in sorted(found, key=lambda each: each[:2])[:_SHOWN])


def _busy(judging: engine.Engine, pod: objects.Pod) -> Generator[None, None, list[str]]:
    """Nodes that refuse the pod now and could take it, those with the most free GPUs first."""
    found: list[tuple[float, str]] = []
    names = sorted(judging.index.rows)
    yield
    sliced = timed_batches.TimedBatches(len(names))
    for part in sliced:
        with sliced:
            with judging.assumed.suspended(pod):
                failed = judging.filter_only(pod, names[part]).failed
            for name in failed:
                row = judging.index.rows.get(name)
                if row is not None:
                    free = float(judging.pricer.inventory.left(judging.index.state[[row]])[0])
                    found.append((-free, name))
        yield
    return [name for _, name in sorted(found)[:_SEARCHED]]


def on_node(
    judging: engine.Engine, pod: objects.Pod, name: str
) -> Generator[None, None, why_node.WhyNode]:
    """How one node stands for the pod now, and what would change that."""
    now = yield from why_node.picture(judging, pod)
    found = yield from why_node.why(now, name)
    return found
