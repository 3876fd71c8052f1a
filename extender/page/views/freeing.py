"""What would let a waiting pod go: the smallest changes that each make one node take it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Generator, Iterator

from extender.decisions import engine
from extender.decisions.counterfactual import why_node
from extender.kube.api import objects
from extender.page import timed_batches

_SEARCHED = 12  # nodes with the most free GPUs: each search tries some sets of pods
_SHOWN = 4
_NOBODY = 1 << 16  # leaves: more than any node has pods


@dataclasses.dataclass(frozen=True, slots=True)
class LinkedChange:
    """A change in words, cut where it names pods: (text, whether it is a pod's name)."""

    words: tuple[tuple[str, bool], ...]
    preemptible: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """One node, its free GPUs, and the changes of which each alone makes it take the pod."""

    node: str
    free: float
    gpus: float
    changes: tuple[LinkedChange, ...]


def ways(judging: engine.Engine, pod: objects.Pod) -> Generator[None, None, tuple[Way, ...]]:
    """The nodes for which the fewest pods would have to leave, in turns."""
    busy = yield from _busy(judging, pod)
    now = yield from why_node.picture(judging, pod, among=frozenset(busy))
    found: list[tuple[int, int, Way]] = []
    for position, name in enumerate(busy):
        why = yield from why_node.why(now, name)
        if why.changes:
            leaving = [len(each.pods) for each in why.changes if each.pods]
            way = _way(judging, why)
            # What frees it is a pod that leaves; that it might ask for less comes after.
            found.append((min(leaving, default=_NOBODY), position, way))
        yield
    return tuple(way for *_, way in sorted(found, key=lambda each: each[:2])[:_SHOWN])


def _way(judging: engine.Engine, why: why_node.WhyNode) -> Way:
    row = judging.index.rows.get(why.node, -1)
    free = total = 0.0
    if row >= 0:
        states, inventory = judging.index.state[[row]], judging.pricer.inventory
        free, total = float(inventory.left(states)[0]), float(inventory.gpus(states)[0])
    return Way(why.node, free, total, linked(judging, why))


def linked(judging: engine.Engine, why: why_node.WhyNode) -> tuple[LinkedChange, ...]:
    """The changes with the pods that they name told apart, so that a page can link them."""
    present = judging.store.pods_on.get(why.node, {}).values()
    names = {
        each.metadata.uid: f"{each.metadata.namespace or 'default'}/{each.metadata.name}"
        for each in present
    }
    return tuple(
        LinkedChange(
            tuple(_cut(each.words, {names[uid] for uid in each.pods if uid in names})),
            bool(each.pods) and each.preemptible,
        )
        for each in why.changes
    )


def _cut(words: str, names: set[str]) -> Iterator[tuple[str, bool]]:
    """The words between names, and the names: each is followed by what its pod holds."""
    # A longer name may end with a shorter one: what follows tells them apart, not what precedes.
    longest = sorted(names, key=lambda each: (-len(each), each))
    if not longest:
        yield words, False
        return
    pattern = "|".join(map(re.escape, longest))
    for number, part in enumerate(re.split(rf"(?<!\S)({pattern})(?= \()", words)):
        if part:
            yield part, bool(number % 2)


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
