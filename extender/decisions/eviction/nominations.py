"""Evictions that preempt agreed to, until the pod that they are for has its node.

kube-scheduler asks filter about the pod again once it has seen its victims go. The watch may tell
us a moment later: to refuse the node then would make it evict others elsewhere.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from extender import bounded_cache
from extender.decisions.verb_results import Victims

# Longer than pods take to end: their grace period is 30 s unless they say otherwise.
SECONDS = 120.0
_MOST = 4096  # pods that preempt at once


class Nominations:
    """What was agreed, by the uid of the pod that makes room for itself; `now` is in seconds."""

    def __init__(self) -> None:
        # pod uid → deadline, node name → victims; the oldest first
        self._agreed: OrderedDict[str, tuple[float, Mapping[str, Victims]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._agreed)

    @property
    def figures(self) -> bounded_cache.Figures:
        """How many pods were granted evictions."""
        entries = bounded_cache.ENTRIES
        return bounded_cache.Figures("granted-evictions", len(self._agreed), _MOST, entries)

    def agree(self, uid: str, kept: Mapping[str, Victims], *, now: float) -> None:
        """Note what preempt answered; it stands in for what it answered before."""
        self._agreed.pop(uid, None)
        if uid and kept:
            self._agreed[uid] = now + SECONDS, kept
            if len(self._agreed) > _MOST:
                self._agreed.popitem(last=False)

    def of(self, uid: str, *, now: float) -> Mapping[str, Victims]:
        """The victims on each node, empty for a pod that preempts nothing."""
        deadline, kept = self._agreed.get(uid, (now, {}))
        return kept if now < deadline else {}

    def forget(self, uid: str) -> None:
        """The pod has its node, or is gone."""
        self._agreed.pop(uid, None)
