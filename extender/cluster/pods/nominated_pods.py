"""Which pods wait for a node that preemption makes room on."""

from __future__ import annotations

from typing import TypeAlias

from extender.cluster import relevant_fields
from extender.kube.api import objects

_Key: TypeAlias = tuple[str, str]  # (namespace, name)


class NominatedPods:
    """Pods without a node that are nominated to one; `on` has them by its name."""

    def __init__(self) -> None:
        self.on: dict[str, dict[_Key, objects.Pod]] = {}  # node name → pods that wait for it
        self._of: dict[_Key, str] = {}  # pod → node name under which it stands there

    def see(self, key: _Key, pod: objects.Pod | None) -> None:
        """The pod is as the watch shows it now; None where it is gone."""
        waits = (
            pod is not None
            and not pod.spec.node_name
            and pod.status.phase not in relevant_fields.FINISHED
        )
        after = pod.status.nominated_node_name if pod is not None and waits else ""
        before = self._of.pop(key, "")
        if before:
            del self.on[before][key]
            if not self.on[before]:
                del self.on[before]
        if pod is not None and after:
            self._of[key] = after
            self.on.setdefault(after, {})[key] = pod
