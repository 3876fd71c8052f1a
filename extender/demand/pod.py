"""What a pod asks of a node, claims aside: CPU, memory and extended resources.

Source: kube-scheduler counts a pod as `k8s.io/component-helpers/resource PodRequests` does: the sum
of its containers and restartable init containers, or the largest init container if that is more;
pod-level resources win over both; the overhead comes on top.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from extender.kube import objects, quantity

_CPU, _MEMORY = "cpu", "memory"


@dataclasses.dataclass(frozen=True, slots=True)
class Requests:
    """What the pod needs: CPU in milli, memory in bytes, extended resources in units (sorted)."""

    cpu: int = 0
    memory: int = 0
    extended: tuple[tuple[str, int], ...] = ()


def concerns(pod: objects.Pod) -> bool:
    """Whether the pod asks for devices at all: a claim, or a resource with a domain in its name.

    This is the first question of every request, so it stops at the first yes.
    """
    spec = pod.spec
    if spec.resource_claims:
        return True
    for container in (*(spec.containers or ()), *(spec.init_containers or ())):
        resources = container.resources
        if any("/" in name for name in resources.requests or resources.limits or ()):
            return True
        if resources.requests and any("/" in name for name in resources.limits or ()):
            return True
    return False


def requests_of(pod: objects.Pod) -> Requests:
    """Add up what the pod needs of a node; ValueError where a quantity is malformed."""
    spec = pod.spec
    total = _sum(container_requests(container) for container in spec.containers or ())
    running: dict[str, int] = {}  # restartable init containers seen so far
    peak: dict[str, int] = {}
    for container in spec.init_containers or ():
        own = container_requests(container)
        if container.restart_policy == "Always":
            running = _sum((running, own))
            peak = _larger(peak, running)
        else:
            peak = _larger(peak, _sum((running, own)))
    total = _larger(_sum((total, running)), peak)
    if spec.resources is not None:
        total |= _amounts(spec.resources)
    total = _sum((total, {name: _amount(name, q) for name, q in (spec.overhead or {}).items()}))
    extended = sorted((name, count) for name, count in total.items() if "/" in name and count)
    return Requests(total.get(_CPU, 0), total.get(_MEMORY, 0), tuple(extended))


def container_requests(container: objects.Container) -> dict[str, int]:
    """One container's requests; a limit without a request stands for it, as the API defaults."""
    return _amounts(container.resources)


def _amounts(resources: objects.ResourceRequirements) -> dict[str, int]:
    merged = {**(resources.limits or {}), **(resources.requests or {})}
    return {name: _amount(name, value) for name, value in merged.items()}


def _amount(name: str, value: objects.Quantity) -> int:
    return quantity.milli(value) if name == _CPU else quantity.whole(value)


def _sum(parts: Iterator[dict[str, int]] | tuple[Mapping[str, int], ...]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + value
    return total


def _larger(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: max(left.get(name, 0), right.get(name, 0)) for name in {*left, *right}}
