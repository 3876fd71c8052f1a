"""Where the members of a gang are: bound, decided and not yet seen, or still waiting."""

from __future__ import annotations

from collections import Counter

from extender import bounded_cache
from extender.demand import gang
from extender.kube.api import objects

_PENDING = ("Pending", "")  # phases before a node is chosen; "" where none is written yet
_MOST_ASSUMED = 4096  # members decided and never seen again; the oldest are dropped


class Gangs:
    """Gang → nodes of its members. Bound pods are known from the watch, others are assumed."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[str, str]] = {}  # pod uid → (gang, node name)
        self._assumed: dict[str, None] = {}  # pod uids known by `assume` alone, oldest first
        self._nodes: dict[str, Counter[str]] = {}  # gang → node name → members there
        self._waiting: dict[str, set[str]] = {}  # gang → pod uids without a node
        self._waits_in: dict[str, str] = {}  # pod uid → gang

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def figures(self) -> bounded_cache.Figures:
        """How many members are assumed to have a node."""
        entries = bounded_cache.ENTRIES
        return bounded_cache.Figures("gang-members", len(self._assumed), _MOST_ASSUMED, entries)

    def nodes(self, name: str) -> Counter[str]:
        """How many members of the gang are on which node."""
        return self._nodes.get(name, Counter())

    def waiting(self, name: str, uid: str) -> int:
        """How many members of the gang have no node yet, the pod of that uid not counted."""
        return len(self._waiting.get(name, set()) - {uid})

    def of(self, uid: str) -> str:
        """The gang of a pod that has a node, "" where it has none, or is on its own."""
        return self._of.get(uid, ("", ""))[0]

    def size(self, name: str) -> int:
        """How many members are known, with a node or without."""
        return self.nodes(name).total() + len(self._waiting.get(name, ()))

    def see(self, pod: objects.Pod | None, uid: str, node: str) -> None:
        """The pod is bound to `node` now; None or "" where it is gone, or not bound."""
        name = gang.of_pod(pod) if pod is not None and node else ""
        self._assumed.pop(uid, None)
        self._put(uid, name, node)
        unplaced = pod is not None and not (node or pod.spec.node_name)
        waits = pod is not None and unplaced and pod.status.phase in _PENDING
        self._wait(uid, gang.of_pod(pod) if pod is not None and waits else "")

    def assume(self, pod: objects.Pod, node: str) -> None:
        """The pod was ranked first on `node`; believed until the watch says otherwise."""
        name = gang.of_pod(pod)
        if not name:
            return
        self._assumed.pop(pod.metadata.uid, None)
        self._assumed[pod.metadata.uid] = None
        self._put(pod.metadata.uid, name, node)
        self._wait(pod.metadata.uid, "")
        while len(self._assumed) > _MOST_ASSUMED:
            oldest = next(iter(self._assumed))
            del self._assumed[oldest]
            self._put(oldest, "", "")

    def withdraw(self, uid: str) -> str:
        """The pod waits again where it was only assumed to have a node; return that node, or ""."""
        if uid not in self._assumed:
            return ""
        del self._assumed[uid]
        name, node = self._of[uid]
        self._put(uid, "", "")
        self._wait(uid, name)
        return node

    def _wait(self, uid: str, name: str) -> None:
        old = self._waits_in.pop(uid, None)
        if old is not None:
            self._waiting[old].discard(uid)
            if not self._waiting[old]:
                del self._waiting[old]
        if name:
            self._waits_in[uid] = name
            self._waiting.setdefault(name, set()).add(uid)

    def _put(self, uid: str, name: str, node: str) -> None:
        old = self._of.pop(uid, None)
        if old is not None:
            members = self._nodes[old[0]]
            members[old[1]] -= 1
            if not members[old[1]]:
                del members[old[1]]
            if not members:
                del self._nodes[old[0]]
        if name:
            self._of[uid] = (name, node)
            self._nodes.setdefault(name, Counter())[node] += 1
