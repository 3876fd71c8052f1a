"""What filter found of a pod, handed on until prioritize has answered; nobody else remembers it.

    POST /filter ──▶ Engine.filter ──▶ Ticket(pod, names, rows, layout, resolved, moment)
                                          │    while kube-scheduler reads filter's reply
                     Engine.prepare ──▶ Ticket(…, scored, moment)
                          nothing changed since `moment` ─▶ `resolved` as it is, else found anew
                                          │    the same names come back, mostly of the same pod
    POST /prioritize ─▶ Engine.prioritize
                          same pod, and nothing changed since `moment` ─▶ `scored` as it is
                          no name gained or lost its row since `layout` ─▶ scored anew from `rows`
                          else                                           ─▶ scored anew from `names`

The port keeps the ticket of the last filter beside the bytes by which it knows the next request
(`server.prepared_prioritize`). A ticket that is lost or too old costs time and changes no answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.decisions import scored_nodes
from extender.kube.api import objects
from extender.verdicts import resolver


@dataclasses.dataclass(frozen=True, slots=True)
class Ticket:
    """The names that filter let through for a pod, and what is known of them by now."""

    pod: objects.Pod
    names: list[str]
    rows: NDArray[np.int32] | None = None  # of the names, while the index has this `layout`
    layout: int = -1
    resolved: resolver.ResolvedPod | None = None  # what the pod asks for, at `moment`
    scored: scored_nodes.ScoredNodes | None = None  # what prioritize would answer at `moment`
    moment: Hashable = None

    @property
    def scores(self) -> NDArray[np.int64] | None:
        """The scores worked out ahead, parallel to `names`."""
        return None if self.scored is None else self.scored.scores

    def resolved_at(self, moment: Hashable) -> resolver.ResolvedPod | None:
        """What the pod asks for, if nothing has changed by this moment."""
        return self.resolved if self.moment == moment else None

    def rows_in(self, cluster: index.TopologyIndex) -> NDArray[np.int32]:
        """The rows of the names as they are now; -1 where a name is not known."""
        if self.rows is not None and self.layout == cluster.layout:
            return self.rows
        return cluster.rows_of(self.names)

    def of_pod(self, pod: objects.Pod) -> Ticket:
        """This ticket for a request about `pod`: another pod's scores are left out."""
        if pod is self.pod or pod == self.pod:
            return self
        return Ticket(pod, self.names, self.rows, self.layout)
