"""The demand mix is learnt from the pods that the watch shows: each once, the oldest first."""

from __future__ import annotations

from extender.cluster import gangs
from extender.decisions import asking, room
from extender.kube import objects
from extender.policy import config


class Learning:
    """Keeps the pods that were not learnt from yet."""

    def __init__(self, asker: asking.Asker, priced: room.Room, together: gangs.Gangs) -> None:
        self._asker = asker
        self._room = priced
        self._gangs = together
        self._new: dict[str, objects.Pod] = {}  # uid → pod

    def see(self, pod: objects.Pod) -> None:
        """The watch shows the pod for the first time."""
        self._new[pod.metadata.uid] = pod

    def learn(self, policy: config.Policy) -> None:
        """Count what has been seen."""
        if not self._new:
            return
        seen = sorted(self._new.values(), key=_age)
        self._new = {}
        for pod in seen:
            asked = self._asker.ask(pod, policy)
            if isinstance(asked, asking.Asked) and asked.bound_to:
                # It was bound before we came: the mix is to be as if we had seen it wait.
                asked = self._asker.ask_whole(pod, policy)
            if isinstance(asked, asking.Asked):
                together = asked.together
                self._room.learn(
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
