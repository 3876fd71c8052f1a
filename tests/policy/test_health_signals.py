"""What health monitors and operators say of a node, and what it is set up for."""

import pytest

from extender.hardware.shape import Device, Kind, PluginResource, Shape
from extender.policy import preference
from tests.kit.builders import make_node, make_pod
from tests.kit.rigs.preference_nodes import machine

EMPTY = Shape()


UPGRADE = "nvidia.com/gpu-driver-upgrade-state"


SENTINEL = "nvsentinel.dgxc.nvidia.com/{}.count.{}"


def labelled(**tags):
    node = make_node("n")
    for name, value in tags.items():
        node.label(name, value)
    return node.obj()


@pytest.mark.parametrize(
    "tags",
    [
        *(
            {"dgxc.nvidia.com/nvsentinel-state": s}
            for s in ("quarantined", "draining", "drain-failed")
        ),
        *({UPGRADE: s} for s in ("upgrade-required", "cordon-required", "drain-required")),
        {UPGRADE: "upgrade-failed"},
        {"nvidia.com/vgpu-driver-upgrade-state": "pod-deletion-required"},
        {"rebellions.ai/npu-driver-upgrade-state": "wait-for-jobs-required"},
        *({"nvidia.com/mig.config.state": s} for s in ("pending", "rebooting", "failed")),
        {SENTINEL.format("gpu", "current"): "4", SENTINEL.format("gpu", "expected"): "8"},
        {SENTINEL.format("nic", "current"): "0", SENTINEL.format("nic", "expected"): "8"},
    ],
    ids=str,
)
def test_a_node_that_somebody_has_in_hand_is_avoided(tags):
    node = labelled(**tags)

    assert 8 < preference.degraded(node, (), EMPTY) <= preference.UNFIT
    assert len(preference.troubles(node, (), EMPTY)) == 1


@pytest.mark.parametrize(
    "tags",
    [
        {UPGRADE: "upgrade-done"},
        {UPGRADE: ""},
        {"dgxc.nvidia.com/nvsentinel-state": "healthy"},
        {"dgxc.nvidia.com/nvsentinel-state": "Healthy"},
        {"nvidia.com/mig.config.state": "success"},
        {SENTINEL.format("gpu", "current"): "8", SENTINEL.format("gpu", "expected"): "8"},
        {SENTINEL.format("gpu", "current"): "many", SENTINEL.format("gpu", "expected"): "8"},
        {SENTINEL.format("gpu", "expected"): "8"},
    ],
    ids=str,
)
def test_labels_that_say_nothing_bad_cost_nothing(tags):
    node = labelled(**tags)

    assert preference.degraded(node, (), EMPTY) == 0.0
    assert preference.troubles(node, (), EMPTY) == []


def test_a_state_that_is_not_known_says_little():
    state = "dgxc.nvidia.com/nvsentinel-state"
    unknown, leaving = labelled(**{state: "new"}), labelled(**{state: "remediation-succeeded"})

    assert 0 < preference.degraded(unknown, (), EMPTY) < preference.degraded(leaving, (), EMPTY)
    assert preference.troubles(unknown, (), EMPTY) == ["NVSentinel has it new"]


def test_an_upgrade_that_waits_is_better_than_one_that_has_begun():
    waiting, begun = labelled(**{UPGRADE: "upgrade-required"}), labelled(**{UPGRADE: "x-required"})

    assert preference.degraded(waiting, (), EMPTY) < preference.degraded(begun, (), EMPTY)


BROKEN = [
    pytest.param("GpuMemWatch", "True", id="NVSentinel, DCGM"),
    pytest.param("SysLogsXIDError", "True", id="NVSentinel, kernel log"),
    pytest.param("SyslogError", "True", id="NVSentinel, any of the log"),
    pytest.param("NVSwitchFatalError", "True", id="NVSentinel, NVSwitch"),
    pytest.param("InfiniBandStateCheck", "True", id="NVSentinel, NIC"),
    pytest.param("CSPMaintenance", "True", id="NVSentinel, the cloud's maintenance"),
    pytest.param("NVLinkStatusInactive", "True", id="AKS"),
    pytest.param("UnhealthyNvidiaDevicePlugin", "True", id="AKS, services"),
    pytest.param("AcceleratedHardwareReady", "False", id="EKS"),
    pytest.param("FanNoise", "True", id="a condition of the policy"),
    pytest.param("OwnReady", "False", id="one of the policy that should be true"),
    pytest.param("RackLeaks3", "True", id="a pattern of the policy"),
]


OWN = ("FanNoise", "OwnReady=False", "RackLeaks*")


@pytest.mark.parametrize(("kind", "status"), BROKEN)
def test_a_node_is_degraded_by_what_health_monitors_say(kind, status):
    sound = {"True": "False", "False": "True"}[status]

    assert preference.degraded(make_node("n").condition(kind, status).obj(), OWN, EMPTY) > 1
    assert preference.degraded(make_node("n").condition(kind, sound).obj(), OWN, EMPTY) == 0
    assert preference.degraded(make_node("n").condition(kind, "Unknown").obj(), OWN, EMPTY) == 0


def test_conditions_of_nobody_do_not_degrade_a_node():
    node = make_node("n").condition("MemoryPressure", "False").condition("GpuOperatorDone")
    node.condition("NVSwitchNonFatalError")

    assert preference.degraded(node.obj(), OWN, EMPTY) == 0.0
    assert preference.degraded(node.obj(), ("NVSwitchNon*",), EMPTY) > 1


def test_a_cordoned_node_is_as_bad_as_a_broken_one():
    shut, broken = make_node("n").unschedulable(), make_node("n").condition("GpuMemWatch")

    assert preference.degraded(shut.obj(), (), EMPTY) == preference.degraded(
        broken.obj(), (), EMPTY
    )


