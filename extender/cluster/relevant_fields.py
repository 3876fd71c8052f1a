"""What of an object matters to the index: the rest may change without touching anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import TypeAlias

from extender.cluster import pool_slices
from extender.hardware.catalogue import label_evidence
from extender.kube.api import objects, quantity

Results: TypeAlias = tuple[objects.DeviceRequestAllocationResult, ...]

# A pod in one of these phases holds nothing on its node any more.
FINISHED = frozenset({"Succeeded", "Failed"})

# Annotations under this prefix are read, and those in which sharing layers list devices.
ANNOTATION_PREFIX = "railyard.dev/"


def held_by_pool(
    claim: objects.ResourceClaim | None,
) -> dict[pool_slices.PoolId, Results]:
    """What the claim holds, by pool; a claim holds its devices even when nobody reserves it."""
    allocation = claim.status.allocation if claim is not None else None
    found: dict[pool_slices.PoolId, Results] = {}
    for result in (allocation.devices.results or ()) if allocation is not None else ():
        pool = (result.driver, result.pool)
        found[pool] = (*found.get(pool, ()), result)
    return found


def offered(node: objects.Node | None) -> frozenset[str]:
    """The extended resources of which the node has units."""
    amounts = (node.status.allocatable or {}) if node is not None else {}
    return frozenset(
        [name for name, amount in amounts.items() if "/" in name and quantity.whole(amount) > 0]
    )


def served(kind: objects.DeviceClass | None) -> frozenset[str]:
    """The extended resource that the class says it stands behind, if any."""
    name = kind.spec.extended_resource_name if kind is not None else None
    return frozenset([name] if name else [])


def is_selected(
    pool: pool_slices.PoolId, *, by: AbstractSet[tuple[str | None, str | None]]
) -> bool:
    """Whether a taint rule with one of these (driver, pool) may concern devices of the pool."""
    driver, name = pool
    return not by.isdisjoint(((None, None), (driver, None), (None, name), pool))


def hold(
    allocated: dict[pool_slices.PoolId, dict[tuple[str, str], Results]],
    key: tuple[str, str],
    claim: objects.ResourceClaim | None,
    *,
    remove: bool,
) -> set[pool_slices.PoolId]:
    """Note or forget what the claim of that key holds, by pool; the pools that this concerns."""
    touched = set()
    for pool, results in held_by_pool(claim).items():
        held = allocated.setdefault(pool, {})
        held.pop(key, None)
        if not remove:
            held[key] = results
        if not held:
            del allocated[pool]
        touched.add(pool)
    return touched


def expressions(
    item: objects.DeviceClass | objects.ResourceClaim | objects.ResourceClaimTemplate | None,
) -> frozenset[str]:
    """The CEL expressions of a class, or of the requests of a claim or template."""
    if item is None:
        return frozenset()
    if isinstance(item, objects.DeviceClass):
        return frozenset(selector_texts(item.spec.selectors))
    spec = item.spec.spec if isinstance(item, objects.ResourceClaimTemplate) else item.spec
    return frozenset(
        text
        for request in spec.devices.requests or ()
        for part in (request, request.exactly, *(request.first_available or ()))
        if part is not None
        for text in selector_texts(part.selectors)
    )


def selector_texts(selectors: tuple[objects.DeviceSelector, ...] | None) -> Iterator[str]:
    """Yield the CEL expressions among selectors."""
    for selector in selectors or ():
        if selector.cel is not None:
            yield selector.cel.expression


def moved(holders: Counter[str], before: frozenset[str], after: frozenset[str]) -> bool:
    """Count who has a name; whether some name got its first holder or lost its last."""
    if before == after:
        return False
    known = len(holders)
    holders.update(after - before)
    moved = len(holders) != known
    for name in before - after:
        holders[name] -= 1
        if not holders[name]:
            del holders[name]
            moved = True
    return moved


def same(old: objects.Object, new: objects.Object) -> bool:
    """Whether two versions of an object differ in nothing that anybody reads.

    A heartbeat of a node does, and so do slices published again, and most of a new list.
    """
    was, now = old.metadata, new.metadata
    if now.resource_version and was.resource_version == now.resource_version:
        return was.uid == now.uid  # the API's contract: one write, one version
    if isinstance(old, objects.Node) and isinstance(new, objects.Node):
        return (
            old.status == new.status
            and old.spec == new.spec
            and was.uid == now.uid
            and was.labels == now.labels
            and _ours(was.annotations) == _ours(now.annotations)
        )
    if isinstance(old, objects.ResourceSlice) and isinstance(new, objects.ResourceSlice):
        return old.spec == new.spec
    return old == new


def _ours(annotations: dict[str, str] | None) -> dict[str, str]:
    found = (annotations or {}).items()
    return {
        name: value
        for name, value in found
        if name.startswith(ANNOTATION_PREFIX) or name in label_evidence.REGISTERS
    }
