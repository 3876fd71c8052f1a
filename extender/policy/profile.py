"""Which profile judges a pod, and how the pod's annotations may narrow it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import msgspec

from extender.kube.api import objects
from extender.policy import config

# A pod says here that its GPUs and NICs must be close: `required`, or a level (`PHB`, `NODE`, …).
LOCALITY_ANNOTATION = "railyard.dev/locality"

# Which devices behind a plug-in the pod holds, read in `cluster.pods.bound_pods`.
_DEVICES_ANNOTATION = "railyard.dev/devices"
_PREFIX = "railyard.dev/"
_DEVICES = r"[^=;]+=\s*\d{1,6}\s*(,\s*\d{1,6}\s*)*"
_ANNOTATIONS = {
    LOCALITY_ANNOTATION: re.compile(r"(?i)required|PIX|PXB|PHB|NODE|"),
    _DEVICES_ANNOTATION: re.compile(rf"(?a){_DEVICES}(;\s*{_DEVICES})*;?\s*|"),
}
_EXPECTED = {
    LOCALITY_ANNOTATION: "required, PIX, PXB, PHB or NODE",
    _DEVICES_ANNOTATION: "of the form nvidia.com/gpu=0,1;other/nic=2",
}
_LONGEST_SHOWN = 80  # characters of what a tenant wrote
_MOST_REMARKS = 16
_LEVELS = ("PIX", "PXB", "PHB", "NODE")


def for_pod(
    policy: config.Policy,
    pod: objects.Pod,
    *,
    device_class_names: Iterable[str] = (),
    resources: Iterable[str] = (),
) -> config.Profile:
    """Pick the first profile whose match holds, narrowed by the pod's own annotation.

    Where none matches, the last one serves: a policy always has an answer.
    """
    classes, names = frozenset(device_class_names), frozenset(resources)
    chosen = policy.profiles[-1]
    for profile in policy.profiles:
        if _matches(profile.match, pod, classes, names):
            chosen = profile
            break
    if policy.pod_annotations == "Allow":
        return _narrowed(chosen, (pod.metadata.annotations or {}).get(LOCALITY_ANNOTATION))
    return chosen


def remarks(pod: objects.Pod, *, heeded: bool) -> tuple[str, ...]:
    """What is wrong with the pod's own annotations, in sentences; `heeded`: the policy reads them.

    A typing error must not make a pod unschedulable, but its author should hear of it.
    """
    found = []
    for name, value in sorted((pod.metadata.annotations or {}).items()):
        if not name.startswith(_PREFIX):
            continue
        shown = f"annotation {name[:_LONGEST_SHOWN]}"
        if name not in _ANNOTATIONS:
            close = difflib.get_close_matches(name[:_LONGEST_SHOWN], _ANNOTATIONS, 1)
            found.append(f"{shown} is not read" + (f"; did you mean {close[0]}?" if close else ""))
        elif name == LOCALITY_ANNOTATION and not heeded:
            found.append(f"{shown} is not heeded: the policy says podAnnotations: Ignore")
        elif not _ANNOTATIONS[name].fullmatch(value):
            reported = (
                f"{shown}: {value[:_LONGEST_SHOWN]!r} is not {_EXPECTED[name]}, and is ignored"
            )
            found.append(reported)
        if len(found) == _MOST_REMARKS:
            break
    return tuple(found)


def _matches(
    match: config.Match, pod: objects.Pod, classes: frozenset[str], resources: frozenset[str]
) -> bool:
    labels = pod.metadata.labels or {}
    return (
        (not match.namespaces or (pod.metadata.namespace or "default") in match.namespaces)
        and all(labels.get(name) == value for name, value in match.labels.items())
        and (
            not match.priority_class_names
            or pod.spec.priority_class_name in match.priority_class_names
        )
        and (not match.device_class_names or not classes.isdisjoint(match.device_class_names))
        and (not match.resources or not resources.isdisjoint(match.resources))
    )


def _narrowed(profile: config.Profile, wish: str | None) -> config.Profile:
    if not wish:
        return profile
    level = wish.upper()
    if level == "REQUIRED":
        locality = msgspec.structs.replace(profile.locality, mode="Required")
    elif level in _LEVELS:
        locality = msgspec.structs.replace(profile.locality, mode="Required", level=level)
    else:
        return profile  # a typing error must not make a pod unschedulable
    return msgspec.structs.replace(profile, locality=locality)
