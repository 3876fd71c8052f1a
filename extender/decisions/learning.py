"""The demand mix is learnt from the pods that the watch shows: each once, the oldest first.

Reading a pod takes time: a call reads as many as its allowance lets it, and the next one goes on.
"""

from __future__ import annotations

from extender.cluster import gangs
from extender.decisions import asking, room
from extender.demand import work
from extender.kube import objects
from extender.policy import config

# Units of work: to read one pod that is small.
_READING = 150
# Calls that a pod may keep waiting for its size; then nothing is learnt of it.
_MOST_TRIES = 64


class Learning:
    """Keeps the pods that were not learnt from yet."""

    def __init__(
        self,
        asker: asking.Asker,
        priced: room.Room,
        together: gangs.Gangs,
        spending: work.Work,
    ) -> None:
        self._work = spending
        self._tries = 0  # of the pod that is next
        self._asker = asker
        self._room = priced
        self._gangs = together
        self._new: dict[str, objects.Pod] = {}  # uid → pod

    def see(self, pod: objects.Pod) -> None:
        """The watch shows the pod for the first time."""
        self._new[pod.metadata.uid] = pod

    def __len__(self) -> int:
        """How many pods wait to be learnt from."""
        return len(self._new)

    def learn(self, policy: config.Policy) -> None:
        """Count what has been seen, as far as the call's allowance goes."""
        if not self._new:
            return
        for pod in sorted(self._new.values(), key=_age):
            self._work.spend(_READING)
            if self._work.spent:
                return
            if not self._learnt(pod, policy) and self._tries < _MOST_TRIES:
                self._tries += 1
                return
            self._tries = 0
            del self._new[pod.metadata.uid]

    def _learnt(self, pod: objects.Pod, policy: config.Policy) -> bool:
        """Count the pod; false where it must wait for another call."""
        asked = self._asker.ask(pod, policy)
        if isinstance(asked, asking.Asked) and asked.bound_to:
            # It was bound before we came: the mix is to be as if we had seen it wait.
            asked = self._asker.ask_whole(pod, policy)
        if isinstance(asked, asking.Unjudged):
            return True
        together = asked.together
        return self._room.learn(
            pod.metadata.uid,
            asked.question,
            cpu=asked.requests.cpu,
            memory=asked.requests.memory,
            together=together,
            members=self._gangs.size(together) if together else 1,
        )


def _age(pod: objects.Pod) -> tuple[str, str, str]:
    meta = pod.metadata
    return (meta.creation_timestamp or "", meta.namespace, meta.name)
