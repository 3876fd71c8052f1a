"""The demand mix is learnt from the pods of the watch: each once, the oldest first.

Resolving a pod takes time: a call resolves as many as its allowance covers, the next one goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from extender.demand import work
from extender.kube.api import objects
from extender.policy import config
from extender.pricing import headroom
from extender.verdicts import resolver

# Units of work: to resolve one small pod.
_RESOLVING = 150
# Pods whose claims have not arrived yet; more are not counted.
_MOST_WAITING = 4096


class DemandObserver:
    """Holds the pods that are not counted yet."""

    def __init__(
        self,
        resolving: resolver.Resolver,
        pricer: headroom.HeadroomPricer,
        spending: work.Work,
        *,
        on_kind: Callable[[resolver.ResolvedPod], None] = lambda _: None,
    ) -> None:
        self._work = spending
        self._on_kind = on_kind  # called for each pod that is learnt from
        # uid → the pod, and which object it waits for
        self._waiting: dict[str, tuple[objects.Pod, str]] = {}
        self._waited_for: Counter[str] = Counter()  # object → pods that wait for it
        self._classes = -1  # the version of the device classes by which pods were read
        self._resolver = resolving
        self._headroom = pricer
        self._new: dict[str, objects.Pod] = {}  # uid → pod

    def observe(self, pod: objects.Pod) -> None:
        """Take a pod that the watch shows for the first time."""
        self._new[pod.metadata.uid] = pod

    def __len__(self) -> int:
        """How many pods are not counted yet."""
        return len(self._new)

    def learn(self, policy: config.Policy) -> None:
        """Count the observed pods, as far as the call's allowance goes."""
        if self._classes != self._resolver.classes_version:
            self._classes = self._resolver.classes_version
            self._take_up(lambda _: True)
        if not self._new:
            return
        for pod in sorted(self._new.values(), key=age_of):
            if self._work.spent:
                return
            done = self._learn(pod, policy)
            # Charged afterwards: a turn that may do less than one pod takes gets on all the same.
            self._work.spend(_RESOLVING)
            if not done:
                return
            del self._new[pod.metadata.uid]

    def _learn(self, pod: objects.Pod, policy: config.Policy) -> bool:
        """Count the pod; false where the allowance ended before its selectors were compiled."""
        resolved = self._resolver.resolve(pod, policy)
        if isinstance(resolved, resolver.ResolvedPod) and (
            resolved.bound_to or resolved.question.extended != resolved.requests.extended
        ):
            # Bound before this process started, or for a resource that no node offered then: the
            # mix has to be what it is for a replica that knew the pod while it was pending.
            resolved = self._resolver.resolve_whole(pod, policy)
        if isinstance(resolved, resolver.NotJudged):
            if not resolved.unfinished:
                self._wait(pod, resolved.why)
            return not resolved.unfinished
        self._headroom.learn(
            pod.metadata.uid,
            resolved.question,
            cpu=resolved.requests.cpu,
            memory=resolved.requests.memory,
            together=resolved.together,
            age=age_of(pod),
            namespace=pod.metadata.namespace or "default",
        )
        self._on_kind(resolved)
        return True

    def appeared(self, kind: str, name: str) -> None:
        """A claim or a template has arrived: pods that waited for it can be resolved."""
        what = resolver.unknown(f"{kind} {name}")
        if what in self._waited_for:
            self._take_up(what.__eq__)

    def _take_up(self, freed: Callable[[str], bool]) -> None:
        """Resolve those pods again that waited for this."""
        for uid, (pod, why) in list(self._waiting.items()):
            if freed(why):
                del self._waiting[uid]
                self._new[uid] = pod
        self._waited_for = Counter(why for _, why in self._waiting.values())

    def _wait(self, pod: objects.Pod, why: str) -> None:
        """Keep a pod until the claim, template or class it refers to arrives."""
        if len(self._waiting) < _MOST_WAITING:
            self._waiting[pod.metadata.uid] = (pod, why)
            self._waited_for[why] += 1


def age_of(pod: objects.Pod) -> tuple[str, ...]:
    """What sorts pods by their age, the oldest first, and the same way on every replica."""
    meta = pod.metadata
    return (meta.creation_timestamp or "", meta.namespace, meta.name, meta.uid)
