"""Who holds devices on a node, and whether the pod that is asked about may preempt them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from extender.cluster import index
from extender.decisions.counterfactual import changes
from extender.decisions.eviction import node_without
from extender.kube.api import objects
from extender.verdicts import query as queries

_NEVER = "Never"


def on(
    detail: index.Row, cluster: index.TopologyIndex, pod: objects.Pod
) -> list[changes.EvictableHolder]:
    """The pods that hold devices on the node, those that go most easily first.

    A pod preempts others of a lower priority, unless its `preemptionPolicy` is Never.
    """
    source = cluster.store
    mine = pod.spec.priority or 0
    may = pod.spec.preemption_policy != _NEVER
    holding = node_without.holding(detail, source).keys() - {pod.metadata.uid}
    found = []
    for each in source.pods_on.get(detail.name, {}).values():
        if each.metadata.uid in holding:
            priority = each.spec.priority or 0
            found.append(
                changes.EvictableHolder(
                    pod=f"{each.metadata.namespace or 'default'}/{each.metadata.name}",
                    uid=each.metadata.uid,
                    holds=_held(detail, cluster, each),
                    priority=priority,
                    preemptible=may and priority < mine,
                    leaving=each.metadata.deletion_timestamp is not None,
                )
            )
    found.sort(key=lambda each: (not each.leaving, each.priority, each.pod))
    return found


def _held(detail: index.Row, cluster: index.TopologyIndex, pod: objects.Pod) -> str:
    """What the pod holds of the node: "4 GPUs + 1 NIC"."""
    counts: Counter[str] = Counter()
    for tenant in cluster.store.tenants_on.get(detail.name, {}).values():
        if tenant.uid == pod.metadata.uid:
            names = {resource.name for resource in detail.machine.shape.resources}
            for name, count in tenant.asked.extended:
                if name in names:
                    counts[queries.noun(name)] += count
    for kind in _claimed(detail, cluster, {pod.metadata.uid}):
        counts[kind] += 1
    return " + ".join(queries.counted(count, word) for word, count in counts.items()) or "devices"


def _claimed(
    detail: index.Row, cluster: index.TopologyIndex, uids: Collection[str]
) -> Iterator[str]:
    """A word for each device of the node that is allocated to claims of these pods."""
    source, machine = cluster.store, detail.machine
    for pool in dict.fromkeys(machine.pool_names):
        for key, results in source.allocated.get(pool, {}).items():
            users = {consumer.uid for consumer in source.claims[key].status.reserved_for or ()}
            if users.isdisjoint(uids):
                continue
            for result in results:
                number = machine.inventory.number((result.driver, result.pool, result.device))
                if number is None:
                    continue
                kind = machine.shape.devices[number].kind.value
                yield _WORDS.get(kind, queries.noun(result.driver))


_WORDS = {"gpu": "GPU", "nic": "NIC", "partition": "GPU partition"}
