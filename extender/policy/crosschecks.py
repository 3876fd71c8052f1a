"""What a policy's fields say about each other: names used twice, profiles that nothing reaches.

They are looked at in the document as it was read, so that these problems are reported together with
those of single fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from extender.hardware import allocator_features
from extender.policy.validation import Problem

# Each profile is compared with all before it; more than this many are a mistake.
MOST_PROFILES = 100
_STATUSES = ("True", "False", "Unknown")  # of a node's condition
_LISTS = ("namespaces", "priorityClassNames", "deviceClassNames", "resources")


def problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong between fields; what is no mapping or list is reported elsewhere."""
    version = document.get("kubernetesVersion")
    if isinstance(version, str) and version and not allocator_features.is_version(version):
        yield "kubernetesVersion", f"{version[:60]!r} is not a Kubernetes version such as 1.36"
    yield from _conditions(_listed(document.get("avoidConditions")))
    yield from _resources(_listed(document.get("deviceResources")))
    packing = document.get("packing")
    yield from _reserve(_listed(packing.get("reserve")) if isinstance(packing, Mapping) else [])
    profiles = document.get("profiles")
    if not isinstance(profiles, list):
        return
    if not profiles:
        yield "profiles", "at least one profile is needed"
    if len(profiles) > MOST_PROFILES:
        yield "profiles", f"{len(profiles)} profiles; at most {MOST_PROFILES} are read"
        return
    yield from _names(profiles)
    yield from _unreachable(profiles)
    for number, profile in enumerate(profiles):
        close = profile.get("proximity") if isinstance(profile, Mapping) else None
        labels = _listed(close.get("labels")) if isinstance(close, Mapping) else []
        location = f"profiles[{number}].proximity.labels[{{}}]"
        yield from _twice(labels, location)
        yield from _blank(labels, location)
        match = profile.get("match") if isinstance(profile, Mapping) else None
        match = match if isinstance(match, Mapping) else {}
        for name in _LISTS:
            entries = _listed(match.get(name))
            yield from _blank(entries, f"profiles[{number}].match.{name}[{{}}]")


def _conditions(entries: list[Any]) -> Iterator[Problem]:
    for number, entry in enumerate(entries):
        if not isinstance(entry, str):
            continue
        kind, equals, status = entry.partition("=")
        location = f"avoidConditions[{number}]"
        if not kind.strip():
            yield location, f"{entry[:60]!r} names no condition"
        elif equals and status not in _STATUSES:
            yield location, f"{entry[:60]!r}: the status is one of {', '.join(_STATUSES)}"
    yield from _twice(entries, "avoidConditions[{}]")


def _resources(entries: list[Any]) -> Iterator[Problem]:
    entries = [each if isinstance(each, Mapping) else {} for each in entries]
    names = [each.get("name") for each in entries]
    lowered = [name.lower() if isinstance(name, str) else None for name in names]
    yield from _twice(lowered, "deviceResources[{}].name")
    for number, each in enumerate(entries):
        if each.get("kind") == "GPU" and "share" in each and each["share"] == 0:
            reported = "a unit is no part of a GPU; leave it out where the share is not known"
            yield f"deviceResources[{number}].share", reported


def _reserve(entries: list[Any]) -> Iterator[Problem]:
    entries = [each if isinstance(each, Mapping) else {} for each in entries]
    yield from _twice([each.get("gpus") for each in entries], "packing.reserve[{}].gpus")
    total = sum(share for each in entries if isinstance(share := each.get("share"), int | float))
    if total > 1 + 1e-9:
        yield "packing.reserve", f"the shares add up to {total:g}; there is no more than 1"


def _twice(entries: list[Any], location: str) -> Iterator[Problem]:
    """Yield entries that stand there before; `place` has {} for the number."""
    seen: set[object] = set()
    for number, entry in enumerate(entries):
        if isinstance(entry, str | int) and entry in seen:
            yield location.format(number), f"{str(entry)[:60]!r} stands twice"
        if isinstance(entry, str | int):
            seen.add(entry)


def _blank(entries: list[Any], location: str) -> Iterator[Problem]:
    """Yield texts that nothing is called by; `location` has {} for the number."""
    for number, entry in enumerate(entries):
        if isinstance(entry, str) and not entry.strip():
            yield location.format(number), "is empty"


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _names(profiles: list[Any]) -> Iterator[Problem]:
    first: dict[str, int] = {}  # name → the profile that has it
    for number, profile in enumerate(profiles):
        name = profile.get("name") if isinstance(profile, Mapping) else None
        if not isinstance(name, str):
            continue
        if not name:
            yield f"profiles[{number}].name", "is empty"
        elif not name.isprintable():
            yield f"profiles[{number}].name", f"{name[:60]!a} holds a character that is not shown"
        elif first.setdefault(name, number) != number:
            yield f"profiles[{number}].name", f"{name[:60]!r} is used twice"


def _unreachable(profiles: list[Any]) -> Iterator[Problem]:
    """Yield profiles whose every pod an earlier one takes; the last also serves all others."""
    matches = [
        profile.get("match", {}) if isinstance(profile, Mapping) else None for profile in profiles
    ]
    for number, match in enumerate(matches):
        for earlier in range(number):
            if not _covers(matches[earlier], match):
                continue
            other = profiles[earlier].get("name")
            location = f"profiles[{number}].match"
            if not matches[earlier] or number < len(matches) - 1:
                reported = f"is never reached: profiles[{earlier}] ({other}) takes all of its pods"
            else:
                reported = (
                    f"takes no pod: profiles[{earlier}] ({other}) does; leave it out, as the "
                )
                reported += "last profile serves all others anyway"
            yield location, reported
            break


def _covers(one: object, other: object) -> bool:
    """Whether a pod that the other match takes is always taken by this one."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return False
    for name in _LISTS:
        mine, theirs = one.get(name, []), other.get(name, [])
        if not _texts(mine) or not _texts(theirs):
            return False
        if mine and not (theirs and set(theirs) <= set(mine)):
            return False
    mine, theirs = one.get("labels", {}), other.get("labels", {})
    if not isinstance(mine, Mapping) or not isinstance(theirs, Mapping):
        return False
    return all(name in theirs and theirs[name] == value for name, value in mine.items())


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
