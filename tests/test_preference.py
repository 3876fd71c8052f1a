import pytest
from builders import make_node, make_pod

from extender.hardware.shape import Device, Kind, Level, Shape
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

    assert preference.tainted(machine(2, taints=(taint,)), (0, 1)) == 1.0
    assert preference.tainted(machine(2), (0, 1)) == 0.0
    assert preference.tainted(machine(2), ()) == 0.0


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        pytest.param(make_node("n"), 0.0, id="healthy"),
        pytest.param(make_node("n").condition("GpuUnhealthy"), 1.0, id="unhealthy"),
        pytest.param(make_node("n").condition("GpuUnhealthy", "False"), 0.0, id="well again"),
        pytest.param(make_node("n").condition("Own"), 1.0, id="a condition of the policy"),
        pytest.param(make_node("n").condition("Other"), 0.0, id="a condition of nobody"),
        pytest.param(make_node("n").unschedulable(), 1.0, id="cordoned"),
    ],
)
def test_a_node_is_degraded_by_its_conditions(node, expected):
    assert preference.degraded(node.obj(), ("Own",)) == expected


@pytest.mark.parametrize(
    ("runtime", "expected"),
    [
        (None, False),
        ("nvidia", False),
        ("kata-qemu-nvidia-gpu", True),
        ("kata-qemu-snp", True),
        ("Confidential", True),
    ],
)
def test_a_pod_in_a_virtual_machine_is_told_by_its_runtime(runtime, expected):
    pod = make_pod("p")
    if runtime:
        pod.body["spec"]["runtimeClassName"] = runtime

    assert preference.sandboxed(pod.obj()) is expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, False),
        ({"nvidia.com/gpu.workload.config": "container"}, False),
        ({"nvidia.com/gpu.workload.config": "vm-passthrough"}, True),
        ({"nvidia.com/cc.ready.state": "true"}, True),
    ],
)
def test_a_node_for_virtual_machines_is_told_by_its_labels(labels, expected):
    assert preference.passthrough(labels) is expected
