"""Fields that stand where they have no effect: each is a problem that names the right place.

A field that holds for the whole cluster means nothing in one profile, and the other way round. To
ignore it there would leave an operator with a policy that does not do what it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from extender.policy.validation import Problem

# (section of a profile, field) → where it holds for the whole cluster
_CLUSTER_WIDE: Mapping[tuple[str, ...], str] = {
    ("packing", "alpha"): "packing.alpha",
    ("packing", "cliffShare"): "packing.fitsNowShare",
    ("packing", "fitsNowShare"): "packing.fitsNowShare",
    ("packing", "partCredit"): "packing.partCredit",
    ("packing", "halfLifePods"): "packing.horizonPods",
    ("packing", "horizonPods"): "packing.horizonPods",
    ("packing", "maxNamespaceShare"): "packing.maxNamespaceShare",
    ("packing", "machineReserve"): "packing.machineReserve",
    ("packing", "distanceWeight"): "packing.distanceWeight",
    ("packing", "reserve"): "packing.reserve",
    ("preference", "avoidConditions"): "avoidConditions",
}
# The same without the section's name → where they hold
_WITHOUT_SECTION: Mapping[tuple[str, ...], str] = {
    path[1:]: location for path, location in _CLUSTER_WIDE.items() if path[0] == "packing"
}
_IN_A_PROFILE = {**_CLUSTER_WIDE, **_WITHOUT_SECTION}
# fields of the whole document that some write into a profile
_OF_THE_DOCUMENT = (
    "scores",
    "avoidConditions",
    "cpuPods",
    "podAnnotations",
    "reservationSeconds",
    "stepBudget",
    "kubernetesVersion",
    "deviceResources",
)
# (section, field) or (field,) of the document → where it belongs
_OF_A_PROFILE = {
    ("packing", "weight"): "profiles[].packing.weight",
    ("locality",): "profiles[].locality",
    ("proximity",): "profiles[].proximity",
    ("preference",): "profiles[].preference",
    ("match",): "profiles[].match",
}
# Fields of a candidate policy (`rollout.document`), which a policy in force has no use for.
_OF_A_CANDIDATE = (("canary",), ("shadow",))
# path → (the new place, what it means)
_RENAMED = {
    ("packing", "halfLifePods"): ("packing.horizonPods", "pods the learnt mix looks back on"),
    ("packing", "cliffShare"): (
        "packing.fitsNowShare",
        "how much what fits now counts, against what CPU and memory cover",
    ),
}


def problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield each field that stands in the wrong place, with the right one."""
    yield from _at_the_top(document)
    for number, profile in enumerate(_profiles(document)):
        for path, location in _IN_A_PROFILE.items():
            if _holds(profile, path):
                reported = f"holds for the whole cluster: set it at {location}"
                yield f"profiles[{number}].{'.'.join(path)}", reported
        for name in _OF_THE_DOCUMENT:
            if _holds(profile, (name,)):
                yield f"profiles[{number}].{name}", f"holds for the whole cluster: set it at {name}"


def _at_the_top(document: Mapping[str, Any]) -> Iterator[Problem]:
    for section in _OF_A_CANDIDATE:
        if _holds(document, section):
            yield section[0], "belongs to a candidate policy: set it in shadow.yaml, or remove it"
    for path, location in _OF_A_PROFILE.items():
        if _holds(document, path):
            yield ".".join(path), f"belongs to a profile: set it at {location}"
    for path, (location, meaning) in _RENAMED.items():
        if _holds(document, path):
            yield ".".join(path), f"is called {location} now: {meaning}"
    for path, location in _WITHOUT_SECTION.items():
        if _holds(document, path):
            yield ".".join(path), f"belongs to a section: set it at {location}"


def without(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without the fields that `problems` tells of."""
    rest = _rest(document, (*_OF_A_PROFILE, *_RENAMED, *_WITHOUT_SECTION, *_OF_A_CANDIDATE))
    profiles = rest.get("profiles")
    if isinstance(profiles, list):
        gone = (*_IN_A_PROFILE, *((name,) for name in _OF_THE_DOCUMENT))
        rest["profiles"] = [
            _rest(profile, gone) if isinstance(profile, Mapping) else profile
            for profile in profiles
        ]
    return rest


def _profiles(document: Mapping[str, Any]) -> list[Any]:
    found = document.get("profiles")
    return found if isinstance(found, list) else []


def _holds(value: object, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return False
        value = value[name]
    return True


def _rest(value: Mapping[str, Any], paths: tuple[tuple[str, ...], ...]) -> dict[str, Any]:
    """The mapping without what the paths, of one or two names, lead to."""
    rest = dict(value)
    for first, *then in paths:
        if not then:
            rest.pop(first, None)
        elif isinstance(rest.get(first), Mapping) and then[0] in rest[first]:
            rest[first] = {name: item for name, item in rest[first].items() if name != then[0]}
    return rest
