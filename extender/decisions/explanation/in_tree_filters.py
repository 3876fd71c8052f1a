"""What kube-scheduler's own filters say of each node, as far as the objects at hand tell.

A live kube-scheduler asks an extender only about nodes that passed its own filters. Offline nobody
has run them, so they are run here: cordons, taints, node selectors and affinity, amounts of all
resources, the number of pods. Rules about other pods, volumes and ports are named as not judged.

Source: pkg/scheduler/framework/plugins (nodeunschedulable, tainttoleration, nodeaffinity,
noderesources).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping

from extender.cluster import relevant_fields, store
from extender.demand import extended_resources
from extender.demand import pod as pods
from extender.hardware.dra import node_affinity
from extender.kube.api import objects, quantity

_CORDON = objects.NodeTaint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")
_KEEPS_AWAY = frozenset({"NoSchedule", "NoExecute"})
_PODS = "pods"
_BYTES = frozenset({"memory", "ephemeral-storage"})
_GIB = 1 << 30


@dataclasses.dataclass(frozen=True, slots=True)
class NodeAnswer:
    """What the filters say of one node: why they refuse it, if they do, and what else to know."""

    refusals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class InTreeFilters:
    """The filters for one pod over the objects of a store.

    `judged` are the resources that we judge ourselves.
    """

    def __init__(
        self, pod: objects.Pod, source: store.ClusterStore, judged: Collection[str] = ()
    ) -> None:
        self._pod = pod
        self._store = source
        self._key = (pod.metadata.namespace or "default", pod.metadata.name)
        wanted = {
            name: amount
            for name, amount in _amounts(pod).items()
            if amount and name not in judged and not _by_class(name, source)
        }
        # kube-scheduler may be configured to leave such a resource to another extender.
        self.unknown_names = [name for name in wanted if "/" in name and not source.offered[name]]
        self._wanted = {n: amount for n, amount in wanted.items() if n not in self.unknown_names}

    def answer(self, node: objects.Node) -> NodeAnswer:
        """What the filters say of the node."""
        used = self._used(node.metadata.name)
        refusals = [*self._taints(node), *self._affinity(node), *self._resources(node, used)]
        return NodeAnswer(tuple(refusals), tuple(self._notes(node, used)))

    def first_refusal(self, node: objects.Node) -> str | None:
        """The first refusal of `answer`, None where the filters let the node pass."""
        used = self._used(node.metadata.name)
        every = (self._taints(node), self._affinity(node), self._resources(node, used))
        return next((why for refusals in every for why in refusals), None)

    def refusals(self, node: objects.Node) -> list[str]:
        """Why the node is no candidate, however much of it is free."""
        return [*self._taints(node), *self._affinity(node)]

    def wanted(self) -> dict[str, int]:
        """Resource → how much of it the pod needs, of those that kube-scheduler counts."""
        return self._wanted | dict.fromkeys(self.unknown_names, 1)

    def left(self, node: objects.Node, *, empty: bool = False) -> dict[str, int]:
        """Resource → how much of it is free, of those that the pod needs.

        `empty`: as if no pod were there.
        """
        offers = node.status.allocatable or {}
        used = {} if empty else self._used(node.metadata.name)
        return {
            name: max(_offer(name, offers.get(name, 0)) - used.get(name, 0), 0)
            for name in self.wanted()
            if name != _PODS or name in offers
        }

    def not_judged(self) -> list[str]:
        """What else decides for kube-scheduler where this pod may go, and is not judged here."""
        spec = self._pod.spec
        affinity = spec.affinity or objects.Affinity()
        containers = (*(spec.containers or ()), *(spec.init_containers or ()))
        rules = {
            "pod affinity": _required(affinity.pod_affinity),
            "pod anti-affinity": _required(affinity.pod_anti_affinity),
            "topology spread": any(
                each.when_unsatisfiable != "ScheduleAnyway"
                for each in spec.topology_spread_constraints or ()
            ),
            "volumes": any(
                volume.persistent_volume_claim is not None or volume.ephemeral is not None
                for volume in spec.volumes or ()
            ),
            "host ports": any(port.host_port for each in containers for port in each.ports or ()),
        }
        return [name for name, there in rules.items() if there]

    # ------------------------------------------------------------ the filters

    def _taints(self, node: objects.Node) -> Iterable[str]:
        taints = [taint for taint in node.spec.taints or () if taint.effect in _KEEPS_AWAY]
        tolerations = self._pod.spec.tolerations or ()
        if node.spec.unschedulable and not any(_tolerates(each, _CORDON) for each in tolerations):
            yield "node is cordoned"
        for taint in taints:
            if taint.key == _CORDON.key and node.spec.unschedulable:
                continue
            if not any(_tolerates(each, taint) for each in tolerations):
                value = f"={taint.value}" if taint.value else ""
                yield f"taint {taint.key}{value}:{taint.effect} is not tolerated"

    def _affinity(self, node: objects.Node) -> Iterable[str]:
        labels = node.metadata.labels or {}
        for key, wanted in sorted((self._pod.spec.node_selector or {}).items()):
            has = labels.get(key)
            if has != wanted:
                there = f"node has {has}" if has is not None else "node has no such label"
                yield f"nodeSelector needs {key}={wanted}; {there}"
        affinity = self._pod.spec.affinity
        rule = affinity.node_affinity if affinity is not None else None
        if rule is not None and rule.required is not None:
            name = node.metadata.name
            if not node_affinity.matches(rule.required, name, labels):
                yield "the pod's required node affinity does not match the node's labels"

    def _resources(self, node: objects.Node, used: Mapping[str, int]) -> Iterable[str]:
        offers = node.status.allocatable or {}
        for name, wanted in self._wanted.items():
            if name == _PODS and name not in offers:
                continue  # every kubelet tells it; whoever wrote the file by hand did not
            has = _offer(name, offers.get(name, 0))
            left = max(has - used.get(name, 0), 0)
            if wanted <= left:
                continue
            if name == _PODS:
                yield f"node is full: {used.get(name, 0)} of {has} pods"
            else:
                free = (
                    f"{_amount_text(name, left)} of {_amount_text(name, has)} free"
                    if has
                    else "node has none"
                )
                yield f"needs {_amount_text(name, wanted)} {_unit(name)}; {free}"

    def _used(self, node: str) -> Mapping[str, int]:
        total: dict[str, int] = {}
        for key, pod in self._store.pods_on.get(node, {}).items():
            if key == self._key or pod.status.phase in relevant_fields.FINISHED:
                continue  # explained as if it were not there
            for name, amount in _amounts(pod).items():
                total[name] = total.get(name, 0) + amount
        return total

    def _notes(self, node: objects.Node, used: Mapping[str, int]) -> Iterable[str]:
        for condition in node.status.conditions or ():
            if condition.type == "Ready" and condition.status != "True":
                yield f"node is not ready (Ready={condition.status})"
        offers = node.status.allocatable or {}
        for name in self.unknown_names:
            yield f"{name} is not judged: no node offers it"
        for name in self._wanted:
            if "/" in name and (has := _offer(name, offers.get(name, 0))):
                left = max(has - used.get(name, 0), 0)
                yield f"{name}: {left} of {has} free by the node's own count"


def _required(rule: objects.PodAffinity | None) -> bool:
    return rule is not None and bool(rule.required)


def _tolerates(toleration: objects.PodToleration, taint: objects.NodeTaint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    match toleration.operator:
        case "" | "Equal":
            return toleration.value == taint.value and bool(toleration.key)
        case "Exists":
            return True
        case "Gt" | "Lt":
            return _beyond(taint.value, toleration.value, greater=toleration.operator == "Gt")
        case _:
            return False


def _beyond(value: str, limit: str, *, greater: bool) -> bool:
    """Whether a taint's number is beyond a toleration's (Kubernetes 1.35 and later)."""
    try:
        have, wanted = int(value), int(limit)
    except ValueError:
        return False
    return have > wanted if greater else have < wanted


def _by_class(name: str, source: store.ClusterStore) -> bool:
    """Whether a device class stands behind the resource: no node need offer it."""
    return bool(source.served[name]) or name.startswith(extended_resources.IMPLICIT_PREFIX)


def _amounts(pod: objects.Pod) -> dict[str, int]:
    try:
        return {**pods.amounts_of(pod), _PODS: 1}
    except ValueError:
        return {_PODS: 1}


def _offer(name: str, amount: objects.Quantity) -> int:
    return quantity.milli(amount) if name == "cpu" else quantity.whole(amount)


def _amount_text(name: str, amount: int) -> str:
    if name == "cpu":
        return f"{amount / 1000:g}"
    if name in _BYTES:
        return f"{amount / _GIB:.4g} GiB"
    return str(amount)


def _unit(name: str) -> str:
    return "CPU" if name == "cpu" else name
