"""What a bound pod is to its node: all that the index reads of it, worked out once a version.

A pod whose tenant stays the same (its status moves on, its labels change) leaves its node as it is.
"""

from __future__ import annotations

import dataclasses

from extender.cluster import readings
from extender.demand import pod as pods
from extender.kube import objects

DEVICES_ANNOTATION = readings.ANNOTATION_PREFIX + "devices"

# Characters of the annotation: 128 devices of eight resources are half as many. A longer one is as
# good as absent.
_MOST_TEXT = 4096

Told = tuple[tuple[str, tuple[int, ...]], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Tenant:
    """A bound pod; `age` puts the pods of a node in the order in which they were created.

    `told` are the devices that its annotation names: resource, and their numbers.
    """

    uid: str
    age: tuple[str, str, str]
    asked: pods.Requests
    told: Told = ()


def tenant(pod: objects.Pod) -> Tenant:
    """A pod with a malformed quantity cannot have been admitted; it counts as asking nothing."""
    meta = pod.metadata
    try:
        asked = pods.requests_of(pod)
    except ValueError:
        asked = pods.NOTHING
    text = meta.annotations.get(DEVICES_ANNOTATION, "") if meta.annotations else ""
    age = (meta.creation_timestamp or "", meta.namespace, meta.name)
    return Tenant(meta.uid, age, asked, _told(text) if 0 < len(text) <= _MOST_TEXT else ())


def _told(text: str) -> Told:
    """The annotation's devices: `name=0,1;other=3`; what cannot be read is as good as absent."""
    found: dict[str, tuple[int, ...]] = {}
    for entry in text.split(";"):
        name, equals, numbers = entry.strip().partition("=")
        parts = [part.strip() for part in numbers.split(",")]
        if equals and all(part.isdecimal() for part in parts):
            found[name] = tuple(int(part) for part in parts)
    return tuple(found.items())
