"""The validity check accepts a good allocation and names what is wrong with a bad one."""

from __future__ import annotations

import copy

import pytest

from tests.kit.allocator import allocator_cases
from tests.kit.allocator.validity import allocator_validity

ROOT = "resource.kubernetes.io/pcieRoot"


def device(name, root, **more):
    return {"name": name, "attributes": {ROOT: {"string": root}}, **more}


def pick(request, name, **more):
    return {"request": request, "driver": "gpu.x.io", "pool": "n1", "device": name, **more}


@pytest.fixture
def case():
    """Four devices that share a counter; gpu-2 may be shared and gpu-3 repels."""
    draw = [{"counterSet": "cs", "counters": {"mem": {"value": "1"}}}]
    devices = [
        device("gpu-0", "pci0", consumesCounters=draw),
        device("gpu-1", "pci0", consumesCounters=draw),
        device(
            "gpu-2", "pci1", allowMultipleAllocations=True, capacity={"memory": {"value": "8Gi"}}
        ),
        device("gpu-3", "pci2", taints=[{"key": "bad", "effect": "NoSchedule"}]),
    ]
    pool = {"name": "n1", "generation": 1, "resourceSliceCount": 2}
    rule = {"driver": "gpu.x.io", "pool": pool, "nodeName": "n1"}
    counters = [{"name": "cs", "counters": {"mem": {"value": "2"}}}]
    return {
        "features": list(allocator_cases.USUAL_FEATURES),
        "node": {"metadata": {"name": "n1", "labels": {}}},
        "classes": [{"metadata": {"name": "gpu"}, "spec": {}}],
        "slices": [
            {"metadata": {"name": "a"}, "spec": {**rule, "devices": devices}},
            {"metadata": {"name": "b"}, "spec": {**rule, "sharedCounters": counters}},
        ],
        "claims": [
            {"spec": {"devices": {
                "requests": [
                    {"name": "r0", "exactly": {"deviceClassName": "gpu", "count": 2}},
                ],
                "constraints": [{"matchAttribute": ROOT}],
            }}}
        ],
        "allocatedDevices": [],
        "allocatedSharedDeviceIDs": [],
        "allocatedCapacity": [],
    }  # fmt: skip


def judged(case, *picks):
    results = [{"devices": {"results": list(picks)}}]
    return allocator_validity.violations(case, results, matches=lambda *_: True)


def request_of(case):
    return case["claims"][0]["spec"]["devices"]["requests"][0]["exactly"]


def test_a_good_allocation_has_nothing_wrong(case):
    assert judged(case, pick("r0", "gpu-0"), pick("r0", "gpu-1")) == []


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        pytest.param(["gpu-0"], "1 devices, not 2", id="too few"),
        pytest.param(["gpu-0", "gpu-0"], "twice", id="one device twice"),
        pytest.param(["gpu-0", "gpu-9"], "not on the node", id="unknown device"),
        pytest.param(["gpu-0", "gpu-2"], f"{ROOT} differs", id="constraint"),
        pytest.param(["gpu-0", "gpu-3"], "not tolerated", id="taint"),
    ],
)
def test_a_bad_choice_of_devices_is_named(case, names, problem):
    found = judged(case, *(pick("r0", name) for name in names))
    assert any(problem in line for line in found)


def test_a_device_in_use_is_refused_except_for_admin_access(case):
    case["allocatedDevices"] = [{"Driver": "gpu.x.io", "Pool": "n1", "Device": "gpu-1"}]
    assert judged(case, pick("r0", "gpu-0"), pick("r0", "gpu-1")) == [
        "('gpu.x.io', 'n1', 'gpu-1') is in use"
    ]
    request_of(case)["adminAccess"] = True
    assert judged(case, *(pick("r0", f"gpu-{i}", adminAccess=True) for i in (0, 1))) == []


def test_counters_are_not_overdrawn_by_what_is_in_use(case):
    case["slices"][1]["spec"]["sharedCounters"][0]["counters"]["mem"]["value"] = "1"
    assert "overdrawn" in judged(case, pick("r0", "gpu-0"), pick("r0", "gpu-1"))[0]


def test_a_share_takes_what_the_request_asks_and_no_more_than_there_is(case):
    request_of(case).update(count=1, capacity={"requests": {"memory": "3Gi"}})
    share = pick("r0", "gpu-2", shareID="s", consumedCapacity={"memory": "3Gi"})
    assert judged(case, share) == []
    assert "wrong consumedCapacity" in judged(case, share | {"consumedCapacity": {}})[0]
    identity = {"Driver": "gpu.x.io", "Pool": "n1", "Device": "gpu-2"}
    case["allocatedCapacity"] = [{**identity, "Capacity": {"memory": "6Gi"}}]
    assert "is overdrawn" in judged(case, share)[0]


def test_mode_all_takes_every_device_that_matches(case):
    case["claims"][0]["spec"]["devices"]["constraints"] = []
    del request_of(case)["count"]
    request_of(case).update(allocationMode="All", tolerations=[{"operator": "Exists"}])
    share = pick("r0", "gpu-2", shareID="s", consumedCapacity={"memory": "8Gi"})
    everything = [pick("r0", "gpu-0"), pick("r0", "gpu-1"), share, pick("r0", "gpu-3")]
    assert judged(case, *everything) == []
    assert judged(case, *everything[:3]) == ["mode All left ('gpu.x.io', 'n1', 'gpu-3') out"]


def test_a_pool_with_a_missing_slice_holds_no_devices(case):
    smaller = copy.deepcopy(case)
    del smaller["slices"][1]
    assert "not on the node" in judged(smaller, pick("r0", "gpu-0"), pick("r0", "gpu-1"))[0]


def test_a_selector_that_does_not_hold_is_named(case):
    request_of(case)["selectors"] = [{"cel": {"expression": "false"}}]
    results = [{"devices": {"results": [pick("r0", "gpu-0"), pick("r0", "gpu-1")]}}]
    found = allocator_validity.violations(
        case, results, matches=lambda _e, _d, item: item["name"] != "gpu-1"
    )
    assert found == ["('gpu.x.io', 'n1', 'gpu-1') does not match the selectors"]
