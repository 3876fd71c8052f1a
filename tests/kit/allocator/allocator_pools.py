"""Draw small pools of devices, as ResourceSlices in API form, for the differential fuzzer.

Everything here is a function of the `random.Random` it is given.
"""

from __future__ import annotations

import random
from typing import Any

from tests.kit.allocator import allocator_mig

Json = dict[str, Any]

NODE = "n1"
OTHER_NODE = "n2"
NODE_LABELS = {"kubernetes.io/hostname": NODE, "zone": "z1", "count": "5"}
DRIVERS = ("gpu.x.io", "nic.x.io", "mem.x.io")
# "n1" is what node-local drivers call their pool, so that two drivers share a pool name.
POOLS = ("n1", "n1", "pool-0", "pool-1", "n1-1", "n2")
PCIE_ROOT = "resource.kubernetes.io/pcieRoot"
COUNTER_SETS = ("cs-0", "cs-1")
COUNTERS = ("mem", "slots")


def draw_slices(rng: random.Random, flavours: frozenset[str], *, mixed_slices: bool) -> list[Json]:
    """Return the ResourceSlices of one to five pools, in an order of no meaning.

    `mixed_slices`: one slice often holds devices and counters, which the API allowed in 1.34 only.
    """
    pools = {
        (rng.choice(DRIVERS[: rng.choice((1, 2, 2, 3))]), rng.choice(POOLS))
        for _ in range(rng.choice((1, 1, 2, 2, 3, 4, 5)))
    }
    slices: list[Json] = []
    for driver, pool in sorted(pools):
        slices += _pool(rng, flavours, driver=driver, pool=pool, mixed=mixed_slices)
    for number, item in enumerate(slices):
        # Name order shall differ from list order; the number keeps names unique.
        item["metadata"] = {"name": f"{rng.choice('abcd')}{number}"}
    rng.shuffle(slices)
    return slices


def _pool(
    rng: random.Random, flavours: frozenset[str], *, driver: str, pool: str, mixed: bool
) -> list[Json]:
    # Most pools belong to one node or to all; some mix, which only matters to a real pool rule.
    home = None if rng.random() < 0.3 else _node_rule(rng, flavours)
    if "mig" in flavours and rng.random() < 0.6:
        slices = allocator_mig.draw_slices(rng, _node_rule(rng, flavours - {"per device"}))
        _number(rng, flavours, slices, driver=driver, pool=pool)
        return slices
    counter_sets = _counter_sets(rng) if "counters" in flavours and rng.random() < 0.8 else []
    names = iter(range(100))
    slices: list[Json] = []
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        rule = dict(home) if home else _node_rule(rng, flavours)
        per_device = "perDeviceNodeSelection" in rule
        devices = [
            _device(rng, flavours, name=f"dev-{next(names)}", counter_sets=counter_sets)
            for _ in range(rng.choice((0, 1, 2, 3, 3, 4, 5)))
        ]
        if per_device:
            for device in devices:
                device.update(_node_rule(rng, flavours - {"per device"}))
        slices.append({"spec": {**rule, "devices": devices}})
    if counter_sets:
        slices += _counter_slices(rng, flavours, home=home, counter_sets=counter_sets)
        # Later versions forbid this, but keep such slices as they find them.
        if rng.random() < (0.5 if mixed else 0.03):
            slices = _merged(slices)
    if "broken pools" in flavours and rng.random() < 0.3:
        _repeat_a_device(rng, slices)
    _number(rng, flavours, slices, driver=driver, pool=pool)
    return slices


def _number(
    rng: random.Random, flavours: frozenset[str], slices: list[Json], *, driver: str, pool: str
) -> None:
    count = len(slices)
    if "broken pools" in flavours and rng.random() < 0.3:
        count += rng.choice((1, -1))
    for item in slices:
        generation = 2
        if "generations" in flavours and rng.random() < 0.25:
            generation = rng.choice((1, 3))
        item["spec"] |= {
            "driver": driver,
            "pool": {"name": pool, "generation": generation, "resourceSliceCount": count},
        }
    if "generations" in flavours and rng.random() < 0.4:
        # Let the newest generation be complete by itself at least sometimes.
        newest = max(item["spec"]["pool"]["generation"] for item in slices)
        alive = [item for item in slices if item["spec"]["pool"]["generation"] == newest]
        for item in alive:
            item["spec"]["pool"]["resourceSliceCount"] = len(alive)


