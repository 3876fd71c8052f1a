"""Which rails the members of a gang use, as far as their NICs say so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from extender.cluster import index
from extender.cluster.pods import gangs
from extender.demand import claims, gang
from extender.kube.api import objects

Rails: TypeAlias = frozenset[str]


def of_members(
    cluster: index.TopologyIndex, together: gangs.Gangs, name: str
) -> Iterator[tuple[int, Rails]]:
    """Yield the row and the rails of each member whose NICs are known, or predicted, and say so.

    A bound pod's devices are those of its claims; a pod decided and not yet seen has its
    reservation.
    """
    for node in together.nodes(name):
        detail = cluster.detail(node)
        if detail is None or not detail.machine.shape.rail:
            continue
        row = cluster.rows[node]
        rail = detail.machine.shape.rail
        held = [
            (
                device
                for pod_claim in _claims(pod, cluster)
                for device in _device_indexes(pod_claim, detail)
            )
            for pod in cluster.store.pods_on.get(node, {}).values()
            if gang.of_pod(pod) == name
        ]
        held += [
            (pick.device for pick in soft.picks)
            for soft in cluster.reservations.on(node)
            if together.of(soft.pod) == name
        ]
        for devices in held:
            rails = frozenset(rail[device] for device in devices) - {""}
            if rails:
                yield row, rails


def _claims(pod: objects.Pod, cluster: index.TopologyIndex) -> tuple[claims.PodClaim, ...]:
    found = claims.of_pod(pod, cluster.store)
    return found if isinstance(found, tuple) else ()


def _device_indexes(claim: claims.PodClaim, detail: index.Row) -> Iterator[int]:
    """The devices of the node that the claim holds."""
    results = claim.allocation.devices.results if claim.allocation is not None else None
    for result in results or ():
        number = detail.machine.inventory.number((result.driver, result.pool, result.device))
        if number is not None:
            yield number
