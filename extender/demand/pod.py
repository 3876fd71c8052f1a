"""What a pod asks of a node, claims aside: CPU, memory and extended resources.

Source: kube-scheduler counts a pod as `k8s.io/component-helpers/resource PodRequests` does: the sum
of its containers and restartable init containers, or the largest init container if that is more;
pod-level resources win over both; the overhead comes on top.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from extender.kube import objects, quantity

_CPU, _MEMORY = "cpu", "memory"
_Told: TypeAlias = tuple[tuple[str, objects.Quantity], ...]  # resource name, quantity


@dataclasses.dataclass(frozen=True, slots=True)
class Requests:
    """What the pod needs: CPU in milli, memory in bytes, extended resources in units (sorted)."""

    cpu: int = 0
    memory: int = 0
    extended: tuple[tuple[str, int], ...] = ()


NOTHING = Requests()


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
    return _added_up(
        tuple([_told(each.resources) for each in spec.containers or ()]),
        tuple(
            [(each.restart_policy, _told(each.resources)) for each in spec.init_containers or ()]
        ),
        None if spec.resources is None else _told(spec.resources),
        tuple(spec.overhead.items()) if spec.overhead else (),
    )


def _told(resources: objects.ResourceRequirements) -> _Told:
    """As requested; a limit without a request stands for it, as the API defaults."""
    if not resources.limits:
        return tuple(resources.requests.items()) if resources.requests else ()
    return tuple({**resources.limits, **(resources.requests or {})}.items())


@functools.lru_cache(maxsize=4096)  # pods of one template ask the same
def _added_up(
    containers: tuple[_Told, ...],
    initial: tuple[tuple[str | None, _Told], ...],
    whole: _Told | None,
    overhead: _Told,
) -> Requests:
    total = _sum(map(_amounts, containers))
    running: dict[str, int] = {}  # restartable init containers seen so far
    peak: dict[str, int] = {}
    for restart, told in initial:
        own = _amounts(told)
        if restart == "Always":
            running = _sum((running, own))
            peak = _larger(peak, running)
        else:
            peak = _larger(peak, _sum((running, own)))
    total = _larger(_sum((total, running)), peak)
    if whole is not None:
        total |= _amounts(whole)
    total = _sum((total, _amounts(overhead)))
    extended = sorted((name, count) for name, count in total.items() if "/" in name and count)
    return Requests(total.get(_CPU, 0), total.get(_MEMORY, 0), tuple(extended))


def _amounts(told: _Told) -> dict[str, int]:
    return {
        name: quantity.milli(value) if name == _CPU else quantity.whole(value)
        for name, value in told
    }


def _sum(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + value
    return total


def _larger(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: max(left.get(name, 0), right.get(name, 0)) for name in {*left, *right}}