def _node_rule(rng: random.Random, flavours: frozenset[str]) -> Json:
    if "per device" in flavours and rng.random() < 0.4:
        return {"perDeviceNodeSelection": True}
    draw = rng.random()
    if "node rules" not in flavours:
        return {"nodeName": NODE} if draw < 0.7 else {"allNodes": True}
    if draw < 0.4:
        return {"nodeName": NODE}
    if draw < 0.55:
        return {"nodeName": OTHER_NODE}
    if draw < 0.7:
        return {"allNodes": True}
    return {"nodeSelector": {"nodeSelectorTerms": [_selector_term(rng)]}}


def _selector_term(rng: random.Random) -> Json:
    expressions: list[Json] = [
        {"key": "zone", "operator": "In", "values": ["z1"]},
        {"key": "zone", "operator": "In", "values": ["z1", "z2"]},
        {"key": "zone", "operator": "In", "values": ["z2"]},
        {"key": "zone", "operator": "NotIn", "values": ["z2"]},
        {"key": "zone", "operator": "Exists"},
        {"key": "gone", "operator": "DoesNotExist"},
        {"key": "gone", "operator": "NotIn", "values": ["x"]},
        {"key": "gone", "operator": "Exists"},
        {"key": "count", "operator": "Gt", "values": ["4"]},
        {"key": "count", "operator": "Lt", "values": ["5"]},
    ]
    fields: list[Json] = [
        {"key": "metadata.name", "operator": "In", "values": [rng.choice((NODE, OTHER_NODE))]}
    ]
    if rng.random() < 0.2:
        return {"matchFields": fields}
    term: Json = {"matchExpressions": rng.sample(expressions, rng.choice((1, 1, 2)))}
    if rng.random() < 0.2:
        term["matchFields"] = fields
    return term


def _counter_sets(rng: random.Random) -> list[Json]:
    return [
        {
            "name": name,
            "counters": {
                counter: {"value": rng.choice(("1", "2", "2", "4", "4"))}
                for counter in COUNTERS[: rng.choice((1, 2))]
            },
        }
        for name in COUNTER_SETS[: rng.choice((1, 1, 2))]
    ]


def _counter_slices(
    rng: random.Random, flavours: frozenset[str], *, home: Json | None, counter_sets: list[Json]
) -> list[Json]:
    sets = list(counter_sets)
    if "broken pools" in flavours and rng.random() < 0.2:
        sets.append(rng.choice(sets))
    groups = [sets] if rng.random() < 0.7 else [[item] for item in sets]
    rules = [dict(home) if home else _node_rule(rng, flavours) for _ in groups]
    return [
        {"spec": {**rule, "sharedCounters": group}}
        for rule, group in zip(rules, groups, strict=True)
    ]


def _merged(slices: list[Json]) -> list[Json]:
    counters = [item for item in slices if "sharedCounters" in item["spec"]]
    with_devices = [item for item in slices if item["spec"].get("devices")]
    if not with_devices:
        return slices
    for item in counters:
        with_devices[0]["spec"].setdefault("sharedCounters", []).extend(
            item["spec"]["sharedCounters"]
        )
    return [item for item in slices if item not in counters]


def _repeat_a_device(rng: random.Random, slices: list[Json]) -> None:
    devices = [device for item in slices for device in item["spec"].get("devices", ())]
    if len(devices) > 1:
        first, second = rng.sample(devices, 2)
        first["name"] = second["name"]


def _device(
    rng: random.Random, flavours: frozenset[str], *, name: str, counter_sets: list[Json]
) -> Json:
    device: Json = {"name": name}
    if attributes := _attributes(rng, flavours):
        device["attributes"] = attributes
    if flavours & {"capacity", "multi", "policies"} and (capacity := _capacity(rng, flavours)):
        device["capacity"] = capacity
    if "multi" in flavours and rng.random() < 0.5:
        device["allowMultipleAllocations"] = rng.random() < 0.9
    if counter_sets and rng.random() < 0.75:
        device["consumesCounters"] = _consumption(rng, flavours, counter_sets)
    if "taints" in flavours and rng.random() < 0.4:
        device["taints"] = [_taint(rng) for _ in range(rng.choice((1, 1, 2)))]
    if "binding" in flavours and rng.random() < 0.3:
        device["bindingConditions"] = ["ready"]
        device["bindingFailureConditions"] = ["failed"]
        device["bindsToNode"] = rng.random() < 0.5
    return device


def _taint(rng: random.Random) -> Json:
    taint = {"key": rng.choice(("k0", "k1")), "value": rng.choice(("v", "w"))}
    return taint | {"effect": rng.choice(("NoSchedule", "NoSchedule", "NoExecute", "None"))}


