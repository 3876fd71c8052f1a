import pathlib

import pytest

from extender.hardware import device_topology, shape
from extender.hardware.dra import device_facts
from extender.kube.api import objects
from extender.replay import snapshots

EXAMPLES = pathlib.Path(__file__).parents[1] / "golden/dra/kubernetes-sigs+dranet/examples"
P4D = "aws_eks_examples/gpu-efa"
GB300 = "azure_aks_examples/gb300"
GB200 = "oci_oke_examples/BM.GPU.GB200-v3.4"
Level, Kind = shape.Level, shape.Kind


def attribute(value):
    if isinstance(value, bool):
        return objects.DeviceAttribute(bool_=value)
    if isinstance(value, int):
        return objects.DeviceAttribute(int_=value)
    if isinstance(value, list):
        ints = all(isinstance(one, int) for one in value)
        return objects.DeviceAttribute(**{"ints" if ints else "strings": tuple(value)})
    return objects.DeviceAttribute(string=value)


def device(driver, name="d", **attributes):
    """Facts of a device; in names `__` stands for a slash and `_` for a dot before it."""
    named = {}
    for key, value in attributes.items():
        domain, _, bare = key.rpartition("__")
        named[f"{domain.replace('_', '.')}/{bare}" if domain else bare] = attribute(value)
    return device_facts.device_facts(driver, objects.Device(name=name, attributes=named))


def machine(folder):
    """The devices of a published machine: driver-prefixed names and facts."""
    snapshot, problems = snapshots.scan(sorted((EXAMPLES / folder).glob("resourceslice*.yaml")))
    assert not problems
    found = {}
    for _, piece in snapshot.objects:
        for one in piece.spec.devices:
            found[one.name] = device_facts.device_facts(piece.spec.driver, one)
    return list(found), list(found.values())


def between(folder, one, other, **options):
    names, facts = machine(folder)
    return Level(device_topology.levels(facts, **options)[names.index(one)][names.index(other)])


# ---------------------------------------------------------------- published machines


@pytest.mark.parametrize(
    ("folder", "one", "other", "level"),
    [
        pytest.param(P4D, "gpu-0", "pci-0000-10-1b-0", Level.PHB, id="p4d: one root"),
        pytest.param(P4D, "gpu-0", "pci-0000-20-1b-0", Level.NODE, id="p4d: NUMA by the root"),
        pytest.param(P4D, "gpu-0", "pci-0000-90-1b-0", Level.SYS, id="p4d: other NUMA node"),
        pytest.param(P4D, "gpu-0", "gpu-1", Level.PHB, id="p4d: GPUs by PCIe"),
        pytest.param(P4D, "gpu-0", "gpu-7", Level.SYS, id="p4d: GPUs across"),
        pytest.param(GB300, "gpu-0", "pci-0102-00-00-0", Level.NODE, id="GB300: no roots of VFs"),
        pytest.param(GB300, "gpu-1", "pci-0103-00-00-0", Level.SYS, id="GB300: across"),
        pytest.param(GB300, "gpu-2", "pci-0104-00-00-0", Level.NODE, id="GB300: second socket"),
        pytest.param(GB200, "gpu-0", "pci-0002-03-00-1", Level.NODE, id="GB200: NUMA, not SYS"),
        pytest.param(GB200, "gpu-3", "pci-0002-03-00-1", Level.SYS, id="GB200: across"),
        pytest.param(GB200, "pci-0000-03-00-0", "pci-0000-03-00-1", Level.PIX, id="ports of a NIC"),
    ],
)
def test_published_machines_have_the_levels_that_were_measured(folder, one, other, level):
    assert between(folder, one, other) is level
    assert between(folder, other, one) is level


@pytest.mark.parametrize("name", ["rail", "dra_net__railIndex", "resource_kubernetes_io__rail"])
def test_a_nic_tells_its_rail(name):
    found = device_topology.device_topology(
        [device("dra.net", **{name: 3}), device("dra.net", mtu=9000)]
    )
    assert found.rail == ("3", "")


def test_a_gpu_tells_its_nvswitch_partitions():
    facts = device("gpu.nvidia.com", type="vfio", partition1=8, partition2=4, gpu_nvidia_com__x=1)
    assert device_topology.device_topology([facts]).partitions == (((1, 8), (2, 4)),)
    assert device_topology.device_topology([device("gpu.nvidia.com", type="gpu")]).partitions == ()


def test_a_linked_product_joins_its_gpus_only():
    linked = frozenset({device_facts.plain_value("NVIDIA A100-SXM4-40GB")})
    assert between(P4D, "gpu-0", "gpu-7", linked=linked) is Level.NVLINK
    assert between(P4D, "gpu-0", "pci-0000-10-1b-0", linked=linked) is Level.PHB


def test_numa_and_roots_of_a_p4d_are_reported_with_the_inferred_ones():
    names, facts = machine(P4D)
    found = device_topology.device_topology(facts)
    place = {name: (found.numa[i], found.root[i]) for i, name in enumerate(names)}
    assert place["gpu-0"] == (0, "pci0000:10")
    assert place["gpu-7"] == (1, "pci0000:a0")
    assert place["pci-0000-90-1b-0"] == (1, "pci0000:90")


