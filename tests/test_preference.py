import dataclasses

import pytest
from builders import make_node, make_pod

from extender.hardware.shape import Device, Kind, Level, PluginResource, Shape
from extender.kube import objects
from extender.policy import preference


def machine(count, *, linked=0, nics=0, taints=()):
    """`linked` of the GPUs form an NVLink island; the rest know nothing of each other."""
    kinds = [Kind.GPU] * count + [Kind.NIC] * nics
    return Shape(
        devices=tuple(
            Device("d", f"d{n}", {}, {}, kind=kind, taints=taints) for n, kind in enumerate(kinds)
        ),
        levels=tuple(
            bytes(
                Level.NVLINK if a != b and max(a, b) < linked else Level.UNKNOWN
                for b in range(len(kinds))
            )
            for a in range(len(kinds))
        ),
    )


@pytest.mark.parametrize(
    ("hardware", "devices", "expected"),
    [
        pytest.param(machine(8, linked=8), (0,), 7 / 8, id="one of eight"),
        pytest.param(machine(8, linked=4), (0, 1), 1 / 2, id="two of an island of four"),
        pytest.param(machine(8, linked=8), tuple(range(8)), 0.0, id="all of them"),
        pytest.param(machine(8), (0,), 0.0, id="no NVLink"),
        pytest.param(machine(1, nics=2, linked=1), (1, 2), 0.0, id="no GPU asked"),
        pytest.param(machine(1), (), 0.0, id="nothing asked"),
    ],
)
def test_the_part_of_an_nvlink_island_that_stays_unused_is_wasted(hardware, devices, expected):
    assert preference.wasted(hardware, devices) == pytest.approx(expected)


def test_tainted_devices_count_by_their_share():
    taint = objects.DeviceTaint(key="sick", effect="NoSchedule")
    sick, sound = machine(2, taints=(taint,)), machine(2)
    half = dataclasses.replace(sound, devices=(sick.devices[0], sound.devices[1]))

    assert preference.tainted(sick, (0, 1)) == 2 * preference.tainted(half, (0, 1)) > 1
    assert preference.tainted(half, (1,)) == 0.0
    assert preference.tainted(sound, ()) == 0.0


BROKEN = [
    pytest.param("GpuMemWatch", "True", id="NVSentinel, DCGM"),
    pytest.param("SysLogsXIDError", "True", id="NVSentinel, kernel log"),
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
EMPTY = Shape()
OWN = ("FanNoise", "OwnReady=False", "RackLeaks*")


@pytest.mark.parametrize(("kind", "status"), BROKEN)
def test_a_node_is_degraded_by_what_health_monitors_say(kind, status):
    sound = {"True": "False", "False": "True"}[status]

    assert preference.degraded(make_node("n").condition(kind, status).obj(), OWN, EMPTY) > 1
    assert preference.degraded(make_node("n").condition(kind, sound).obj(), OWN, EMPTY) == 0
    assert preference.degraded(make_node("n").condition(kind, "Unknown").obj(), OWN, EMPTY) == 0


def test_conditions_of_nobody_do_not_degrade_a_node():
    node = make_node("n").condition("MemoryPressure", "False").condition("GpuOperatorDone")

    assert preference.degraded(node.obj(), OWN, EMPTY) == 0.0


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
def test_what_a_pod_wants_is_told_by_its_runtime_and_by_what_it_asks_for(runtime, names, expected):
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
    ],
)
def test_what_a_node_offers_is_told_by_its_labels(labels, expected):
    assert preference.offered(labels, machine(1)) is expected


def test_a_node_that_shows_devices_for_passthrough_offers_it():
    hardware = Shape(devices=(Device("gpu.nvidia.com", "gpu-vfio-0", {}, {}, kind=Kind.GPU),))

    assert preference.offered({}, hardware) is Sandbox.VIRTUAL


def test_a_node_that_lacks_what_the_pod_needs_is_worse_than_one_with_more():
    lacking = preference.misfit(Sandbox.CONFIDENTIAL, Sandbox.VIRTUAL)
    spare = preference.misfit(Sandbox.NONE, Sandbox.CONFIDENTIAL)

    assert lacking > spare > 0
    assert preference.misfit(Sandbox.VIRTUAL, Sandbox.VIRTUAL) == 0.0
