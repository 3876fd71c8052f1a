"""What kube-scheduler itself counts on a node, as far as we know that a pod would fit there.

Its dry run of a preemption decides by more than devices. Before a victim that it offered is left
alone, all of that must be known to hold without it: amounts of resources and the number of pods are
added up here; where ports, volumes or rules about other pods have a say, nothing is known.

Source: pkg/scheduler/framework/plugins (noderesources, nodeports, interpodaffinity,
podtopologyspread, volumerestrictions, nodevolumelimits).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from extender.cluster.pods import reservations
from extender.demand import pod as pods
from extender.kube.api import objects, quantity

_PODS = "pods"


class NodeFit:
    """The amounts left on a node for one pod, by resource; negative where it has too little."""

    def __init__(
        self,
        pod: objects.Pod,
        node: objects.Node,
        present: Iterable[objects.Pod],  # on the node, or to be counted there
        held: Iterable[reservations.Reservation] = (),
    ) -> None:
        wanted = _amounts(pod)
        offered = node.status.allocatable or {}
        # What the node does not offer kube-scheduler takes from elsewhere, or ignores.
        self._names = [name for name, amount in wanted.items() if amount and name in offered]
        self._of = {each.metadata.uid: _amounts(each) for each in present}  # uid → amounts
        self._left = {name: _offer(name, offered[name]) - wanted[name] for name in self._names}
        for amounts in (*self._of.values(), *map(_reserved, held)):
            for name in self._names:
                self._left[name] -= amounts.get(name, 0)

    def fits_without(self, gone: Iterable[str]) -> bool:
        """Whether the amounts are enough once these pods, by uid, are gone."""
        freed = [self._of[uid] for uid in gone if uid in self._of]
        return all(
            self._left[name] + sum(amounts.get(name, 0) for amounts in freed) >= 0
            for name in self._names
        )


def by_amounts_alone(pod: objects.Pod) -> bool:
    """Whether nothing but amounts and devices decides which other pods may stay beside the pod."""
    spec = pod.spec
    containers = (*(spec.containers or ()), *(spec.init_containers or ()))
    affinity = spec.affinity or objects.Affinity()
    rules = (affinity.pod_affinity, affinity.pod_anti_affinity)
    return not (
        any(port.host_port for each in containers for port in each.ports or ())
        or any(rule is not None and rule.required for rule in rules)
        or any(
            spread.when_unsatisfiable != "ScheduleAnyway"
            for spread in spec.topology_spread_constraints or ()
        )
        or any(
            volume.persistent_volume_claim is not None or volume.ephemeral is not None
            for volume in spec.volumes or ()
        )
    )


def repels(pod: objects.Pod) -> bool:
    """Whether the pod, while it is there, may keep others away by a rule of its own."""
    rule = pod.spec.affinity.pod_anti_affinity if pod.spec.affinity is not None else None
    return rule is not None and bool(rule.required)


def _amounts(pod: objects.Pod) -> Mapping[str, int]:
    try:
        return {**pods.amounts_of(pod), _PODS: 1}
    except ValueError:
        return {_PODS: 1}  # cannot have been admitted so; as the index counts it


def _offer(name: str, amount: objects.Quantity) -> int:
    return quantity.milli(amount) if name == "cpu" else quantity.whole(amount)


def _reserved(held: reservations.Reservation) -> Mapping[str, int]:
    return {"cpu": held.cpu, "memory": held.memory, _PODS: 1}