def test_every_device_of_the_collection_has_a_kind():
    drivers = {
        "gpu.nvidia.com": {Kind.GPU},
        "gpu.example.com": {Kind.GPU},
        "nic.example.com": {Kind.NIC},
        "dra.net": {Kind.NIC},
        "tpu.google.com": {Kind.GPU},
        "dra.cpu": {Kind.OTHER},
        "cpu.example.com": {Kind.OTHER},
        "resource-driver.example.com": {Kind.OTHER},
        "": {Kind.OTHER},  # excerpts of a status without its spec
    }
    snapshot, _ = snapshots.scan([EXAMPLES.parents[1]])
    seen = {}
    for kind, piece in snapshot.objects:
        if kind == "ResourceSlice":
            for one in piece.spec.devices or ():
                found = device_facts.device_facts(piece.spec.driver, one).kind
                seen.setdefault(piece.spec.driver, set()).add(found)
    assert seen == drivers


# ---------------------------------------------------------------- attributes by driver


@pytest.mark.parametrize(
    ("driver", "attributes", "numa"),
    [
        ("gpu.nvidia.com", {"resource_kubernetes_io__numaNode": 1}, (1,)),
        ("gpu.nvidia.com", {"resource_kubernetes_io__numaNode": [1, 0]}, (1, 0)),
        ("gpu.nvidia.com", {"numa": 3}, (3,)),
        ("gpu.nvidia.com", {"gpu_nvidia_com__numaNode": 2}, (2,)),
        ("gpu.amd.com", {"numaNode": 0}, (0,)),
        ("dra.cpu", {"dra_cpu__numaNodeID": 1}, (1,)),
        ("sriovnetwork.k8snetworkplumbingwg.io", {"dra_net__numaNode": 1}, (1,)),
        ("dra.net", {"dra_net__numaNode": -1}, ()),
        ("gpu.nvidia.com", {"numaNode": "one"}, ()),
        ("gpu.nvidia.com", {}, ()),
    ],
)
def test_the_numa_node_is_known_under_all_its_names(driver, attributes, numa):
    assert device(driver, **attributes).numa == numa


@pytest.mark.parametrize(
    ("driver", "attributes", "roots"),
    [
        ("dra.net", {"resource_kubernetes_io__pcieRoot": "pci0000:10"}, ("pci0000:10",)),
        ("gpu.intel.com", {"pciRoot": "pci0000:AA"}, ("pci0000:aa",)),
        ("gaudi.intel.com", {"pciRoot": "0000:aa"}, ("pci0000:aa",)),
        ("gpu.amd.com", {"pcieRoot": "pci0003:00"}, ("pci0003:00",)),
        (
            "dra.cpu",
            {"resource_kubernetes_io__pcieRoot": ["pci0000:01", "pci0000:02"]},
            ("pci0000:01", "pci0000:02"),
        ),
        ("gpu.intel.com", {"pciRoot": "somewhere"}, ()),
    ],
)
def test_the_root_is_known_under_all_its_names(driver, attributes, roots):
    assert device(driver, **attributes).roots == roots


@pytest.mark.parametrize(
    ("driver", "attributes"),
    [
        ("gpu.nvidia.com", {"resource_kubernetes_io__pciBusID": "0000:C8:00.0"}),
        ("gpu.nvidia.com", {"pcieBusID": "0000:c8:00.0"}),
        ("gpu.amd.com", {"pciAddr": "0000:c8:00.0"}),
        ("dra.net", {"dra_net__pciAddress": "0000:c8:00.0"}),
        (
            "dra.net",
            {
                "dra_net__pciAddressDomain": "0000",
                "dra_net__pciAddressBus": "c8",
                "dra_net__pciAddressDevice": "00",
                "dra_net__pciAddressFunction": "0",
            },
        ),
    ],
)
def test_the_address_is_known_under_all_its_names(driver, attributes):
    assert device(driver, **attributes).address == device_facts.PciAddress(0, 0xC8, 0, 0)


