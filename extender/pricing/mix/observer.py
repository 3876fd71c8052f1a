"""The demand mix is learnt from the pods that the watch shows: each once, the oldest first.

Reading a pod takes time: a call reads as many as its allowance lets it, and the next one goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from extender.demand import work
from extender.kube.api import objects
from extender.policy import config
from extender.pricing import headroom
from extender.verdicts import resolver

# Units of work: to read one pod that is small.
_READING = 150
# Pods whose claims were not shown yet; of more nothing is learnt.
_MOST_WAITING = 4096


class DemandObserver:
    """Keeps the pods that were not learnt from yet."""

    def __init__(
        self,
        asker: resolver.Resolver,
        priced: headroom.HeadroomPricer,
        spending: work.Work,
    ) -> None:
        self._work = spending
        # uid → the pod, and what of it was missing
        self._waiting: dict[str, tuple[objects.Pod, str]] = {}
        self._missing: Counter[str] = Counter()  # what is missing → pods that wait for it
        self._classes = -1  # the version of the device classes by which pods were read
        self._asker = asker
        self._room = priced
        self._new: dict[str, objects.Pod] = {}  # uid → pod

    def see(self, pod: objects.Pod) -> None:
        """The watch shows the pod for the first time."""
        self._new[pod.metadata.uid] = pod

    def __len__(self) -> int:
        """How many pods wait to be learnt from."""
        return len(self._new)

    def learn(self, policy: config.Policy) -> None:
        """Count what has been seen, as far as the call's allowance goes."""
        if self._classes != self._asker.classes_version:
            self._classes = self._asker.classes_version
            self._take_up(lambda _: True)
        if not self._new:
            return
        for pod in sorted(self._new.values(), key=_age):
            self._work.spend(_READING)
            if self._work.spent:
                return
            self._learn(pod, policy)
            del self._new[pod.metadata.uid]

    def _learn(self, pod: objects.Pod, policy: config.Policy) -> None:
        """Count the pod."""
        asked = self._asker.ask(pod, policy)
        if isinstance(asked, resolver.ResolvedPod) and (
            asked.bound_to or asked.question.extended != asked.requests.extended
        ):
            # It was bound before we came, or asks what no node offered by then: the mix is to be
            # as if we had seen it wait.
            asked = self._asker.ask_whole(pod, policy)
        if isinstance(asked, resolver.NotJudged):
            self._wait(pod, asked.why)
            return
        self._room.learn(
            pod.metadata.uid,
            asked.question,
            cpu=asked.requests.cpu,
            memory=asked.requests.memory,
            together=asked.together,
            age=_age(pod),
            namespace=pod.metadata.namespace or "default",
        )

    def shown(self, kind: str, name: str) -> None:
        """The watch shows a claim or a template: pods that waited for it can be read."""
        what = resolver.unknown(f"{kind} {name}")
        if what in self._missing:
            self._take_up(what.__eq__)

    def _take_up(self, freed: Callable[[str], bool]) -> None:
        """Read those pods again that waited for this."""
        for uid, (pod, why) in list(self._waiting.items()):
            if freed(why):
                del self._waiting[uid]
                self._new[uid] = pod
        self._missing = Counter(why for _, why in self._waiting.values())

    def _wait(self, pod: objects.Pod, why: str) -> None:
        """Keep a pod of which something is missing until its claim, template or class is shown."""
        if len(self._waiting) < _MOST_WAITING:
            self._waiting[pod.metadata.uid] = (pod, why)
            self._missing[why] += 1


def _age(pod: objects.Pod) -> tuple[str, ...]:
    meta = pod.metadata
    return (meta.creation_timestamp or "", meta.namespace, meta.name, meta.uid)
