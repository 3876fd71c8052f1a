"""Where a pod can use the devices that it was allocated already."""

from __future__ import annotations

from collections.abc import Sequence

from extender.cluster import index
from extender.hardware.dra import node_affinity
from extender.verdicts import reasons, resolver

NOT_ALLOCATED_HERE = str(reasons.ReasonText.ELSEWHERE)


def elsewhere(
    resolved: resolver.ResolvedPod, names: Sequence[str], cluster: index.TopologyIndex
) -> dict[str, str]:
    """Node → reason, of those nodes on which an allocation that the pod has cannot be used."""
    found: dict[str, str] = {}
    for allocation in resolved.bound_to:
        selector = allocation.node_selector
        if selector is None:
            continue
        for name in names:
            detail = cluster.detail(name)
            labels = (detail.node.metadata.labels or {}) if detail is not None else {}
            if not node_affinity.matches(selector, name, labels):
                found[name] = NOT_ALLOCATED_HERE
    return found
