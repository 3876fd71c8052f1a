"""A pod judged as if it came now, although it may have its node, its devices or a reservation.

What only this pod holds is given back for the moment: its devices, CPU and memory on its node, the
claims that nobody else uses, and what is reserved for it. So a bound pod does not compete with
itself, and asks for what it asked for.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection, Iterator

import msgspec

from extender.cluster import hypothetical_usage, store
from extender.decisions import engine
from extender.decisions.eviction import node_without
from extender.kube.api import objects
from extender.verdicts import resolver

AS_PENDING = "the pod is on {node}; it is judged as if it were not there, its devices given back"


@dataclasses.dataclass(frozen=True, slots=True)
class PodAsPending:
    """A pod as it would come now; `node` is the one that it has, if it has one."""

    judging: engine.Engine
    pod: objects.Pod
    node: str = ""

    def resolve(self) -> resolver.Resolution:
        """What it would ask for."""
        judging = self.judging
        if not self.node:
            return judging.resolver.resolve(self.pod, judging.policy)
        claims = _ClaimsWithout(judging.store, self.pod.metadata.uid)
        return judging.resolver.resolve_by(self.pod, judging.policy, claims)

    @contextlib.contextmanager
    def without(self, nodes: Collection[str]) -> Iterator[None]:
        """For one turn, nothing is held by the pod on these nodes, nor reserved for it."""
        with self.judging.assumed.suspended(self.pod), self.given_back(nodes):
            yield

    @contextlib.contextmanager
    def given_back(self, nodes: Collection[str]) -> Iterator[None]:
        """For one turn, nothing is held by the pod on these nodes."""
        self.judging.settle()
        away = None
        if self.node in nodes:
            away = usage_without(self.judging, self.node, [self.pod.metadata.uid])
        with hypothetical_usage.applied(self.judging.index, away):
            yield


class _ClaimsWithout:
    """The claims as they would be without a pod: those that only it uses are not allocated."""

    def __init__(self, source: store.ClusterStore, uid: str) -> None:
        self._store = source
        self._uid = uid

    def claim(self, namespace: str, name: str) -> objects.ResourceClaim | None:
        found = self._store.claim(namespace, name)
        if found is None or not node_without.released(found, [self._uid]):
            return found
        status = msgspec.structs.replace(found.status, allocation=None)
        return msgspec.structs.replace(found, status=status)

    def template(self, namespace: str, name: str) -> objects.ResourceClaimTemplate | None:
        return self._store.template(namespace, name)


def arrival(judging: engine.Engine, pod: objects.Pod) -> PodAsPending:
    """The pod as it would come now, be it bound by now or not."""
    key = (pod.metadata.namespace or "default", pod.metadata.name)
    known = judging.store.pods.get(key)
    if known is None or known.metadata.uid != pod.metadata.uid:
        return PodAsPending(judging, pod)
    return PodAsPending(judging, pod, store.bound_to(known))


def usage_without(
    judging: engine.Engine, name: str, gone: Collection[str]
) -> hypothetical_usage.NodeUsage | None:
    """What would be in use on the node without these pods, by uid; None if it is not known."""
    detail = judging.index.detail(name)
    if detail is None:
        return None
    leaving = [each for each in judging.store.tenants_on.get(name, {}).values() if each.uid in gone]
    return hypothetical_usage.NodeUsage(
        name,
        node_without.usage(detail, judging.index, gone),
        detail.cpu_asked - sum(each.asked.cpu for each in leaving),
        detail.memory_asked - sum(each.asked.memory for each in leaving),
    )
