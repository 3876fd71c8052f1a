"""Small random cases, and vectors in our types, for the tests of the allocator."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from extender import errors
from extender.demand import requests
from extender.demand.allocator import allocator, outcome
from extender.hardware import shape
from extender.hardware.dra import slices
from extender.kube.api import conversion, objects
from tests.kit.allocator import allocator_vectors

DRIVERS = ("gpu.x.io", "nic.x.io")
ROOT = "resource.kubernetes.io/pcieRoot"


@st.composite
def cases(draw):
    """A vector's input: one node, plain devices, one or two claims; nothing that can fail.

    A node without a pool of one driver, or of any, is a case as well.
    """
    pools = []
    for driver in draw(st.sampled_from([DRIVERS, DRIVERS, DRIVERS, DRIVERS[:1], ()])):
        roots = draw(st.lists(st.sampled_from(["p0", "p1", "p2", None]), max_size=4))
        pools.append({"metadata": {"name": driver}, "spec": _slice_spec(driver, roots, draw)})
    claims = draw(st.lists(_claims(), min_size=1, max_size=2))
    taken = [
        {"Driver": s["spec"]["driver"], "Pool": "n1", "Device": d["name"]}
        for s in pools
        for d in s["spec"]["devices"]
        if draw(st.integers(0, 3)) == 0
    ]
    return {
        "features": ["DRAConsumableCapacity", "DRADeviceTaints", "DRAPrioritizedList"],
        "node": {"metadata": {"name": "n1", "labels": {}}},
        "classes": [_class(driver) for driver in DRIVERS]
        + [{"metadata": {"name": "any"}, "spec": {}}],
        "slices": pools,
        "claims": claims,
        "allocatedDevices": taken,
        "allocatedSharedDeviceIDs": [],
        "allocatedCapacity": [],
    }


def _slice_spec(driver, roots, draw):
    devices = []
    for number, root in enumerate(roots):
        device = {"name": f"d{number}", "attributes": {"n": {"int": draw(st.integers(0, 1))}}}
        if root:
            device["attributes"][ROOT] = {"string": root}
        if draw(st.integers(0, 5)) == 0:
            device["taints"] = [{"key": "k", "value": "v", "effect": "NoSchedule"}]
        device["capacity"] = {"memory": {"value": draw(st.sampled_from(["10Gi", "20Gi"]))}}
        devices.append(device)
    pool = {"name": "n1", "generation": 1, "resourceSliceCount": 1}
    return {"driver": driver, "nodeName": "n1", "pool": pool, "devices": devices}


def _class(driver):
    expression = f'device.driver == "{driver}"'
    return {
        "metadata": {"name": driver},
        "spec": {"selectors": [{"cel": {"expression": expression}}]},
    }


@st.composite
def _claims(draw):
    asked = []
    for number in range(draw(st.integers(1, 2))):
        name = f"r{number}"
        if draw(st.integers(0, 3)) == 0:
            choices = [{"name": f"s{i}", **draw(_choices())} for i in range(2)]
            asked.append({"name": name, "firstAvailable": choices})
        else:
            asked.append({"name": name, "exactly": draw(_choices())})
    constraints = draw(
        st.lists(
            st.sampled_from(
                [
                    {"matchAttribute": ROOT},
                    {"distinctAttribute": ROOT},
                    {"matchAttribute": "x.io/n"},
                ]
            ),
            max_size=1,
        )
    )
    return {"spec": {"devices": {"requests": asked, "constraints": constraints}}}


@st.composite
def _choices(draw):
    choice = {
        "deviceClassName": draw(st.sampled_from([*DRIVERS, "any"])),
        "allocationMode": "ExactCount",
        "count": draw(st.integers(1, 2)),
    }
    if draw(st.booleans()):
        choice["tolerations"] = [{"operator": "Exists"}]
    if draw(st.integers(0, 3)) == 0:
        choice["capacity"] = {"requests": {"memory": "15Gi"}}
    return choice


def vector(case, features):
    return allocator_vectors.Vector("drawn", "incubating", case, {}, features)


def seen(vector):
    """The shape, usage and claims of a vector; None where the claims are refused as such."""
    node = vector.case["node"]["metadata"]
    found = slices.inventory(
        node["name"],
        node.get("labels") or {},
        _decoded(vector.case["slices"], objects.ResourceSlice),
        features=vector.features,
        interner=slices.Interner(),
    )
    classes = {c.metadata.name: c for c in _decoded(vector.case["classes"], objects.DeviceClass)}
    try:
        claims = tuple(
            requests.claim_demand(claim.spec, classes, features=vector.features)
            for claim in _decoded(vector.case["claims"], objects.ResourceClaim)
        )
    except errors.ClaimError:
        return None
    in_use = [_result(item) for item in vector.case["allocatedDevices"] or ()]
    in_use += [_result(i, share_id="s") for i in vector.case["allocatedSharedDeviceIDs"] or ()]
    in_use += [
        _result(item, share_id="c", consumed_capacity=item["Capacity"])
        for item in vector.case["allocatedCapacity"] or ()
    ]
    usage = slices.used(found, in_use, features=vector.features)
    machine = shape.Shape(devices=found.devices, pools=found.pools)
    return machine, usage, claims, found.broken_foreign


def _result(item, **more):
    return objects.DeviceRequestAllocationResult(
        driver=item["Driver"], pool=item["Pool"], device=item["Device"], **more
    )


def searched(vector, judges):
    ours = seen(vector)
    if ours is None:
        return None
    machine, usage, claims, surroundings = ours
    return allocator.allocate(
        machine,
        usage,
        claims,
        selectors=judges.of(vector.features),
        features=vector.features,
        surroundings=surroundings,
        budget=100_000,
    )


def _decoded(items, kind):
    return [
        conversion.convert_to_v1(msgspec.convert(item, kind, strict=False)) for item in items or ()
    ]


def plain(answer):
    """The answer without what may differ between searching and remembering."""
    if isinstance(answer, outcome.Allocated):
        return answer.picks
    return type(answer), getattr(answer, "whole_pod", None)
