"""Extended resources that DRA serves: which class stands behind a name, and the claim it makes.

Source: KEP-5004; pkg/scheduler/framework/plugins/dynamicresources/extendeddynamicresources.go.
kube-scheduler decides per node: DRA serves a resource only where no device plug-in offers it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from extender import bounded_cache, errors
from extender.demand import requests
from extender.hardware import allocator_features
from extender.kube.api import objects, quantity

# Resource → its device requests, (name, count) each.
_Special: TypeAlias = tuple[tuple[str, tuple[tuple[str, int], ...]], ...]

# Bytes of claims remembered, and of one device request in them.
_MOST_CLAIMS, _ENTRY = 1 << 20, 1000

IMPLICIT_PREFIX = "deviceclass.resource.kubernetes.io/"


class DeviceRequestKey(Protocol):
    """The part of a question read here: resource → `device_requests` of the pod."""

    @property
    def special(self) -> tuple[tuple[str, tuple[tuple[str, int], ...]], ...]: ...


def class_of(name: str, classes: Mapping[str, objects.DeviceClass]) -> str | None:
    """The device class behind a resource name: the implicit one, else the newest that claims it.

    Ties go to the lower class name.
    """
    if name.startswith(IMPLICIT_PREFIX):
        implicit = name.removeprefix(IMPLICIT_PREFIX)
        return implicit if implicit in classes else None
    claiming = [c.metadata for c in classes.values() if c.spec.extended_resource_name == name]
    if not claiming:
        return None
    newest = max(meta.creation_timestamp or "" for meta in claiming)
    return min(meta.name for meta in claiming if (meta.creation_timestamp or "") == newest)


def extended_claim(
    pod: objects.Pod,
    resources: Mapping[str, str],  # resource name → device class, those that DRA serves here
    classes: Mapping[str, objects.DeviceClass],  # by name
    *,
    features: allocator_features.AllocatorFeatures,
) -> requests.ClaimDemand | None:
    """The special claim that kube-scheduler makes for the pod on a node; None if it needs none.

    `resources` are the pod's extended resources for which the node has no device plug-in. One
    request per container and resource, `container-<i>-request-<j>`; the requests are sorted by
    name as text. Raises errors.ClaimError as `requests.claim_demand` does.
    """
    asked = all_requests(pod)
    found = [
        _device_request(name, behind, count)
        for resource, behind in sorted(resources.items())
        for name, count in asked.get(resource, ())
    ]
    if not found:
        return None
    found.sort(key=lambda request: request.name)
    spec = objects.ResourceClaimSpec(objects.DeviceClaim(requests=tuple(found)))
    return requests.claim_demand(spec, classes, features=features)


def device_requests(pod: objects.Pod, resource: str) -> list[tuple[str, int]]:
    """The (name, count) of the device requests for one extended resource; see `all_requests`."""
    return all_requests(pod).get(resource, [])


def all_requests(pod: objects.Pod) -> dict[str, list[tuple[str, int]]]:
    """Resource → the (name, count) of its device requests, in one walk over the containers.

    Containers and sidecars ask for themselves. An init container uses what the containers after
    it have; of what init containers need beyond that, only the largest is asked for. Takes time
    in proportion to the amounts that the pod has (and the sorting of each container's).
    """
    starting = pod.spec.init_containers or ()
    containers = (*starting, *(pod.spec.containers or ()))
    lasting: dict[str, list[tuple[str, int]]] = {}  # resource → requests, the last container first
    later: dict[str, int] = {}  # resource → what those ask in all
    largest: dict[str, tuple[str, int]] = {}  # resource → the most that an init container lacks
    for index in range(len(containers) - 1, -1, -1):
        container = containers[index]
        short = index < len(starting) and container.restart_policy != "Always"
        amounts = _amounts(container)
        for number, resource in enumerate(sorted(amounts)):
            if "/" not in resource:
                continue
            asked = quantity.whole(amounts[resource])
            name = f"container-{index}-request-{number}"
            if not short:
                if asked:
                    lasting.setdefault(resource, []).append((name, asked))
                    later[resource] = later.get(resource, 0) + asked
                continue
            more = asked - later.get(resource, 0)
            # Of equal ones the first container's: we come from the last.
            if more > 0 and (resource not in largest or largest[resource][1] <= more):
                largest[resource] = (name, more)
    return {
        resource: [
            *([largest[resource]] if resource in largest else []),
            *reversed(lasting.get(resource, [])),
        ]
        for resource in {**largest, **lasting}
    }


def _device_request(name: str, behind: str, count: int) -> objects.DeviceRequest:
    exactly = objects.ExactDeviceRequest(
        device_class_name=behind, allocation_mode=requests.EXACT, count=count
    )
    return objects.DeviceRequest(name=name, exactly=exactly)


def _amounts(container: objects.Container) -> objects.Quantities:
    """What the container requests; the API lets a limit stand for a missing request."""
    return {**(container.resources.limits or {}), **(container.resources.requests or {})}


class ExtendedResourceClasses:
    """Makes the special claim of a pod; remembers the mapping until a class changes."""

    def __init__(
        self,
        classes: Callable[[], Mapping[str, objects.DeviceClass]],
        version: Callable[[], int],
        features: allocator_features.AllocatorFeatures,
    ) -> None:
        self._classes = classes
        self._version = version
        self._features = features
        self._seen = -1
        self._names: dict[str, str | None] = {}  # resource name → class name
        # (requests, which names) → the claim: asked for on state after state of one question
        self._claims: bounded_cache.BoundedCache[
            tuple[_Special, frozenset[str]], tuple[requests.ClaimDemand | None]
        ] = bounded_cache.BoundedCache("special-claims", _MOST_CLAIMS)

    def claim(
        self, question: DeviceRequestKey, names: frozenset[str]
    ) -> requests.ClaimDemand | None:
        """The special claim for these resources; None where DRA does not serve one of them."""
        if not self._features.extended_resources:
            return None
        self._refresh()
        key = question.special, names
        known = self._claims.get(key)
        if known is None:
            known = (self._new(question, names),)
            self._claims.put(key, known, _ENTRY * sum(len(each) for _, each in question.special))
        return known[0]

    @property
    def figures(self) -> bounded_cache.Figures:
        """How full the cache of claims is."""
        return self._claims.figures

    def _new(
        self, question: DeviceRequestKey, names: frozenset[str]
    ) -> requests.ClaimDemand | None:
        found: list[objects.DeviceRequest] = []
        for resource, asked in question.special:
            if resource not in names:
                continue
            behind = self._class(resource)
            if behind is None:
                return None
            found += [_device_request(name, behind, count) for name, count in asked]
        found.sort(key=lambda request: request.name)
        spec = objects.ResourceClaimSpec(objects.DeviceClaim(requests=tuple(found)))
        try:
            return requests.claim_demand(spec, self._classes(), features=self._features)
        except errors.ClaimError:
            return None

    def _refresh(self) -> None:
        if self._seen != self._version():
            self._names.clear()
            self._claims.clear()
            self._seen = self._version()

    def _class(self, name: str) -> str | None:
        if name not in self._names:
            self._names[name] = class_of(name, self._classes())
        return self._names[name]