@pytest.mark.parametrize(
    ("offered", "count", "words"),
    [
        pytest.param("6", "8", ["2 of 8 nvidia.com/gpu are unhealthy"], id="two are ill"),
        pytest.param("8", "8", [], id="all are well"),
        pytest.param("0", "8", [], id="the plug-in stopped, or made partitions"),
    ],
)
def test_units_that_a_device_plug_in_counts_and_does_not_offer_are_unhealthy(offered, count, words):
    node = make_node("n").resource("nvidia.com/gpu", offered)
    node.body["status"]["capacity"] = {"nvidia.com/gpu": count, "cpu": "96"}

    resource = PluginResource("nvidia.com/gpu", int(offered), kind=Kind.GPU)
    hardware = Shape(resources=(resource,) if resource.count else ())

    assert preference.troubles(node.obj(), (), hardware) == words
    assert preference.degraded(node.obj(), (), hardware) == pytest.approx(40 * len(words) * 2 / 8)


Sandbox = preference.Sandbox


@pytest.mark.parametrize(
    ("runtime", "names", "expected"),
    [
        (None, ("gpu.nvidia.com",), Sandbox.NONE),
        ("nvidia", (), Sandbox.NONE),
        ("kata-qemu-nvidia-gpu", (), Sandbox.VIRTUAL),
        (None, ("vfio.gpu.nvidia.com",), Sandbox.VIRTUAL),
        (None, ("gpu-vfio.intel.com",), Sandbox.VIRTUAL),
        (None, ("nvidia.com/pgpu",), Sandbox.VIRTUAL),
        ("kata-qemu-snp", (), Sandbox.CONFIDENTIAL),
        ("kata-qemu-nvidia-gpu-tdx", ("nvidia.com/pgpu",), Sandbox.CONFIDENTIAL),
        ("Confidential", (), Sandbox.CONFIDENTIAL),
    ],
)
def test_what_a_pod_wants_is_known_by_its_runtime_and_by_what_it_asks_for(runtime, names, expected):
    pod = make_pod("p")
    if runtime:
        pod.body["spec"]["runtimeClassName"] = runtime

    assert preference.wanted(pod.obj(), names) is expected


def test_the_launcher_of_a_virtual_machine_wants_its_gpu_passed_through():
    pod = make_pod("p").label("kubevirt.io", "virt-launcher")

    assert preference.wanted(pod.obj()) is Sandbox.VIRTUAL


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, Sandbox.NONE),
        ({"nvidia.com/gpu.workload.config": "container"}, Sandbox.NONE),
        ({"nvidia.com/gpu.workload.config": "vm-passthrough"}, Sandbox.VIRTUAL),
        ({"nvidia.com/cc.ready.state": "true"}, Sandbox.CONFIDENTIAL),
        ({"nvidia.com/cc.ready.state": "false"}, Sandbox.NONE),
        *(
            ({f"nvidia.com/gpu.deploy.{part}": "true"}, Sandbox.VIRTUAL)
            for part in ("vfio-manager", "kata-sandbox-device-plugin", "sandbox-device-plugin")
        ),
        ({"nvidia.com/gpu.deploy.vfio-manager": "false"}, Sandbox.NONE),
        ({"katacontainers.io/kata-runtime": "true"}, Sandbox.VIRTUAL),
        (
            {
                "katacontainers.io/kata-runtime": "true",
                "nvidia.com/gpu.workload.config": "container",
            },
            Sandbox.NONE,
        ),
        ({"nvidia.com/cc.capable": "true"}, Sandbox.NONE),
        (
            {
                "nvidia.com/cc.capable": "true",
                "nvidia.com/gpu.workload.config": "vm-passthrough",
            },
            Sandbox.CONFIDENTIAL,
        ),
        (
            {
                "nvidia.com/cc.capable": "true",
                "nvidia.com/cc.ready.state": "false",
                "nvidia.com/gpu.workload.config": "vm-passthrough",
            },
            Sandbox.VIRTUAL,
        ),
    ],
)
def test_what_a_node_offers_is_known_by_its_labels(labels, expected):
    assert preference.offered(labels, machine(1)) is expected


def test_a_node_that_offers_passthrough_by_a_plug_in_is_set_up_for_it():
    resource = PluginResource("nvidia.com/GA102GL_A10", 2, kind=Kind.GPU, virtual=True)

    assert preference.offered({}, Shape(resources=(resource,))) is Sandbox.VIRTUAL
    assert preference.wanted(make_pod("p").obj(), passed=True) is Sandbox.VIRTUAL


def test_kata_says_nothing_of_gpus_that_containers_use():
    resource = PluginResource("nvidia.com/gpu", 8, kind=Kind.GPU)
    labels = {"katacontainers.io/kata-runtime": "true"}

    assert preference.offered(labels, Shape(resources=(resource,))) is Sandbox.NONE


def test_a_node_that_shows_devices_for_passthrough_offers_it():
    hardware = Shape(devices=(Device("gpu.nvidia.com", "gpu-vfio-0", {}, {}, kind=Kind.GPU),))

    assert preference.offered({}, hardware) is Sandbox.VIRTUAL


def test_a_node_that_lacks_what_the_pod_needs_is_worse_than_one_with_more():
    missing = preference.misfit(Sandbox.CONFIDENTIAL, Sandbox.VIRTUAL)
    spare = preference.misfit(Sandbox.NONE, Sandbox.CONFIDENTIAL)

    assert missing > spare > 0
    assert preference.misfit(Sandbox.VIRTUAL, Sandbox.VIRTUAL) == 0.0
