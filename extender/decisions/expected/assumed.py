"""What a decision leaves behind, until the watch shows what became of it.

A pod is assumed to go to the node ranked first: its devices are softly reserved there, it counts
with its gang, and what it would get is kept for comparison with what kube-scheduler writes. Each
reservation ends when the watch confirms or contradicts it, or at its deadline.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from extender.cluster import index, store
from extender.cluster.pods import gangs, reservations
from extender.decisions.expected import prediction_log
from extender.kube.api import objects
from extender.verdicts import resolver, verdict_table

_CONFIRMING = frozenset({"Pod", "ResourceClaim"})


class AssumedPods:
    """Makes, keeps and ends reservations; `now` is in seconds, on one clock."""

    def __init__(
        self,
        cluster: index.TopologyIndex,
        together: gangs.Gangs,
        predicted: prediction_log.PredictionLog,
    ) -> None:
        self._index = cluster
        self._gangs = together
        self._predictions = predicted

    def reserve(
        self,
        pod: objects.Pod,
        resolved: resolver.ResolvedPod,
        name: str,
        table: verdict_table.Verdicts,
        state: int,
        *,
        deadline: float,
    ) -> None:
        """Hold what the pod would get on the node, which was judged in that state."""
        verdict = table.verdict(state)
        if not pod.metadata.uid or not (verdict.picks or verdict.plugin):
            return
        hardware = table.states[state].shape
        counts = dict(resolved.question.extended)
        held = reservations.Reservation(
            pod=pod.metadata.uid,
            node=name,
            deadline=deadline,
            cpu=resolved.requests.cpu,
            memory=resolved.requests.memory,
            picks=verdict.picks,
            held=tuple(counts.get(resource.name, 0) for resource in hardware.resources),
            taken=sum(1 << d for _, devices in verdict.plugin for d in devices),
            claims=tuple(
                (pod.metadata.namespace or "default", claim.claim_name) for claim in resolved.claims
            ),
        )
        self._index.mark_changed(self._index.reservations.assume(held))
        self._gangs.assume(pod, name)

    @contextlib.contextmanager
    def suspended(self, pod: objects.Pod) -> Iterator[None]:
        """For a moment, nothing is reserved for the pod."""
        uid = pod.metadata.uid
        held, node = self._index.reservations.of(uid), self._gangs.withdraw(uid)
        self.withdraw(uid)
        try:
            yield
        finally:
            if held is not None:
                self._index.mark_changed(self._index.reservations.assume(held))
            if node:
                self._gangs.assume(pod, node)

    def withdraw(self, uid: str) -> None:
        """The pod is judged again: its own reservation must not count against it."""
        self._index.mark_changed(self._index.reservations.forget(uid))
        self._gangs.withdraw(uid)

    def overdue(self, now: float) -> bool:
        """Whether a reservation is past its deadline, and may end."""
        watched = self._index.store.silent.isdisjoint(_CONFIRMING)
        return watched and self._index.reservations.overdue(now)

    def expire(self, now: float) -> None:
        """End what is past its deadline."""
        if self._index.store.silent.isdisjoint(_CONFIRMING):
            # While these are not watched, nothing could have confirmed a reservation.
            self._index.mark_changed(self._index.reservations.expire(now))
        self._predictions.expire(now)

    def pod_changed(self, pod: objects.Pod, *, gone: bool) -> None:
        """The watch shows the pod as it is now, or as it was when it went."""
        uid, held = pod.metadata.uid, self._index.reservations
        if gone:
            self._index.mark_changed(held.forget(uid))
            self._predictions.forget(uid)
        elif pod.spec.node_name:
            self._index.mark_changed(held.pod_seen(uid, pod.spec.node_name))
        self._gangs.see(None if gone else pod, uid, "" if gone else store.bound_to(pod))

    def claim_changed(self, claim: objects.ResourceClaim) -> None:
        """The watch shows the claim; with an allocation it confirms or contradicts."""
        if claim.status.allocation is None:
            return
        served = {self._predictions.allocated(claim)}
        served |= {consumer.uid for consumer in claim.status.reserved_for or ()}
        key = (claim.metadata.namespace or "default", claim.metadata.name)
        node = prediction_log.node_of(claim.status.allocation)
        for uid in served:
            self._index.mark_changed(self._index.reservations.claim_seen(uid, key, node))
