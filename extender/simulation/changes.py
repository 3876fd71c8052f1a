"""What if: nodes drained, cordoned or added, before the first pod of a workload arrives."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import msgspec

from extender import errors
from extender.cluster import relevant_fields
from extender.decisions import engine
from extender.demand import claims
from extender.kube.api import objects
from extender.simulation import workload


@dataclasses.dataclass(frozen=True, slots=True)
class Changes:
    """Names of nodes; objects of nodes that are added (Nodes, ResourceSlices, …)."""

    drained: tuple[str, ...] = ()
    cordoned: tuple[str, ...] = ()
    added: tuple[tuple[str, objects.Object], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.drained or self.cordoned or self.added)


def apply(judging: engine.Engine, changes: Changes, *, at: float = 0.0) -> list[workload.Arrival]:
    """Change the engine's cluster; returns the evicted pods, which arrive anew.

    ConfigError names nodes that are not there.
    """
    for kind, item in changes.added:
        judging.store.apply(kind, "ADDED", item)
    missing = [
        (name, "no such node")
        for name in (*changes.drained, *changes.cordoned)
        if name not in judging.store.nodes
    ]
    if missing:
        raise errors.ConfigError("the cluster cannot be changed so", missing)
    for name in dict.fromkeys((*changes.drained, *changes.cordoned)):
        cordon(judging, name)
    evicted = [each for name in changes.drained for each in evict(judging, name, at=at)]
    judging.settle()
    return evicted


def cordon(judging: engine.Engine, name: str) -> None:
    """Let no further pod go to the node."""
    node = judging.store.nodes[name]
    spec = msgspec.structs.replace(node.spec, unschedulable=True)
    judging.store.apply("Node", "MODIFIED", msgspec.structs.replace(node, spec=spec))


def evict(judging: engine.Engine, name: str, *, at: float = 0.0) -> list[workload.Arrival]:
    """Take the node's pods away with their claims, those of DaemonSets excepted, the oldest first.

    Each arrives again with claims of its own as they were before they were allocated.
    """
    source = judging.store
    pods = [
        pod
        for pod in source.pods_on.get(name, {}).values()
        if pod.status.phase not in relevant_fields.FINISHED and not _of_daemon_set(pod)
    ]
    pods.sort(key=lambda pod: (pod.metadata.creation_timestamp or "", pod.metadata.name))
    found: list[workload.Arrival] = []
    for pod in pods:
        own = claims.of_pod(pod, source)
        held = [each.claim for each in own if each.claim] if isinstance(own, tuple) else []
        special = _special(judging, pod)
        judging.store.apply("Pod", "DELETED", pod)
        for claim in (*held, *special):
            if not _shared(claim, pod):
                judging.store.apply("ResourceClaim", "DELETED", claim)
        found.append(_arrival(pod, own if isinstance(own, tuple) else (), at))
    return found


def _arrival(pod: objects.Pod, own: Sequence[claims.PodClaim], at: float) -> workload.Arrival:
    namespace = pod.metadata.namespace or "default"
    references: list[objects.PodResourceClaim] = []
    wanted: list[objects.ResourceClaim] = []
    for each in own:
        name = each.claim_name or f"{pod.metadata.name}-{each.name}"
        meta = objects.ObjectMeta(name=name, namespace=namespace, uid=f"claim {namespace}/{name}")
        wanted.append(objects.ResourceClaim(metadata=meta, spec=each.spec))
        references.append(objects.PodResourceClaim(name=each.name, resource_claim_name=name))
    spec = msgspec.structs.replace(
        pod.spec, node_name="", resource_claims=tuple(references) or None
    )
    fresh = msgspec.structs.replace(pod, spec=spec, status=objects.PodStatus())
    return workload.Arrival(at, fresh, tuple(wanted), None, workload.kind_of(fresh, wanted))


def _special(judging: engine.Engine, pod: objects.Pod) -> Iterable[objects.ResourceClaim]:
    """The claim that kube-scheduler made for extended resources that DRA serves."""
    status = pod.status.extended_resource_claim_status
    if status is None:
        return []
    claim = judging.store.claim(pod.metadata.namespace or "default", status.resource_claim_name)
    return [claim] if claim is not None else []


def _shared(claim: objects.ResourceClaim, pod: objects.Pod) -> bool:
    """Whether other pods use the claim too: their devices stay."""
    users = claim.status.reserved_for or ()
    return any(user.uid != pod.metadata.uid for user in users)


def _of_daemon_set(pod: objects.Pod) -> bool:
    return any(owner.kind == "DaemonSet" for owner in pod.metadata.owner_references or ())
