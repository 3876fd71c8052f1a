"""What the watch shows, as decisions take it: pods are learnt from, reservations may end."""

from __future__ import annotations

from extender.decisions.eviction import preemption
from extender.decisions.expected import assumed
from extender.demand import work
from extender.kube.api import objects
from extender.pricing.mix import observer
from extender.verdicts import resolver


class WatchChanges:
    """Hears of each change of the store, after it is made."""

    def __init__(
        self,
        resolving: resolver.Resolver,
        learning: observer.DemandObserver,
        evictions: preemption.Preemption,
        reserved: assumed.AssumedPods,
        spending: work.Work,
    ) -> None:
        self._resolver = resolving
        self._learning = learning
        self._evictions = evictions
        self._assumed = reserved
        self._work = spending

    def observe(self, kind: str, old: objects.Object | None, new: objects.Object | None) -> None:
        """Take a change: what was there before, and what is now; None where there is none."""
        if kind == "Pod":
            pod = new or old
            if not isinstance(pod, objects.Pod):
                return
            if old is None:
                self._learning.observe(pod)
            if new is None or pod.spec.node_name:
                self._resolver.forget(pod.metadata.uid)
                self._evictions.forget(pod.metadata.uid)
            self._assumed.pod_changed(pod, gone=new is None)
        elif isinstance(new, objects.ResourceClaim | objects.ResourceClaimTemplate) and old is None:
            self._learning.appeared(kind, new.metadata.name)
        if isinstance(new, objects.ResourceClaim):
            self._work.allow(work.SETTLING)
            self._assumed.claim_changed(new)
