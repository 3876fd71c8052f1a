"""What preempt chose on a node, as long as nothing of it that was looked at has changed.

kube-scheduler asks again for a pod that found no room, and for each pod of a group in turn: the
same nodes, the same offers. Whether all is as it was is seen by identity, at a tenth of the cost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from typing import TypeAlias

from extender import bounded_cache
from extender.cluster import index
from extender.decisions.verb_results import Victims
from extender.kube.api import objects

# Nodes, over all kinds of pods that preempt: 1,000 bytes each.
_MOST_NODES = 4096
# What of the pod decides beside its spec: its question, what surrounds the nodes, its priority.
Kind: TypeAlias = Hashable


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """All of a node that a choice rests on; equal ones lead to equal choices."""

    spec: objects.PodSpec
    detail: int  # identity of the row's detail
    version: int  # of the row
    objects: Sequence[object]  # pods, claims and reservations there


def seen(
    pod: objects.Pod, detail: index.Row, cluster: index.TopologyIndex, nominated: Sequence[object]
) -> Seen:
    """What the choice on this node rests on now."""
    source, name = cluster.store, detail.name
    here: list[object] = [*source.pods_on.get(name, {}).values(), None, *nominated, None]
    here += [*source.tenants_on.get(name, {}).values(), source.topologies.get(name)]
    here += [each for each in cluster.reservations.on(name) if each.pod != pod.metadata.uid]
    for pool in dict.fromkeys(detail.machine.pool_names):
        here += [source.claims[key] for key in source.allocated.get(pool, {})]
    row = cluster.rows[name]
    return Seen(pod.spec, id(detail), int(cluster.version[row]), here)


class RememberedChoices:
    """Choices by kind of pod and node, for what was offered there."""

    def __init__(self) -> None:
        self._known: bounded_cache.BoundedCache[
            tuple[Kind, str], tuple[Seen, Victims, tuple[Victims | None]]
        ] = bounded_cache.BoundedCache("chosen-victims", _MOST_NODES, bounded_cache.ENTRIES)
        # The choice that an allowance ended in the middle of, and what it is for.
        self._begun: tuple[tuple[Kind, str, Seen, Victims], object] | None = None

    @property
    def figures(self) -> bounded_cache.Figures:
        """How many choices are remembered."""
        return self._known.figures

    def of(
        self, kind: Kind, node: str, now: Seen, offered: Victims
    ) -> tuple[Victims | None] | None:
        """What was chosen (None in it: no evictions help); None where that has to be found."""
        known = self._known.get((kind, node))
        if known is None or known[1] != offered or known[0] != now:
            return None
        return known[2]

    def begun(self, kind: Kind, node: str, now: Seen, offered: Victims) -> object | None:
        """What was left in the middle of this choice, if anything was."""
        known, self._begun = self._begun, None
        return known[1] if known is not None and known[0] == (kind, node, now, offered) else None

    def leave(self, kind: Kind, node: str, now: Seen, offered: Victims, state: object) -> None:
        """Go on with this in the next call, where the choice is the same."""
        self._begun = (kind, node, now, offered), state

    def keep(
        self, kind: Kind, node: str, now: Seen, offered: Victims, chosen: Victims | None
    ) -> None:
        """Remember a choice."""
        self._known.put((kind, node), (now, offered, (chosen,)))
