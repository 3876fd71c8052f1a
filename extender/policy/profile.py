"""Which profile judges a pod, and how the pod's annotations may narrow it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from extender.kube import objects
from extender.policy import config

# A pod says here that its GPUs and NICs must be near: `required`, or a level (`PHB`, `NODE`, …).
LOCALITY_ANNOTATION = "railyard.dev/locality"

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
