"""What draining a node changes, on a copy of the cluster.

Its pods go where kube-scheduler sends them, and the shape is counted again.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from extender import errors
from extender.capacity import answer, counting, node_counts, pod_shape
from extender.cluster import relevant_fields
from extender.decisions import engine
from extender.decisions.explanation import in_tree_filters
from extender.hardware.usage import NOTHING, NodeState
from extender.simulation import changes, placer

_SEED = 0  # of the draws among equal totals: the same question has the same answer
_DAEMONS = "{count} pods of DaemonSets stay, and are not counted in what the emptied node takes"


def draining(
    copied: engine.Engine, shape: pod_shape.PodShape, name: str
) -> Generator[None, None, answer.Drained]:
    """Drain the node in turns; `copied` is changed. ConfigError where there is no such node."""
    if name not in copied.store.nodes:
        raise errors.ConfigError("the node cannot be drained", [(name, "no such node")])
    freed = yield from _freed(copied, shape, name)
    changes.cordon(copied, name)
    evicted = changes.evict(copied, name)
    copied.settle()
    yield
    placing = placer.Placer(copied, np.random.default_rng(_SEED))
    moved: list[answer.Moved] = []
    for each in evicted:
        placing.arrive(each.pod, each.claims)
        found = placing.place(each.pod)
        meta = each.pod.metadata
        if found is None:
            placing.leave(meta.uid)
        moved.append(answer.Moved(f"{meta.namespace}/{meta.name}", found.node if found else ""))
        yield
    then = yield from counting.counting(copied, shape)
    left = [
        pod
        for pod in copied.store.pods_on.get(name, {}).values()
        if pod.status.phase not in relevant_fields.FINISHED
    ]
    notes = (_DAEMONS.format(count=len(left)),) if left else ()
    return answer.Drained(name, tuple(moved), then.fits, freed, notes)


def _freed(
    copied: engine.Engine, shape: pod_shape.PodShape, name: str
) -> Generator[None, None, int]:
    """How many the node takes once nothing is on it, whatever cordons it."""
    asked = yield from counting.resolved(copied, shape)
    detail = copied.index.detail(name)
    if detail is None:
        return 0
    counter = node_counts.NodeCounter(copied, copied.index.frozen(), asked)
    judged = {resource for resource, _ in asked.question.extended}
    filters = in_tree_filters.InTreeFilters(shape.pod, copied.store, judged)
    unused = NodeState(detail.machine.shape, NOTHING)
    chain = yield from counter.chain(copied.index.rows[name], unused)
    wanted, left = filters.wanted(), filters.left(detail.node, empty=True)
    return min([chain.count, *(amount // wanted[each] for each, amount in left.items())])
