"""A node as it would be without some of its pods, and who of them holds devices there."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from extender.cluster import index, machines, store
from extender.cluster.pods import bound_pods
from extender.hardware.usage import Usage
from extender.kube.api import objects


def usage(
    detail: index.Row,
    cluster: index.TopologyIndex,
    gone: Collection[str],
    more: Iterable[objects.Pod] = (),
) -> Usage:
    """What is in use without the pods of these uids and the claims that only they use.

    `more` are pods that count as if they were there.
    """
    source = cluster.store
    tenants = source.tenants_on.get(detail.name, {}).values()
    bound = [each for each in tenants if each.uid not in gone]
    bound += map(bound_pods.bound_pod, more)
    allocated = {
        pool: {
            key: results
            for key, results in source.allocated.get(pool, {}).items()
            if not released(source.claims[key], gone)
        }
        for pool in detail.machine.pool_names
    }
    return machines.usage(
        detail.machine,
        allocated,
        bound,
        features=cluster.builder.features,
        topology=source.topologies.get(detail.name),
    )


def released(claim: objects.ResourceClaim, gone: Collection[str]) -> bool:
    """Whether nobody else uses the claim."""
    users = {consumer.uid for consumer in claim.status.reserved_for or ()}
    return bool(users) and users <= set(gone)


def holding(detail: index.Row, source: store.ClusterStore) -> dict[str, object]:
    """The pods on the node that hold devices there: uid → what, equal where it is as much."""
    names = {resource.name for resource in detail.machine.shape.resources}
    found: dict[str, object] = {}
    for tenant in source.tenants_on.get(detail.name, {}).values():
        units = tuple([entry for entry in tenant.asked.extended if entry[0] in names])
        if units:
            found[tenant.uid] = units
    for pool in dict.fromkeys(detail.machine.pool_names):
        for key in source.allocated.get(pool, {}):
            for consumer in source.claims[key].status.reserved_for or ():
                found[consumer.uid] = consumer.uid
    return found
