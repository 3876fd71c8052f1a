import pathlib

import pytest
from hypothesis import given, strategies

from extender.hardware import plugin_devices, shape
from extender.hardware.catalogue import catalogue, instance_types
from extender.kube.api import objects

FILES = (pathlib.Path(__file__).parents[2] / "config" / "hardware").iterdir()
CATALOGUE = catalogue.parse({path.name: path.read_bytes() for path in FILES})
Kind, Level = shape.Kind, shape.Level


def node(allocatable, **tags):
    named = {f"nvidia.com/{name.replace('_', '.')}": value for name, value in tags.items()}
    return objects.Node(
        metadata=objects.ObjectMeta(name="n", labels=named),
        status=objects.NodeStatus(allocatable=allocatable),
    )


def p4d(allocatable, **tags):
    plain = node(allocatable, gpu_product="NVIDIA-A100-SXM4-40GB", gpu_count="8", **tags)
    tagged = plain.metadata.labels | {instance_types.INSTANCE_TYPE: "p4d.24xlarge"}
    return objects.Node(metadata=objects.ObjectMeta(labels=tagged), status=plain.status)


def found(given, first=0):
    return plugin_devices.inventory(
        plugin_devices.node_facts(given, CATALOGUE.resources), CATALOGUE, first=first
    )


def plain(resource):
    """The resource without what its units are, which test_physical.py holds."""
    return shape.PluginResource(resource.name, resource.count, resource.devices, resource.replicas)


def by_name(inventory):
    return {resource.name: plain(resource) for resource in inventory.resources}


def test_a_known_machine_has_all_its_devices_in_their_places():
    inventory = found(p4d({"nvidia.com/gpu": "8", "vpc.amazonaws.com/efa": 4, "cpu": "96"}))
    listed = by_name(inventory)
    assert listed["nvidia.com/gpu"] == shape.PluginResource("nvidia.com/gpu", 8, tuple(range(8)))
    assert listed["vpc.amazonaws.com/efa"].devices == (8, 9, 10, 11)
    assert [device.kind for device in inventory.devices] == [Kind.GPU] * 8 + [Kind.NIC] * 4
    assert inventory.devices[3].name == "gpu-3"
    assert Level(inventory.levels[0][7]) is Level.NVLINK
    assert Level(inventory.levels[0][8]) is Level.PIX
    assert Level(inventory.levels[0][9]) is Level.NODE
    assert Level(inventory.levels[0][10]) is Level.SYS
    assert inventory.numa == (0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1)
    assert inventory.root[0] == inventory.root[1] == inventory.root[8] != inventory.root[2]
    assert inventory.product == "NVIDIA-A100-SXM4-40GB"
    assert inventory.platform == "aws-p4d"
    assert inventory.sources == {"device plug-in", "catalogue"}


def test_indices_start_after_the_dra_devices():
    inventory = found(p4d({"nvidia.com/gpu": "8"}), first=5)
    assert inventory.resources[0].devices == tuple(range(5, 13))


def test_an_unknown_machine_has_devices_of_unknown_place():
    inventory = found(node({"nvidia.com/gpu": 4}, gpu_product="GTX-9000"))
    assert len(inventory.devices) == 4
    assert inventory.levels[0] == bytes([Level.PIX] + [Level.UNKNOWN] * 3)
    assert inventory.numa == inventory.root == (None,) * 4
    assert inventory.platform == ""
    assert inventory.sources == {"device plug-in"}


def test_nvlink_is_known_by_the_product_alone():
    inventory = found(node({"nvidia.com/gpu": 4}, gpu_product="NVIDIA-H100-80GB-HBM3"))
    assert inventory.levels[1] == bytes([Level.NVLINK, Level.PIX, Level.NVLINK, Level.NVLINK])
    assert inventory.platform == "hgx-h100"


def test_without_labels_there_still_are_gpus():
    inventory = found(node({"amd.com/gpu": 2}))
    assert [device.attributes for device in inventory.devices] == [{}, {}]
    assert inventory.product == ""


@pytest.mark.parametrize(
    "tags",
    [
        {"gpu_product": "NVIDIA-A100-SXM4-40GB-SHARED", "gpu_count": "8", "gpu_replicas": "4"},
        {"gpu_product": "NVIDIA-A100-SXM4-40GB", "gpu_replicas": "4"},
    ],
)
@pytest.mark.parametrize("name", ["nvidia.com/gpu", "nvidia.com/gpu.shared"])
def test_shares_are_units_of_whole_gpus(tags, name):
    inventory = found(node({name: 32}, **tags))
    assert tuple(map(plain, inventory.resources)) == (
        shape.PluginResource(name, 32, tuple(range(8)), 4),
    )
    assert inventory.product == "NVIDIA-A100-SXM4-40GB"


def test_when_a_gpu_is_ill_nobody_knows_which():
    inventory = found(p4d({"nvidia.com/gpu": 7}))
    assert tuple(map(plain, inventory.resources)) == (shape.PluginResource("nvidia.com/gpu", 7),)
    assert inventory.devices == ()


