"""Draw allocation cases for the differential fuzzer, in the format of the allocator vectors.

    {"name", "input": {features, claims, classes, slices, node, allocatedDevices,
                       allocatedSharedDeviceIDs, allocatedCapacity}}

`draw(seed, number, version=...)` is the one entrance: the same arguments give the same case.
"""

from __future__ import annotations

import copy
import random

from tests.kit.allocator import allocator_flavours, allocator_pools
from tests.kit.allocator.allocator_pools import Json

BINDING = "DRADeviceBindingConditions+DRAResourceClaimDeviceStatus"
# On by default from 1.36; before that they need their gates.
USUAL_FEATURES = (
    "DRAAdminAccess",
    "DRAConsumableCapacity",
    "DRADeviceTaints",
    "DRAPartitionableDevices",
    "DRAPrioritizedList",
    BINDING,
)
# What is on by default in the versions before; the status of devices counts as a feature in 1.34.
EARLY_FEATURES = {
    (1, 34): ("DRAAdminAccess", "DRAPrioritizedList", "DRAResourceClaimDeviceStatus"),
    (1, 35): ("DRAAdminAccess", "DRAPrioritizedList"),
}
# One of these keeps kube-scheduler away from its stable variant, which orders pools at random.
BEYOND_STABLE = ("DRAConsumableCapacity", BINDING)
LISTS = "DRAListTypeAttributes"
FRACTIONS = "DRAFractionalCapacityRange"  # on by default from 1.37, its first version
ALLOCATION_MODES = ("ExactCount", "All")
ATTRIBUTES = (
    allocator_pools.PCIE_ROOT,
    "gpu.x.io/numa",
    "gpu.x.io/model",
    "nic.x.io/numa",
    "gpu.x.io/ver",
    "nic.x.io/model",
    "gpu.x.io/side",
)
ANY_CLASS = "any"


def draw(seed: int, number: int, *, version: tuple[int, int]) -> Json:
    """Return case `number` of the sequence `seed`, legal for the API of this minor version."""
    rng = random.Random(f"{seed}/{number}")
    flavours = allocator_flavours.draw(rng)
    features = _features(rng, flavours, version=version)
    if version < (1, 36):
        flavours -= {"lists"}
    slices = allocator_pools.draw_slices(rng, flavours, mixed_slices=version < (1, 35))
    # Asked for once per slice and once for being known: what is there is asked for more.
    drivers = [*allocator_pools.DRIVERS[:2], *(item["spec"]["driver"] for item in slices)]
    claims = [
        _claim(rng, flavours, drivers, name=f"c{position}")
        for position in range(rng.choice((1, 2, 2, 3)) if "several claims" in flavours else 1)
    ]
    return {
        "name": f"fuzz-{seed}-{number}",
        "input": {
            "features": features,
            "claims": claims,
            "classes": _classes(rng, flavours),
            "slices": slices,
            "node": {
                "metadata": {"name": allocator_pools.NODE, "labels": allocator_pools.NODE_LABELS}
            },
            **_allocated(rng, flavours, features, slices),
        },
    }


def _features(
    rng: random.Random, flavours: frozenset[str], *, version: tuple[int, int]
) -> list[str]:
    if version < (1, 36) and rng.random() < 0.6:
        return list(EARLY_FEATURES[version])
    features = list(USUAL_FEATURES)
    if version == (1, 34):
        # An early form that looks at the capacity of another device than the one it takes.
        features.remove("DRAConsumableCapacity")
    if version >= (1, 37) and rng.random() < 0.95:
        features.append(FRACTIONS)
    if rng.random() < 0.15:
        for name in rng.sample(features, rng.choice((1, 1, 2))):
            features.remove(name)
        if "DRAConsumableCapacity" not in features and FRACTIONS in features:
            features.remove(FRACTIONS)  # which depends on it
        if not set(features) & set(BEYOND_STABLE):
            features.append(rng.choice(BEYOND_STABLE if version > (1, 34) else (BINDING,)))
    if version >= (1, 36) and "lists" in flavours and rng.random() < 0.8:
        features.append(LISTS)
    return features


def _classes(rng: random.Random, flavours: frozenset[str]) -> list[Json]:
    classes: list[Json] = [{"metadata": {"name": ANY_CLASS}, "spec": {}}]
    for driver in allocator_pools.DRIVERS:
        selectors = [_cel(f'device.driver == "{driver}"')]
        if "selectors" in flavours and rng.random() < 0.2:
            selectors.append(_cel(_expression(rng, flavours, driver)))
        classes.append({"metadata": {"name": driver}, "spec": {"selectors": selectors}})
    return classes


