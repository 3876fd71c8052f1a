"""Which pools and devices of a vector's slices a node has: the rules of the API, not a search.

Part of the validity check; shares no code with the product.
"""

from __future__ import annotations

import collections
from typing import Any

Json = dict[str, Any]
Pool = tuple[str, str]  # driver, name


def pools_of(case: Json) -> dict[Pool, tuple[list[Json], str]]:
    """Return every pool with a slice on the node: its newest slices, and how they are.

    "complete", "incomplete", or "invalid" (then, as for incomplete ones, no slices are given).
    """
    partitions = "DRAPartitionableDevices" in case["features"]
    grouped: dict[Pool, list[Json]] = collections.defaultdict(list)
    for item in case["slices"]:
        spec = item["spec"]
        grouped[spec["driver"], spec["pool"]["name"]].append(item)
    pools = {}
    for name, slices in grouped.items():
        here = [item for item in slices if _relevant(item, case["node"], partitions)]
        if not here:
            continue
        newest = max(_generation(item) for item in here)
        here = [item for item in here if _generation(item) == newest]
        everywhere = [item for item in slices if _generation(item) == newest]
        expected = here[0]["spec"]["pool"]["resourceSliceCount"]
        if len(here) != expected and max(map(_generation, slices)) > newest:
            continue
        if expected not in (len(here), len(everywhere)):
            pools[name] = ([], "incomplete")
        elif _invalid(here, everywhere if partitions else []):
            pools[name] = ([], "invalid")
        else:
            pools[name] = (everywhere if partitions else here, "complete")
    return pools


def on_node(slice_: Json, device: Json, node: Json) -> bool:
    """Whether a device of a slice can be used from the node."""
    rule = device if slice_["spec"].get("perDeviceNodeSelection") else slice_["spec"]
    return _matches(rule, node)


def _generation(slice_: Json) -> int:
    return int(slice_["spec"]["pool"]["generation"])


def _relevant(slice_: Json, node: Json, partitions: bool) -> bool:
    spec = slice_["spec"]
    if not partitions and (spec.get("perDeviceNodeSelection") or spec.get("sharedCounters")):
        return False
    if not slice_["spec"].get("perDeviceNodeSelection"):
        return _matches(slice_["spec"], node)
    return any(_matches(device, node) for device in slice_["spec"].get("devices") or ())


def _invalid(here: list[Json], everywhere: list[Json]) -> bool:
    names = [device["name"] for item in here for device in item["spec"].get("devices") or ()]
    groups = [group for item in everywhere for group in item["spec"].get("sharedCounters") or ()]
    counters = {group["name"]: set(group["counters"]) for group in groups}
    uses = [
        use
        for item in everywhere
        for device in item["spec"].get("devices") or ()
        for use in device.get("consumesCounters") or ()
    ]
    return (
        len(set(names)) < len(names)
        or len(counters) < len(groups)
        or any(not set(use["counters"]) <= counters.get(use["counterSet"], set()) for use in uses)
    )


def _matches(rule: Json, node: Json) -> bool:
    if rule.get("allNodes"):
        return True
    if rule.get("nodeName"):
        return bool(rule["nodeName"] == node["metadata"]["name"])
    terms = (rule.get("nodeSelector") or {}).get("nodeSelectorTerms") or ()
    return any(_term(term, node["metadata"]) for term in terms)


def _term(term: Json, metadata: Json) -> bool:
    labels = metadata.get("labels") or {}
    fields = {"metadata.name": metadata["name"]}
    requirements = [
        *((item, labels) for item in term.get("matchExpressions") or ()),
        *((item, fields) for item in term.get("matchFields") or ()),
    ]
    # A term without requirements matches nothing.
    return bool(requirements) and all(_requirement(item, names) for item, names in requirements)


def _requirement(item: Json, values: Json) -> bool:
    value, listed = values.get(item["key"]), item.get("values") or ()
    match item["operator"]:
        case "In":
            return value in listed
        case "NotIn":
            return value not in listed
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and int(value) > int(listed[0])
        case "Lt":
            return value is not None and int(value) < int(listed[0])
    raise ValueError(item["operator"])
