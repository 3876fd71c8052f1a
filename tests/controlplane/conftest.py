"""Fixtures of the tests that run against a real control plane (marker `controlplane`)."""

from __future__ import annotations

import pytest

from tests.kit.controlplane import build, features, fleet
from tests.kit.controlplane.plane import ControlPlane

# kinds that tests create, in the order in which they are best removed
LEFTOVERS = (
    ("Pod", "default"),
    ("ResourceClaim", "default"),
    ("ResourceClaimTemplate", "default"),
    ("ResourceSlice", None),
    ("DeviceClass", None),
    ("Node", None),
)


@pytest.fixture(scope="session")
def plane(tmp_path_factory):
    """The control plane of the version in $KUBERNETES; kube-scheduler is started by each test."""
    version = build.default_version()
    if reason := build.why_not(version):
        pytest.skip(reason)
    with ControlPlane(
        build.binary(version),
        tmp_path_factory.mktemp("plane"),
        feature_gates=features.gates(version),
        runtime_config=features.runtime_config(version),
    ) as cluster:
        yield cluster


@pytest.fixture
async def api(plane):
    """An admin's client; what the test has created in `default` is gone afterwards."""
    async with plane.api() as client:
        yield client
        for kind, namespace in LEFTOVERS:
            await client.clear(kind, namespace)


@pytest.fixture
async def gpu_nodes(api):
    """Four nodes of four GPUs and two network cards; only one GPU in two is near a card."""
    await api.create_all([fleet.gpu_class(), fleet.nic_class()])
    names = [f"gpu-node-{number}" for number in range(4)]
    for name in names:
        await api.create(fleet.node(name))
        roots = ["pci0000:00", "pci0000:40", "pci0000:80", "pci0000:c0"]
        await api.create(fleet.resource_slice(name, fleet.GPU_DRIVER, fleet.gpus(roots)))
        await api.create(fleet.resource_slice(name, fleet.NIC_DRIVER, fleet.nics(roots[2:])))
    return names


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the end of every component's log under a failed test."""
    report = (yield).get_result()
    cluster = getattr(item, "funcargs", {}).get("plane")
    if report.failed and cluster is not None:
        report.sections += [
            (f"log of {name}", tail) for name, tail in cluster.log_tails().items() if tail
        ]
