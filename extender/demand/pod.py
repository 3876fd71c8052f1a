"""What a pod asks of a node, claims aside: CPU, memory and extended resources.

Quantities are added up exactly, and their sum is read as an int64 (see `quantity`). What comes to
less than one unit of an extended resource asks for none.

Source: kube-scheduler counts a pod as `k8s.io/component-helpers/resource PodRequests` does: the sum
of its containers and restartable init containers, or the largest init container if that is more;
pod-level resources win over both; the overhead comes on top.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from extender import bounded_cache
from extender.kube.api import objects, quantity

_CPU, _MEMORY = "cpu", "memory"
_MOST_KEPT = 64  # containers and amounts of a pod whose sum is remembered
_Listed: TypeAlias = tuple[tuple[str, objects.Quantity], ...]  # resource name, quantity
_Amounts: TypeAlias = dict[str, quantity.Amount]  # resource name → how much


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
    if pod.too_large is not None:
        return any("/" in name for name in pod.too_large.total or ())
    for container in (*(spec.containers or ()), *(spec.init_containers or ())):
        resources = container.resources
        if any("/" in name for name in resources.requests or resources.limits or ()):
            return True
        if resources.requests and any("/" in name for name in resources.limits or ()):
            return True
    return False


def requests_of(pod: objects.Pod) -> Requests:
    """Add up what the pod needs of a node; ValueError where a quantity is malformed."""
    return _of(pod)[0]


def amounts_of(pod: objects.Pod) -> Mapping[str, int]:
    """All that the pod asks of a node by resource name: CPU in milli, all else in whole units.

    ValueError where a quantity is malformed.
    """
    return _of(pod)[1]


def amounts_of_names(pod: objects.Pod, names: frozenset[str]) -> Mapping[str, int]:
    """The same of these resources alone, and of CPU: nothing is read of the others."""
    spec = pod.spec

    def listed(resources: objects.ResourceRequirements | None) -> _Listed:
        return _only(_listed(resources), names) if resources is not None else ()

    return _add_up(
        tuple([listed(each.resources) for each in spec.containers or ()]),
        tuple(
            [(each.restart_policy, listed(each.resources)) for each in spec.init_containers or ()]
        ),
        listed(spec.resources),
        _only(tuple((spec.overhead or {}).items()), names),
    )[1]


def _only(listed: _Listed, names: frozenset[str]) -> _Listed:
    return tuple([each for each in listed if each[0] in names])


def _of(pod: objects.Pod) -> tuple[Requests, Mapping[str, int]]:
    if pod.too_large is not None:
        if pod.too_large.total is None:
            raise ValueError(pod.too_large.why)
        return _requests(pod.too_large.total), pod.too_large.total
    spec = pod.spec
    containers = tuple([_listed(each.resources) for each in spec.containers or ()])
    initial = tuple(
        [(each.restart_policy, _listed(each.resources)) for each in spec.init_containers or ()]
    )
    whole = None if spec.resources is None else _listed(spec.resources)
    overhead = tuple(spec.overhead.items()) if spec.overhead else ()
    amounts = sum(map(len, containers)) + sum([len(listed) for _, listed in initial])
    small = amounts + len(containers) + len(initial) <= _MOST_KEPT
    return (_added_up if small else _add_up)(containers, initial, whole, overhead)


def _listed(resources: objects.ResourceRequirements) -> _Listed:
    """As requested; a limit without a request stands for it, as the API defaults."""
    if not resources.limits:
        return tuple(resources.requests.items()) if resources.requests else ()
    return tuple({**resources.limits, **(resources.requests or {})}.items())


def _add_up(
    containers: tuple[_Listed, ...],
    initial: tuple[tuple[str | None, _Listed], ...],
    whole: _Listed | None,
    overhead: _Listed,
) -> tuple[Requests, Mapping[str, int]]:
    total = _sum(map(_amounts, containers))
    running: _Amounts = {}  # restartable init containers seen so far
    peak: _Amounts = {}
    heights: dict[str, int] = {}  # the same in billionths
    for restart, listed in initial:
        own = _amounts(listed)
        # Of what this one does not ask for, no more is needed than before.
        for name, amount in own.items():
            needed = quantity.added(running[name], amount) if name in running else amount
            if restart == "Always":
                running[name] = needed
            height = quantity.nanos(needed)
            if name not in peak or heights[name] < height:
                peak[name], heights[name] = needed, height
    if initial:
        total = _larger(_sum((total, running)), peak)
    if whole is not None:
        total |= _amounts(whole)
    if overhead:
        total = _sum((total, _amounts(overhead)))
    whole_units = {name: quantity.scaled(amount, 0) for name, amount in total.items()}
    whole_units[_CPU] = quantity.scaled(total.get(_CPU, quantity.ZERO), -3)
    return _requests(whole_units), whole_units


def _requests(total: Mapping[str, int]) -> Requests:
    extended = sorted((name, n) for name, n in total.items() if "/" in name and n > 0)
    return Requests(total.get(_CPU, 0), total.get(_MEMORY, 0), tuple(extended))


# Pods of one template ask the same. Each has at most 64 amounts of about 200 bytes: 13 MB in all.
_added_up = bounded_cache.remembered("pod-sums", 1024)(_add_up)


def _amounts(listed: _Listed) -> _Amounts:
    return {name: quantity.parse(value) for name, value in listed}


def _sum(parts: Iterable[_Amounts]) -> _Amounts:
    by_name: dict[str, list[quantity.Amount]] = {}
    for part in parts:
        for name, amount in part.items():
            if name in by_name:
                by_name[name].append(amount)
            else:
                by_name[name] = [amount]
    return {name: quantity.sum_of(amounts) for name, amounts in by_name.items()}


def _larger(left: _Amounts, right: _Amounts) -> _Amounts:
    """The larger of two amounts of each name; a missing one is no amount, not zero."""
    found = dict(left)
    for name, amount in right.items():
        known = found.get(name)
        if known is None or quantity.nanos(known) < quantity.nanos(amount):
            found[name] = amount
    return found
