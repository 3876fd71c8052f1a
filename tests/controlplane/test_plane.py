"""The control plane itself works: what the other tests of this folder stand on."""

from __future__ import annotations

import pytest

from tests.kit.controlplane import api as kube_api
from tests.kit.controlplane import build, configuration, fleet, machines, process, workload
from tests.kit.controlplane.extenders import echo, recorder
from tests.kit.controlplane.plane import REPOSITORY

pytestmark = pytest.mark.controlplane


async def test_the_api_server_is_of_the_version_asked_for(plane, api):
    version = await api.request("GET", "/version")
    assert version["gitVersion"] == f"v{build.default_version()}"
    assert "resource.k8s.io" in {
        group["name"] for group in (await api.request("GET", "/apis"))["groups"]
    }


async def test_a_cpu_pod_is_bound_by_the_real_scheduler(plane, api):
    await api.create(fleet.node("node-0"))
    with plane.scheduling(configuration.Scheduling()):
        await api.create(fleet.pod("cpu"))
        pods = await api.wait_bound(1)
    assert kube_api.node_of(pods["cpu"]) == "node-0"


async def test_a_claim_gets_devices_that_meet_its_constraint(plane, api, gpu_nodes):
    with plane.scheduling(configuration.Scheduling()):
        await api.create(fleet.gpu_with_near_nic())
        await api.create(fleet.pod("dra", claim_templates=["gpu-near-nic"]))
        pods = await api.wait_bound(1)
        (claim,) = await api.list("ResourceClaim")
    node = kube_api.node_of(pods["dra"])
    assert node in gpu_nodes
    # first fit: gpu-0 and gpu-1 are near no card
    assert fleet.allocated_devices(claim) == [
        ("gpu", fleet.GPU_DRIVER, node, "gpu-2"),
        ("nic", fleet.NIC_DRIVER, node, "nic-0"),
    ]


async def test_a_pod_that_fits_nowhere_says_why(plane, api, gpu_nodes):
    with plane.scheduling(configuration.Scheduling()):
        await api.create(
            fleet.claim_template("nine", [fleet.request("gpu", fleet.GPU_DRIVER, count=9)])
        )
        await api.create(fleet.pod("greedy", claim_templates=["nine"]))
        (pod,) = await api.wait("Pod", lambda pods: all(map(kube_api.scheduling_failure, pods)))
    assert "cannot allocate all claims" in kube_api.scheduling_failure(pod)


async def test_the_scheduler_asks_an_extender_over_mutual_tls(plane, api, gpu_nodes):
    server, client = plane.extender_pairs()
    recorder, port = echo.Echo(), process.free_port()
    context = server.server_context(verify_clients=True)
    async with echo.listening(recorder.application(), port=port, tls=context) as url:
        extender = configuration.Extender(url, tls=client)
        with plane.scheduling(configuration.Scheduling(extenders=[extender])):
            await api.create(fleet.gpu_with_near_nic())
            await api.create(fleet.pod("dra", claim_templates=["gpu-near-nic"]))
            await api.wait_bound(1)
    assert [verb for verb, _ in recorder.calls] == ["filter", "prioritize"]
    for _, arguments in recorder.calls:
        assert arguments["Pod"]["metadata"]["name"] == "dra"
        assert sorted(arguments["NodeNames"]) == gpu_nodes
        assert arguments.get("Nodes") is None
    assert recorder.clients == {"system:kube-scheduler"}


async def test_no_component_that_restarts_loses_a_pod(plane, api):
    await api.create(fleet.node("node-0"))
    with plane.scheduling(configuration.Scheduling()):
        for number, name in enumerate(("kube-apiserver", "kube-scheduler")):
            plane.restart(name, kill=True)
            await api.create(fleet.pod(f"after-{number}"))
            await api.wait_bound(number + 1)


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("list", "nodes", True),
        ("watch", "pods", True),
        ("watch", "resourceslices.resource.k8s.io", True),
        ("list", "resourceclaims.resource.k8s.io", True),
        ("list", "resourceclaimtemplates.resource.k8s.io", True),
        ("list", "deviceclasses.resource.k8s.io", True),
        ("list", "devicetaintrules.resource.k8s.io", True),
        ("list", "noderesourcetopologies.topology.node.k8s.io", True),
        ("get", "secrets", False),
        ("list", "configmaps", False),
        ("patch", "nodes", False),
        ("create", "pods", False),
        ("create", "pods/binding", False),
        ("create", "events", False),
        ("update", "resourceclaims.resource.k8s.io", False),
    ],
)
async def test_the_shipped_role_lets_railyard_read_and_nothing_else(plane, verb, resource, allowed):
    kind, _, group = resource.partition(".")
    kind, _, subresource = kind.partition("/")
    attributes = {"verb": verb, "resource": kind, "group": group, "subresource": subresource}
    async with plane.api("railyard") as railyard:
        review = await railyard.request(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            {"spec": {"resourceAttributes": attributes}},
        )
    assert review["status"]["allowed"] is allowed


async def test_railyard_may_watch_its_own_policy_and_no_other_config_map(plane):
    async with plane.api("railyard") as railyard:
        path = "/api/v1/namespaces/railyard/configmaps"
        only_ours = await railyard.request(
            "GET", f"{path}?fieldSelector=metadata.name%3Drailyard-policy"
        )
        assert only_ours["items"] == []
        with pytest.raises(kube_api.ApiError) as refused:
            await railyard.request("GET", path)
    assert refused.value.status == 403


@pytest.mark.parametrize("folder", ["base"])
def test_the_api_server_accepts_the_shipped_manifests(plane, folder):
    shown = plane.kubectl("apply", "--dry-run=server", "-k", REPOSITORY / "deploy" / folder)
    assert "clusterrole.rbac.authorization.k8s.io/railyard" in shown


async def test_every_kind_of_pod_finds_a_machine_of_some_kind(plane, api):
    await api.create_all(machines.device_classes() + workload.templates())
    await api.create_all(machines.machines(24))
    server, client = plane.extender_pairs()
    port = process.free_port()
    context = server.server_context(verify_clients=True)
    application = echo.Echo().application()
    async with echo.listening(application, port=port, tls=context) as url:
        target = configuration.Extender(url, tls=client, preempt_verb="")
        calls = recorder.Recorder(target)
        async with calls.serving(plane) as extender:
            with plane.scheduling(configuration.Scheduling(extenders=[extender])):
                asked = list(workload.pods(50, seed=4))
                await api.create_all(asked)
                pods = await api.wait_bound(len(asked), patience=60)
    claims = {claim["metadata"]["name"]: claim for claim in await api.list("ResourceClaim")}
    for pod in pods.values():
        for status in pod["status"].get("resourceClaimStatuses") or ():
            assert fleet.allocated_devices(claims[status["resourceClaimName"]])
    for name, pod in pods.items():
        assert kube_api.node_of(pod) in calls.best_nodes(name)