def test_mig_devices_are_counted_and_not_placed():
    mixed = node(
        {"nvidia.com/mig-1g.5gb": 7, "nvidia.com/mig-3g.20gb": 2, "nvidia.com/gpu": 0},
        gpu_product="NVIDIA-A100-SXM4-40GB",
        gpu_count="2",
        mig_strategy="mixed",
    )
    inventory = found(mixed)
    assert tuple(map(plain, inventory.resources)) == (
        shape.PluginResource("nvidia.com/mig-1g.5gb", 7),
        shape.PluginResource("nvidia.com/mig-3g.20gb", 2),
    )
    assert inventory.devices == inventory.levels == ()


def test_a_mixed_node_places_the_gpus_only_when_all_are_whole():
    some = {"nvidia.com/mig-1g.5gb": 7, "nvidia.com/gpu": 7}
    inventory = found(node(some, gpu_product="NVIDIA-A100-SXM4-40GB", gpu_count="8"))
    assert inventory.devices == ()


def test_with_single_strategy_the_units_are_mig_devices():
    tags = {"gpu_product": "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", "gpu_count": "56"}
    inventory = found(node({"nvidia.com/gpu": 56}, mig_strategy="single", **tags))
    assert tuple(map(plain, inventory.resources)) == (shape.PluginResource("nvidia.com/gpu", 56),)
    assert inventory.product == "NVIDIA-A100-SXM4-40GB"


@pytest.mark.parametrize(
    "nics",
    [
        pytest.param({"rdma/hca_shared_devices_a": 1000}, id="shares of NICs"),
        pytest.param({"rdma/ib0": 4, "rdma/ib1": 4}, id="two resources"),
        pytest.param({"openshift.io/mlx5_ib": 16}, id="virtual functions"),
        pytest.param({"rdma/hca": 4}, id="as many shares as NICs"),
        pytest.param({"openshift.io/sriov_vf": 4}, id="as many virtual functions as NICs"),
    ],
)
def test_nics_that_cannot_be_distinguished_are_only_counted(nics):
    inventory = found(p4d({"nvidia.com/gpu": 8} | nics))
    listed = by_name(inventory)
    assert len(listed["nvidia.com/gpu"].devices) == 8
    assert all(listed[name] == shape.PluginResource(name, count) for name, count in nics.items())


def test_a_layout_for_another_number_of_gpus_is_not_used():
    inventory = found(node({"nvidia.com/gpu": 2}, gpu_product="NVIDIA-GB300", gpu_count="2"))
    assert inventory.numa == (None, None)
    assert inventory.levels[0][1] == Level.NVLINK


def test_what_is_no_device_is_no_business_of_ours():
    assert found(node({"cpu": "8", "example.com/dongle": 3, "nvidia.com/gpu": "0"})) == (
        plugin_devices.PluginInventory()
    )
    assert found(objects.Node()) == plugin_devices.PluginInventory()


def test_equal_machines_share_their_devices():
    one, other = found(p4d({"nvidia.com/gpu": 8})), found(p4d({"nvidia.com/gpu": 8}))
    assert one == other
    assert all(a is b for a, b in zip(one.devices, other.devices, strict=True))


@pytest.mark.parametrize("text", ["", "many", "-3", "²", "9" * 9])
def test_labels_that_are_no_numbers_tell_nothing(text):
    given = node({"nvidia.com/gpu": 4}, gpu_count=text, gpu_replicas=text)
    assert found(given) == found(node({"nvidia.com/gpu": 4}))


numbers = strategies.integers(0, 20).map(str)


@given(
    allocatable=strategies.dictionaries(
        strategies.sampled_from(
            ["nvidia.com/gpu", "nvidia.com/mig-1g.5gb", "amd.com/gpu", "rdma/ib", "cpu"]
        ),
        strategies.integers(0, 100),
    ),
    tags=strategies.fixed_dictionaries(
        {},
        optional={
            "gpu_product": strategies.sampled_from(["NVIDIA-A100-SXM4-40GB", "NVIDIA-GB300", "x"]),
            "gpu_count": numbers,
            "gpu_replicas": numbers,
            "mig_strategy": strategies.sampled_from(["single", "mixed", "none"]),
        },
    ),
    first=strategies.integers(0, 9),
)
def test_an_inventory_fits_into_a_shape(allocatable, tags, first):
    inventory = found(node(allocatable, **tags), first=first)
    size = len(inventory.devices)
    assert len(inventory.levels) == len(inventory.numa) == len(inventory.root) == size
    assert all(len(row) == size for row in inventory.levels)
    behind = [device for resource in inventory.resources for device in resource.devices]
    assert sorted(behind) == list(range(first, first + size))
    for resource in inventory.resources:
        assert resource.count == allocatable[resource.name] > 0
        assert len(resource.devices) * resource.replicas in {0, resource.count}
