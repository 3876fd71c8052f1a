"""What of an object matters to the index: the rest may change without touching anything."""

from __future__ import annotations

from collections.abc import Iterator

from extender.cluster import places
from extender.kube import objects

# Annotations under this prefix are read, others are not.
ANNOTATION_PREFIX = "railyard.dev/"


def held_by_pool(
    claim: objects.ResourceClaim | None,
) -> dict[places.PoolId, tuple[objects.DeviceRequestAllocationResult, ...]]:
    """What the claim holds, by pool; a claim holds its devices even when nobody reserves it."""
    allocation = claim.status.allocation if claim is not None else None
    found: dict[places.PoolId, tuple[objects.DeviceRequestAllocationResult, ...]] = {}
    for result in (allocation.devices.results or ()) if allocation is not None else ():
        pool = (result.driver, result.pool)
        found[pool] = (*found.get(pool, ()), result)
    return found


def expressions(spec: objects.ResourceClaimSpec) -> Iterator[str]:
    """Yield the CEL expressions of a claim's requests."""
    for request in spec.devices.requests or ():
        for part in (request, request.exactly, *(request.first_available or ())):
            if part is not None:
                yield from texts(part.selectors)


def texts(selectors: tuple[objects.DeviceSelector, ...] | None) -> Iterator[str]:
    """Yield the CEL expressions among selectors."""
    for selector in selectors or ():
        if selector.cel is not None:
            yield selector.cel.expression


def equal(old: objects.Node, new: objects.Node) -> bool:
    """Whether two versions of a Node differ in nothing that a decision reads."""
    return (
        old.status == new.status
        and old.spec == new.spec
        and old.metadata.uid == new.metadata.uid
        and old.metadata.labels == new.metadata.labels
        and _ours(old.metadata.annotations) == _ours(new.metadata.annotations)
    )


def _ours(annotations: dict[str, str] | None) -> dict[str, str]:
    found = (annotations or {}).items()
    return {name: value for name, value in found if name.startswith(ANNOTATION_PREFIX)}