def _cel(expression: str) -> Json:
    return {"cel": {"expression": expression}}


def _expression(rng: random.Random, flavours: frozenset[str], driver: str) -> str:
    attributes, capacity = f"device.attributes['{driver}']", f"device.capacity['{driver}']"
    safe = [
        "true",
        f"device.driver == '{driver}'",
        f"has({attributes}.model) && {attributes}.model == 'A'",
        f"'numa' in {attributes} && {attributes}.numa == 0",
        f"{attributes}.?big.orValue(false)",
        "device.attributes['resource.kubernetes.io'].?pcieRoot.orValue('') == 'pci0'",
        f"has({capacity}.memory) && {capacity}.memory.compareTo(quantity('20Gi')) >= 0",
        "!device.allowMultipleAllocations",
        f"has({attributes}.ver) && {attributes}.ver.isGreaterThan(semver('1.5.0'))",
        f"device.driver != '{driver}' || !has({attributes}.big)",
    ]
    if "selector errors" not in flavours or rng.random() < 0.5:
        return rng.choice(safe)
    # These fail on devices that lack the attribute or have it with another type.
    failing = [
        f"{attributes}.model == 'A'",
        f"{attributes}.numa < 1",
        f"{attributes}.big",
        f"{attributes}.numa",
        f"{capacity}.memory.isGreaterThan(quantity('10Gi'))",
        f"device.driver == 'gpu.x.io' || {attributes}.model.startsWith('B')",
        "device.nothing == 1",
        "device.driver ==",
        "device.driver",
    ]
    return rng.choice(failing[:6] if rng.random() < 0.9 else failing[6:])


def _claim(rng: random.Random, flavours: frozenset[str], drivers: list[str], *, name: str) -> Json:
    requests = [
        _request(rng, flavours, drivers, name=f"r{number}")
        for number in range(rng.choice((1, 1, 1, 1, 2, 2, 3)))
    ]
    devices: Json = {"requests": requests}
    if constraints := _constraints(rng, flavours, requests):
        devices["constraints"] = constraints
    return {"metadata": {"name": name, "namespace": "d"}, "spec": {"devices": devices}}


def _request(
    rng: random.Random, flavours: frozenset[str], drivers: list[str], *, name: str
) -> Json:
    if "first available" not in flavours or rng.random() < 0.5:
        exactly = _exactly(rng, flavours, drivers)
        if "admin" in flavours and rng.random() < 0.4:
            exactly["adminAccess"] = rng.random() < 0.8
        return {"name": name, "exactly": exactly}
    subrequests = [
        {"name": f"s{number}", **_exactly(rng, flavours, drivers)}
        for number in range(rng.choice((1, 2, 2, 3)))
    ]
    return {"name": name, "firstAvailable": subrequests}


def _exactly(rng: random.Random, flavours: frozenset[str], drivers: list[str]) -> Json:
    driver = rng.choice(drivers)
    name = ANY_CLASS if rng.random() < 0.3 else driver
    if "limits" in flavours and rng.random() < 0.03:
        name = "no-such-class"
    request: Json = {"deviceClassName": name, **_amount(rng, flavours)}
    if "selectors" in flavours and rng.random() < 0.5:
        request["selectors"] = [
            _cel(_expression(rng, flavours, driver)) for _ in range(rng.choice((1, 1, 2)))
        ]
    if "taints" in flavours and rng.random() < 0.5:
        request["tolerations"] = [_toleration(rng) for _ in range(rng.choice((1, 1, 2)))]
    if flavours & {"capacity", "policies", "multi"} and rng.random() < 0.5:
        request["capacity"] = {"requests": _capacity_requests(rng, flavours)}
    return request


def _amount(rng: random.Random, flavours: frozenset[str]) -> Json:
    if "all" in flavours and rng.random() < 0.4:
        return {"allocationMode": "All"}
    count = rng.choice((1, 1, 1, 1, 1, 2, 2, 3))
    if "limits" in flavours and rng.random() < 0.1:
        count = rng.choice((4, 30, 31, 32, 33, 64))
    mode = "ExactCount"
    if "limits" in flavours and rng.random() < 0.02:
        mode = "Perhaps"
    return {"allocationMode": mode, "count": count}


