"""What a bound pod is to its node: all that the index reads of it, worked out once a version.

A pod whose tenant stays the same (its status moves on, its labels change) leaves its node as it is.
"""

from __future__ import annotations

import dataclasses

from extender.cluster import relevant_fields
from extender.demand import kept_objects
from extender.demand import pod as pods
from extender.kube.api import objects

DEVICES_ANNOTATION = relevant_fields.ANNOTATION_PREFIX + "devices"

# Characters of the annotation: 128 devices of eight resources are half as many. A longer one is as
# good as absent.
_MOST_TEXT = 4096
_SHORT = 60  # characters of it that are shown

_Key = tuple[str, str]  # (namespace, name)

AnnotatedDevices = tuple[tuple[str, tuple[int, ...]], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class BoundPod:
    """A bound pod; `age` puts the pods of a node in the order in which they were created.

    `annotated` are the devices that its annotation names: resource, and their numbers; `misread`
    says why that, or a part of it, cannot be read.
    """

    uid: str
    age: tuple[str, str, str]
    asked: pods.Requests
    annotated: AnnotatedDevices = ()
    misread: str = ""

    @property
    def name(self) -> str:
        """As people write it: "namespace/name"."""
        return f"{self.age[1] or 'default'}/{self.age[2]}"


def bound_pod(pod: objects.Pod) -> BoundPod:
    """The pod as its node has it; ValueError for a malformed quantity, which nobody can admit."""
    meta = pod.metadata
    asked = pods.requests_of(kept_objects.pod_as_kept(pod))
    text = meta.annotations.get(DEVICES_ANNOTATION, "") if meta.annotations else ""
    age = (meta.creation_timestamp or "", meta.namespace, meta.name)
    annotated, misread = _annotated(text) if text else ((), "")
    return BoundPod(meta.uid, age, asked, annotated, misread)


def leave(
    key: _Key,
    pods_on: dict[str, dict[_Key, objects.Pod]],
    tenants_on: dict[str, dict[_Key, BoundPod]],
    node: str,
) -> BoundPod:
    """Take the pod off its node; what it was there."""
    present, found = pods_on[node], tenants_on[node]
    del present[key]
    was = found.pop(key)
    if not present:
        del pods_on[node], tenants_on[node]
    return was


def _annotated(text: str) -> tuple[AnnotatedDevices, str]:
    """The annotation's devices: `name=0,1;other=3`; what cannot be read is absent, and why."""
    if len(text) > _MOST_TEXT:
        return (), f"it has more than {_MOST_TEXT} characters"
    found: dict[str, tuple[int, ...]] = {}
    misread = ""
    for entry in text.split(";"):
        name, equals, numbers = entry.strip().partition("=")
        devices = tuple(map(number, numbers.split(",")))
        if equals and None not in devices and len(set(devices)) == len(devices):
            found[name] = tuple(device for device in devices if device is not None)
        elif entry.strip():
            misread = misread or f"{entry.strip()[:_SHORT]!r} is not RESOURCE=NUMBER,NUMBER,…"
    return tuple(found.items()), misread


def number(text: str) -> int | None:
    """The number of a device or a NUMA node in a text that anybody may write; None if it is none.

    More digits than these are a mistake, or meant to be costly.
    """
    digits = text.strip()
    return int(digits) if len(digits) <= 4 and digits.isascii() and digits.isdecimal() else None