def _attributes(rng: random.Random, flavours: frozenset[str]) -> Json:
    """Draw few values of few names, so that constraints are met about half of the time."""
    attributes: Json = {}
    if rng.random() < 0.8:
        value: Json = {"int": rng.choice((0, 0, 1))}
        if "types" in flavours and rng.random() < 0.2:
            value = rng.choice(({"string": "0"}, {"bool": False}))
        if "lists" in flavours and rng.random() < 0.3:
            value = {"ints": rng.sample((0, 1, 2), rng.choice((1, 2, 3)))}
        attributes[rng.choice(("numa", "numa", "gpu.x.io/numa", "nic.x.io/numa"))] = value
    if rng.random() < 0.8:
        root: Json = {"string": f"pci{rng.choice((0, 0, 1, 2))}"}
        if "lists" in flavours and rng.random() < 0.3:
            root = {"strings": [f"pci{i}" for i in rng.sample((0, 1, 2), rng.choice((1, 2)))]}
        attributes[PCIE_ROOT] = root
    if rng.random() < 0.6:
        attributes["model"] = {"string": rng.choice(("A", "A", "B"))}
    if "types" in flavours and rng.random() < 0.4:
        # One attribute under both of its names: a constraint takes the qualified one.
        for name in rng.sample(("side", "gpu.x.io/side", "nic.x.io/side"), 2):
            attributes[name] = {"int": rng.choice((0, 1))}
    if rng.random() < 0.3:
        attributes["big"] = {"bool": rng.random() < 0.5}
    if rng.random() < 0.3:
        # Constraints compare versions as text, so the build metadata makes a difference.
        attributes["ver"] = {"version": rng.choice(("1.0.0", "1.0.0", "1.0.0+a", "2.1.0"))}
    return attributes


def _capacity(rng: random.Random, flavours: frozenset[str]) -> Json:
    capacity: Json = {}
    if rng.random() < 0.8:
        name = "memory" if rng.random() < 0.9 else "gpu.x.io/memory"
        value = rng.choice(("10Gi", "20Gi", "20Gi", "40Gi", "10240Mi"))
        capacity[name] = {"value": value} | _policy(rng, flavours)
    if rng.random() < 0.4:
        capacity["bw"] = {"value": rng.choice(("100", "200"))}
    if "odd quantities" in flavours and rng.random() < 0.4:
        odd = ("2500m", "1e3", "0", "9223372036854775807", "0.5", "1.5Gi")
        capacity["odd"] = {"value": rng.choice(odd)} | _odd_policy(rng)
    return capacity


def _policy(rng: random.Random, flavours: frozenset[str]) -> Json:
    if "policies" not in flavours or rng.random() < 0.3:
        return {}
    draw = rng.random()
    if draw < 0.15:
        return {"requestPolicy": {"default": rng.choice(("1Gi", "5Gi", "10Gi"))}}
    if draw < 0.5:
        values = sorted(rng.sample((2, 5, 10, 20), rng.choice((1, 2, 3))))
        valid = [f"{value}Gi" for value in values]
        return {"requestPolicy": {"default": rng.choice(valid), "validValues": valid}}
    valid_range: Json = {"min": rng.choice(("1Gi", "2Gi", "5Gi"))}
    if rng.random() < 0.6:
        valid_range["step"] = rng.choice(("1Gi", "2Gi", "3Gi", "1536Mi"))
    if rng.random() < 0.6:
        valid_range["max"] = rng.choice(("8Gi", "10Gi", "20Gi"))
    return {"requestPolicy": {"default": valid_range["min"], "validRange": valid_range}}


def _odd_policy(rng: random.Random) -> Json:
    if rng.random() < 0.6:
        return {}
    valid_range = {"min": rng.choice(("0", "500m", "1")), "step": rng.choice(("500m", "1", "2"))}
    return {"requestPolicy": {"default": valid_range["min"], "validRange": valid_range}}


def _consumption(
    rng: random.Random, flavours: frozenset[str], counter_sets: list[Json]
) -> list[Json]:
    consumption = []
    for counter_set in counter_sets[: rng.choice((1, 1, 2))]:
        counters = {
            name: {"value": rng.choice(("0", "1", "1", "2", total["value"]))}
            for name, total in counter_set["counters"].items()
            if rng.random() < 0.85
        }
        consumption.append({"counterSet": counter_set["name"], "counters": counters})
    if "broken pools" in flavours and rng.random() < 0.06:
        consumption.append({"counterSet": "nowhere", "counters": {"mem": {"value": "1"}}})
    if "broken pools" in flavours and rng.random() < 0.06:
        consumption[0]["counters"]["nothing"] = {"value": "1"}
    return consumption
