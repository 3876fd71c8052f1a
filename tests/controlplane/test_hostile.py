"""What kube-apiserver stores and kube-scheduler binds, however large, takes only itself away."""

from __future__ import annotations

import asyncio

import pytest

from tests.kit.controlplane import configuration, fleet, machines
from tests.kit.controlplane.railyard import Railyard

pytestmark = pytest.mark.controlplane

PATIENCE = 120


def hostile():
    """Objects as anybody, or a driver, may create them."""
    endless = {"cpu": "1e400", "memory": "1e400", fleet.GPU_RESOURCE: "1e400"}
    padded = {"cpu": "0" * 80 + "1", "memory": "0" * 80 + "1Gi"}
    annotation = {"railyard.dev/devices": f"{fleet.GPU_RESOURCE}=" + "9" * 5000}
    capacity = {"memory": {"value": "1e5000"}, "padded": {"value": "0" * 80 + "1Gi"}}
    for name, amounts in (("endless", endless), ("padded", padded)):
        pod = fleet.pod(name, annotations=annotation)
        pod["spec"]["containers"][0]["resources"] = {"requests": amounts, "limits": amounts}
        yield pod
    yield {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": "endless"},
        "spec": {
            "driver": "odd.example.com",
            "pool": {"name": "odd", "generation": 1, "resourceSliceCount": 1},
            "nodeName": "plugin-000",
            "devices": [{"name": "d", "capacity": capacity}],
        },
    }


async def test_amounts_beyond_a_double_are_bound_and_leave_everybody_elses_verdicts(plane, api):
    for number in range(2):
        await api.create_all(machines.plugin(f"plugin-{number:03}"), in_flight=1)
    with Railyard(plane) as railyard:
        extender = railyard.extender(weight=1)
        with plane.scheduling(configuration.Scheduling(extenders=[extender])):
            await api.create_all(list(hostile()))
            pods = await api.wait_bound(2, patience=PATIENCE)
            assert set(pods) == {"endless", "padded"}
            await api.create(fleet.pod("whole", resources={fleet.GPU_RESOURCE: "8"}))
            await api.create(fleet.pod("other", resources={fleet.GPU_RESOURCE: "8"}))
            await api.wait_bound(4, patience=PATIENCE)
        await asyncio.sleep(1)
        assert railyard.admin("/v1/verify")["equal"] is True
        assert railyard.admin("/readyz")["ready"] is True
        assert railyard.metric("railyard_fail_open_total") == 0
        assert railyard.metric("railyard_unreadable_objects") == 0
