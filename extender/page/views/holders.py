"""Who holds which device of a node: pods by their claims, and by units of device plug-ins."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from extender.cluster import index, plugin_usage, store
from extender.demand import claims
from extender.kube.api import objects
from extender.verdicts import query


@dataclasses.dataclass(frozen=True, slots=True)
class DeviceHolder:
    """A pod that holds a device, or a claim that nobody uses. `inferred`: it may be another pod."""

    namespace: str
    pod: str  # empty where only the claim is known
    claim: str = ""
    request: str = ""
    inferred: bool = False
    admin: bool = False  # it has access beside whoever else holds the device

    @property
    def title(self) -> str:
        return f"{self.namespace}/{self.pod or self.claim}"


@dataclasses.dataclass(frozen=True, slots=True)
class Tenant:
    """A pod on the node and what it takes; `devices` are indices into the machine's."""

    namespace: str
    pod: str
    cpu: int  # milli
    memory: int  # bytes
    devices: tuple[int, ...]
    units: tuple[str, ...]  # of plug-ins, in words
    priority: int = 0
    leaving: bool = False


def of_node(detail: index.Row, source: store.ClusterStore) -> dict[int, tuple[DeviceHolder, ...]]:
    """Device → who holds it."""
    found: dict[int, tuple[DeviceHolder, ...]] = {}
    pods_of = _pods_of_claims(source.pods_on.get(detail.name, {}), source)
    numbers = detail.machine.inventory.numbers
    for pool in dict.fromkeys(detail.machine.pool_names):
        for (namespace, claim), results in source.allocated.get(pool, {}).items():
            for result in results:
                number = numbers.get(pool, {}).get(result.device)
                if number is None:
                    continue
                admin = bool(result.admin_access)
                for pod in pods_of.get((namespace, claim), ("",)):
                    holder = DeviceHolder(namespace, pod, claim, result.request, admin=admin)
                    found[number] = (*found.get(number, ()), holder)
    present = source.tenants_on.get(detail.name, {})
    taken = plugin_usage.devices_by_pod(present, detail.machine.shape)
    for (namespace, pod), (known, likely) in taken.items():
        for number in (*known, *likely):
            holder = DeviceHolder(namespace, pod, inferred=number in likely)
            found[number] = (*found.get(number, ()), holder)
    return found


def tenants(
    detail: index.Row, source: store.ClusterStore, held: Mapping[int, tuple[DeviceHolder, ...]]
) -> list[Tenant]:
    """The pods on the node, those that hold devices first."""
    numbers_of: dict[tuple[str, str], list[int]] = {}
    for number, holders in held.items():
        for holder in holders:
            numbers_of.setdefault((holder.namespace, holder.pod), []).append(number)
    known = {resource.name for resource in detail.machine.shape.resources}
    found = []
    pods = source.pods_on.get(detail.name, {})
    for key, bound in source.tenants_on.get(detail.name, {}).items():
        units = [query.counted(n, name) for name, n in bound.asked.extended if name in known]
        pod = pods[key]
        found.append(
            Tenant(
                *key, bound.asked.cpu, bound.asked.memory, tuple(sorted(numbers_of.get(key, ()))),
                tuple(units), pod.spec.priority or 0, pod.metadata.deletion_timestamp is not None,
            )
        )  # fmt: skip
    return sorted(
        found, key=lambda each: (not (each.devices or each.units), each.namespace, each.pod)
    )


def _pods_of_claims(
    pods: Mapping[store.Key, objects.Pod], source: store.ClusterStore
) -> dict[store.Key, tuple[str, ...]]:
    """Claim → names of the node's pods that use it."""
    found: dict[store.Key, tuple[str, ...]] = {}
    for (namespace, name), pod in pods.items():
        own = claims.of_pod(pod, source) if pod.spec.resource_claims else ()
        for each in own if isinstance(own, tuple) else ():
            if each.claim_name:
                key = (namespace, each.claim_name)
                found[key] = (*found.get(key, ()), name)
        extended = pod.status.extended_resource_claim_status
        if extended is not None and extended.resource_claim_name:
            key = (namespace, extended.resource_claim_name)
            found[key] = (*found.get(key, ()), name)
    return found