@pytest.mark.parametrize(
    ("driver", "name", "attributes", "kind"),
    [
        ("gpu.nvidia.com", "gpu-0", {"type": "gpu"}, Kind.GPU),
        ("gpu.nvidia.com", "gpu-0-mig-1g10gb-19-0", {"type": "mig"}, Kind.PARTITION),
        ("gpu.nvidia.com", "gpu-0-mig-1g10gb-19-0", {}, Kind.PARTITION),
        ("gpu.nvidia.com", "gpu-vfio-0", {"type": "vfio"}, Kind.GPU),
        ("gpu.amd.com", "gpu-0-128", {"type": "amdgpu"}, Kind.GPU),
        ("gpu.amd.com", "gpu-1-129", {"type": "amdgpu-partition"}, Kind.PARTITION),
        ("gpu.intel.com", "card0", {"family": "Max Series"}, Kind.GPU),
        ("gaudi.intel.com", "accel0", {"model": "Gaudi2"}, Kind.GPU),
        ("tpu.google.com", "0", {"tpuGen": "v5e"}, Kind.GPU),
        ("compute-domain.nvidia.com", "channel-0", {"type": "channel"}, Kind.OTHER),
        ("dra.net", "pci-0000-03-00-0", {"dra_net__virtual": False}, Kind.NIC),
        ("dra.net", "docker0", {"dra_net__virtual": True}, Kind.OTHER),
        ("sriovnetwork.k8snetworkplumbingwg.io", "vf-0", {}, Kind.NIC),
        ("qat.intel.com", "qatvf", {}, Kind.OTHER),
        ("dra.nvme", "nvme0", {}, Kind.OTHER),
        ("dra.memory", "hugepages-2m-0", {}, Kind.OTHER),
    ],
)
def test_devices_of_all_drivers_have_the_kind_that_they_are(driver, name, attributes, kind):
    assert device(driver, name, **attributes).kind is kind


# ---------------------------------------------------------------- rules


def gpu(number, **attributes):
    attributes.setdefault("resource_kubernetes_io__pcieRoot", f"pci0000:{number:02x}")
    return device("gpu.nvidia.com", type="gpu", uuid=f"GPU-{number}", **attributes)


@pytest.mark.parametrize("count", [2, 4, 8, 16])
def test_what_is_published_is_believed_however_many_gpus_a_numa_node_has(count):
    found = device_topology.device_topology([gpu(number, numa=0) for number in range(count)])
    assert found.numa == (0,) * count
    assert found.levels[0][count - 1] == Level.NODE


def test_numa_nodes_of_one_socket_are_not_across():
    near = [gpu(0, resource_kubernetes_io__numaNode=[0, 1]), gpu(1, numa=1), gpu(2, numa=2)]
    levels = device_topology.levels(near)
    assert levels[0][1] == levels[1][0] == Level.NODE
    assert levels[0][2] == levels[1][2] == Level.SYS


def test_parts_of_one_gpu_are_near_and_have_no_nvlink_to_others():
    parts = [
        device("gpu.nvidia.com", type="mig", parentUUID=parent, productName="A", numa=0)
        for parent in ("GPU-0", "GPU-0", "GPU-1")
    ]
    levels = device_topology.levels(parts, linked=frozenset({"a"}))
    assert levels[0][1] == Level.PIX
    assert levels[0][2] == Level.NODE


def test_a_part_is_near_to_its_own_gpu():
    whole = gpu(0)
    part = device("gpu.nvidia.com", type="mig", parentUUID="GPU-0")
    assert device_topology.levels([whole, part])[1][0] == Level.PIX


def test_a_cpu_group_is_near_to_what_hangs_off_its_roots():
    cpu = device("dra.cpu", resource_kubernetes_io__pcieRoot=["pci0000:00", "pci0000:01"], numa=1)
    assert device_topology.levels([cpu, gpu(1), gpu(2)])[0] == bytes(
        [Level.PHB, Level.PHB, Level.UNKNOWN]
    )


def test_functions_behind_a_bridge_share_it_and_those_on_the_root_bus_do_not():
    def nic(address, root):
        return device("dra.net", resource_kubernetes_io__pcieRoot=root, dra_net__pciAddress=address)

    bridged = [nic("0000:03:00.0", "pci0000:00"), nic("0000:03:00.1", "pci0000:00")]
    on_root = [nic("0000:10:1b.0", "pci0000:10"), nic("0000:10:1c.0", "pci0000:10")]
    assert device_topology.levels(bridged)[0][1] == Level.PIX
    assert device_topology.levels(on_root)[0][1] == Level.PHB


def test_what_is_not_published_is_unknown_and_not_far():
    bare = [device("gpu.nvidia.com"), device("dra.net"), device("dra.net", dra_net__numaNode=1)]
    levels = device_topology.levels(bare)
    assert levels[0][1] == levels[0][2] == levels[1][2] == Level.UNKNOWN


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("NVIDIA A100-SXM4-40GB", "NVIDIA-A100-SXM4-40GB"),
        ("NVIDIA H100 80GB HBM3", "NVIDIA-H100-80GB-HBM3"),
        ("AMD_Instinct_MI300X_OAM", "Instinct MI300X OAM"),
    ],
)
def test_a_product_has_one_plain_name(one, other):
    assert device_facts.plain_value(one) == device_facts.plain_value(other)


@pytest.mark.parametrize(
    ("driver", "kind"),
    [
        ("neuron.aws.com", shape.Kind.GPU),
        ("hami-core-gpu.project-hami.io", shape.Kind.GPU),
        ("npu.furiosa.ai", shape.Kind.GPU),
        ("gputools.example.com", shape.Kind.OTHER),
        ("compute-domain.nvidia.com", shape.Kind.OTHER),
    ],
)
def test_a_driver_is_known_by_the_words_of_its_name(driver, kind):
    assert device_facts.kind_of(driver, {}, "device-0") is kind
