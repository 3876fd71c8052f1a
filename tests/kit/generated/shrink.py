"""Make a differing allocation case small: drop and simplify parts while it still differs.

Only parts that the API leaves optional are dropped, so that a small case is still a legal one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]
Path = tuple[Any, ...]

# Keys whose whole value may go. Everything else is either a name or decides what an object is.
OPTIONAL = frozenset({
    "adminAccess", "allowMultipleAllocations", "attributes", "bindingConditions",
    "bindingFailureConditions", "bindsToNode", "capacity", "constraints", "consumesCounters",
    "matchFields", "max", "requestPolicy", "requests of a constraint", "selectors", "step",
    "taints", "tolerations",
})  # fmt: skip
# Maps from names to values: each entry may go.
TABLES = frozenset({"attributes", "capacity", "Capacity", "counters", "requests of capacity"})
# Lists whose items may go.
LISTS = frozenset({
    "allocatedCapacity", "allocatedDevices", "allocatedSharedDeviceIDs", "claims", "classes",
    "constraints", "consumesCounters", "devices", "features", "firstAvailable",
    "matchExpressions", "requests", "selectors", "sharedCounters", "slices", "taints",
    "tolerations", "validValues",
})  # fmt: skip


def shrink(case: Json, still_differs: Callable[[Json], bool], *, tries: int = 1500) -> Json:
    """Return the smallest case found that still differs; `tries` bounds the calls."""
    position, changed = 0, False
    while tries > 0:
        for index, candidate in enumerate(_candidates(case)):
            if index < position:
                continue
            tries -= 1
            if still_differs(candidate):
                # What stood behind the dropped part has moved up to its place.
                case, position, changed = candidate, index, True
                break
            if tries <= 0:
                return case
        else:
            if not changed:
                return case
            position, changed = 0, False
    return case


def _candidates(case: Json) -> Iterator[Json]:
    """Yield smaller versions of a case, the greatest steps first."""
    for depth in range(1, 14):
        for path in _parts(case, depth):
            without = copy.deepcopy(case)
            parent = _at(without, path[:-1])
            removed = parent.pop(path[-1])
            if path[-2:-1] == ("slices",):
                _recount(without, removed["spec"])
            yield without
    yield from _simpler(case)


def _parts(value: Any, depth: int, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of exactly this length that may be dropped."""
    if isinstance(value, dict):
        entries: Any = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
    else:
        return
    for key, item in entries:
        here = (*path, key)
        if len(here) < depth:
            yield from _parts(item, depth, here)
        elif _droppable(here):
            yield here


def _droppable(path: Path) -> bool:
    name = path[-1]
    holder = path[-2] if len(path) > 1 else ""
    if isinstance(name, int):
        return holder in LISTS
    if name == "requests":
        return len(path) > 2 and path[-3] == "constraints"
    if holder == "requests":  # the capacity table of a request has this name, too
        return len(path) > 2 and path[-3] == "capacity"
    return name in OPTIONAL or holder in TABLES


def _recount(case: Json, gone: Json) -> None:
    for item in case["input"]["slices"]:
        spec = item["spec"]
        same = (spec["driver"], spec["pool"]["name"]) == (gone["driver"], gone["pool"]["name"])
        if same and spec["pool"]["generation"] == gone["pool"]["generation"]:
            spec["pool"]["resourceSliceCount"] -= 1


def _simpler(case: Json) -> Iterator[Json]:
    for path, value in list(_leaves(case)):
        for smaller in _smaller(path, value):
            changed = copy.deepcopy(case)
            _at(changed, path[:-1])[path[-1]] = smaller
            yield changed


def _smaller(path: Path, value: Any) -> Iterator[Any]:
    if path[-1] == "count" and isinstance(value, int) and value > 1:
        yield 1
        yield value - 1
    elif path[-1] == "expression" and value != "true":
        yield "true"
    elif path[-1] == "allocationMode" and value != "ExactCount":
        yield "ExactCount"
    elif path[-1] == "deviceClassName" and value != "any":
        yield "any"


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value
