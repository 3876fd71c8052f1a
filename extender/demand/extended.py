"""Extended resources that DRA serves: which class stands behind a name, and the claim it makes.

Source: KEP-5004; pkg/scheduler/framework/plugins/dynamicresources/extendeddynamicresources.go.
kube-scheduler decides per node: DRA serves a resource only where no device plug-in offers it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from extender import errors
from extender.demand import requests
from extender.hardware import versions
from extender.kube import objects

IMPLICIT_PREFIX = "deviceclass.resource.kubernetes.io/"


class Question(Protocol):
    """The part of a question read here: extended resources by container."""

    @property
    def containers(self) -> tuple[tuple[int, tuple[tuple[str, int], ...]], ...]: ...


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


class Classes:
    """Makes the special claim of a pod; remembers the mapping until a class changes."""

    def __init__(
        self,
        classes: Callable[[], Mapping[str, objects.DeviceClass]],
        version: Callable[[], int],
        features: versions.Features,
    ) -> None:
        self._classes = classes
        self._version = version
        self._features = features
        self._seen = -1
        self._names: dict[str, str | None] = {}  # resource name → class name

    def claim(self, question: Question, names: frozenset[str]) -> requests.ClaimDemand | None:
        """The special claim for these resources; None where DRA does not serve one of them.

        One request per container and resource, `container-<i>-request-<j>`, j counting the
        container's resource names in order; requests are sorted by name as text.
        """
        if not self._features.extended_resources:
            return None
        found: list[objects.DeviceRequest] = []
        for index, asked in question.containers:
            for place, (name, count) in enumerate(sorted(asked)):
                if name not in names:
                    continue
                behind = self._class(name)
                if behind is None:
                    return None
                exactly = objects.ExactDeviceRequest(
                    device_class_name=behind, allocation_mode=requests.EXACT, count=count
                )
                title = f"container-{index}-request-{place}"
                found.append(objects.DeviceRequest(name=title, exactly=exactly))
        found.sort(key=lambda request: request.name)
        spec = objects.ResourceClaimSpec(objects.DeviceClaim(requests=tuple(found)))
        try:
            return requests.claim_demand(spec, self._classes(), features=self._features)
        except errors.ClaimError:
            return None

    def _class(self, name: str) -> str | None:
        if self._seen != self._version():
            self._names.clear()
            self._seen = self._version()
        if name not in self._names:
            self._names[name] = class_of(name, self._classes())
        return self._names[name]