def _capacity_requests(rng: random.Random, flavours: frozenset[str]) -> Json:
    requests: Json = {}
    if rng.random() < 0.85:
        amounts = ("1Gi", "3Gi", "5Gi", "8Gi", "10Gi", "12Gi", "20Gi", "50Gi", "0")
        requests["memory"] = rng.choice(amounts)
    if rng.random() < 0.2:
        requests["bw"] = rng.choice(("50", "100", "150"))
    if "odd quantities" in flavours and rng.random() < 0.4:
        amounts = ("1", "250m", "1500m", "1e3", "9223372036854775807", "9223372036854775808")
        requests["odd"] = rng.choice(amounts)
    if rng.random() < 0.05:
        requests["gpu.x.io/memory"] = "5Gi"
    return requests or {"memory": "5Gi"}


def _toleration(rng: random.Random) -> Json:
    toleration: Json = {}
    if rng.random() < 0.9:
        toleration["key"] = rng.choice(("k0", "k1"))
    if "key" not in toleration or rng.random() < 0.5:
        toleration["operator"] = "Exists"
    else:
        if rng.random() < 0.7:
            toleration["operator"] = "Equal"
        toleration["value"] = rng.choice(("v", "w"))
    if rng.random() < 0.6:
        toleration["effect"] = rng.choice(("NoSchedule", "NoSchedule", "NoExecute"))
    return toleration


def _constraints(rng: random.Random, flavours: frozenset[str], requests: list[Json]) -> list[Json]:
    names = [request["name"] for request in requests]
    for request in requests:
        names += [f"{request['name']}/{sub['name']}" for sub in request.get("firstAvailable", ())]
    constraints: list[Json] = []
    for flavour, field in (("match", "matchAttribute"), ("distinct", "distinctAttribute")):
        if flavour in flavours:
            for _ in range(rng.choice((1, 1, 2))):
                constraint: Json = {field: rng.choice(ATTRIBUTES[: rng.choice((1, 3, 6, 7))])}
                if rng.random() < 0.5:
                    constraint["requests"] = rng.sample(names, rng.randint(1, len(names)))
                constraints.append(constraint)
    if "limits" in flavours and rng.random() < 0.02:
        constraints.append({"requests": names[:1]})
    rng.shuffle(constraints)
    return constraints


def _allocated(
    rng: random.Random, flavours: frozenset[str], features: list[str], slices: list[Json]
) -> Json:
    taken: list[Json] = []
    shared: list[Json] = []
    capacity: list[Json] = []
    share = 0.3 if "allocated" in flavours else 0.0
    seen = set()
    for item in slices:
        spec = item["spec"]
        for device in spec.get("devices", ()):
            key = (spec["driver"], spec["pool"]["name"], device["name"])
            if rng.random() >= share or key in seen:
                continue
            seen.add(key)
            identity = dict(zip(("Driver", "Pool", "Device"), key, strict=True))
            # Without the gate kube-scheduler counts a shared device as plainly taken. Some devices
            # became shareable, or ceased to be, while a claim held them.
            gate = "DRAConsumableCapacity" in features
            shareable = bool(device.get("allowMultipleAllocations")) != (rng.random() < 0.05)
            if not gate or not shareable or rng.random() < 0.03:
                taken.append(identity)
            if not gate or not shareable:
                continue
            for number in range(rng.choice((1, 1, 2))):
                shared.append({**identity, "ShareID": _share_id(len(shared), number)})
            # An empty map does not survive the API's JSON, so a share has some or none.
            if rng.random() < 0.8 and (consumed := _consumed(rng, device)):
                capacity.append({**identity, "Capacity": consumed})
    if share and rng.random() < 0.1:
        taken.append({"Driver": "gpu.x.io", "Pool": "n1", "Device": "gone"})
    return {
        "allocatedDevices": taken,
        "allocatedSharedDeviceIDs": shared,
        "allocatedCapacity": capacity,
    }


def _share_id(first: int, second: int) -> str:
    return f"aaaaaaaa-0000-0000-{second:04d}-{first:012d}"


def _consumed(rng: random.Random, device: Json) -> Json:
    consumed: Json = {}
    for name, capacity in copy.deepcopy(device.get("capacity", {})).items():
        if name == "memory":
            consumed[name] = rng.choice(("1Gi", "5Gi", "10Gi", "15Gi", capacity["value"]))
        elif name == "bw":
            consumed[name] = rng.choice(("50", "100"))
        else:
            consumed[name] = rng.choice(("0", capacity["value"]))
    return consumed
