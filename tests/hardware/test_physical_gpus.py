"""How many physical GPUs stand behind the units of device plug-ins."""

import pytest
from hypothesis import given, strategies

from extender.hardware import gpu_count, plugin_devices, shape
from extender.hardware.catalogue import label_evidence
from extender.hardware.usage import NOTHING, Usage
from extender.service import assembly
from tests.kit.builders import make_node

CATALOGUE = assembly.read_catalogue()
GPU, MIG = "nvidia.com/gpu", "nvidia.com/mig-{}"
GFD = "nvidia.com/gpu.{}"
A100, H100, A30 = "NVIDIA-A100-SXM4-40GB", "NVIDIA-H100-80GB-HBM3", "NVIDIA-A30"
INSTANCE = "node.kubernetes.io/instance-type"
GKE = "cloud.google.com/gke-{}"


def counted(units, tags, capacity=None):
    """The GPUs of a node with these units and labels."""
    node = make_node("n")
    for name, value in tags.items():
        (node.annotation if name in label_evidence.REGISTERS else node.label)(name, value)
    for name, count in units.items():
        node.resource(name, count)
    node.body["status"]["capacity"] = {k: str(v) for k, v in (capacity or {}).items()}
    reported = plugin_devices.node_facts(node.obj(), CATALOGUE.resources)
    inventory = plugin_devices.inventory(reported, CATALOGUE)
    hardware = shape.Shape(
        devices=inventory.devices, resources=inventory.resources, levels=inventory.levels
    )
    return gpu_count.GpuCounter(hardware), hardware


def gfd(product, count, **more):
    tags = {GFD.format("product"): product, GFD.format("count"): str(count)}
    return tags | {f"nvidia.com/{name.replace('_', '.')}": str(v) for name, v in more.items()}


CASES = [
    pytest.param({GPU: 8}, gfd(H100, 8), 8, id="plain"),
    pytest.param({GPU: 8}, {}, 8, id="no labels"),
    pytest.param({GPU: 80}, gfd(H100, 8, gpu_replicas=10), 8, id="time-slicing"),
    pytest.param({GPU: 80}, {GFD.format("replicas"): "10"}, 8, id="replicas alone"),
    pytest.param({"nvidia.com/gpu.shared": 80}, gfd(H100, 8, gpu_replicas=10), 8, id="renamed"),
    pytest.param(
        {GPU: 16}, gfd(f"{H100}-SHARED", 8, gpu_replicas=2, **{"gpu.sharing-strategy": "mps"}), 8,
        id="MPS",
    ),
    pytest.param({GPU: 10}, gfd("Tesla-T4", 1, gpu_replicas=1), 1, id="HAMi, replicas say 1"),
    pytest.param({GPU: 40}, gfd("NVIDIA-A10", 4), 4, id="HAMi, no replicas"),
    pytest.param(
        {GPU: 40},
        {"hami.io/node-nvidia-register": '[{"id":"a","count":10},{"id":"b","count":10},'
            '{"id":"c","count":10},{"id":"d","count":10}]'}, 4,
        id="HAMi lists them",
    ),
    pytest.param(
        {GPU: 20},
        {"hami.io/node-nvidia-register": "GPU-a,10,15360,100,NVIDIA-Tesla T4,0,true:"
            "GPU-b,10,15360,100,NVIDIA-Tesla T4,0,true:"}, 2,
        id="HAMi of old lists them",
    ),
    pytest.param({GPU: 4}, {"hami.io/node-nvidia-register": "[broken"}, 4, id="or nothing"),
    pytest.param({GPU: 10}, {INSTANCE: "g5.xlarge"}, 1, id="the instance type tells"),
    pytest.param(
        {GPU: 10}, gfd("NVIDIA-A10G", 1, gpu_replicas=1) | {INSTANCE: "g5.xlarge"}, 1,
        id="a label of replicas that is wrong on EKS",
    ),
    pytest.param({GPU: 4}, gfd(H100, 4, gpu_replicas=10), 4, id="replicas of a sharing now off"),
    pytest.param({GPU: 20}, gfd(H100, 8, gpu_replicas=4), 5, id="three of eight are ill"),
    pytest.param(
        {GPU: 40}, {INSTANCE: "a2-highgpu-4g", GKE.format("max-shared-clients-per-gpu"): "10"}, 4,
        id="GKE sharing",
    ),
    pytest.param(
        {GPU: 56},
        {INSTANCE: "a2-highgpu-8g", GKE.format("gpu-partition-size"): "1g.5gb"}, 8,
        id="GKE partitions",
    ),
    pytest.param(
        {GPU: 12},
        {
            GKE.format("accelerator"): "nvidia-tesla-a100",
            GKE.format("gpu-partition-size"): "3g.20gb",
            GKE.format("max-shared-clients-per-gpu"): "3",
        }, 2,
        id="GKE partitions that are shared",
    ),
    pytest.param(
        {GPU: 56}, gfd(f"{A100}-MIG-1g.5gb", 56, mig_strategy="single"), 8, id="MIG single, 1g"
    ),
    pytest.param(
        {GPU: 16}, gfd(f"{A100}-MIG-3g.20gb", 16, mig_strategy="single"), 8, id="MIG single, 3g"
    ),
    pytest.param(
        {GPU: 8}, gfd(f"{A100}-MIG-7g.40gb", 8, mig_strategy="single"), 8, id="MIG single, 7g"
    ),
    pytest.param({MIG.format("1g.5gb"): 7}, gfd(A100, 1, mig_strategy="mixed"), 1, id="7 of 1g"),
    pytest.param({MIG.format("3g.20gb"): 16}, gfd(A100, 8), 8, id="16 of 3g"),
    pytest.param({MIG.format("2g.10gb"): 24}, gfd(A100, 8), 8, id="24 of 2g"),
    pytest.param({MIG.format("1g.10gb"): 32}, gfd(A100, 8), 8, id="32 of 1g with double memory"),
    pytest.param({MIG.format("3g.20gb"): 2}, {}, 1, id="MIG without any label"),
    pytest.param(
        {MIG.format("1g.5gb.shared"): 28}, gfd(A100, 1, **{"mig-1g.5gb.replicas": 4}), 1,
        id="time-slicing of MIG",
    ),
    pytest.param({GPU: 6, MIG.format("1g.5gb"): 14}, gfd(A100, 8), 8, id="MIG mixed, six whole"),
    pytest.param({GPU: 6, MIG.format("1g.5gb"): 14}, gfd(A100, 6), 8, id="only whole are counted"),
    pytest.param({MIG.format("1g.6gb"): 16}, gfd(A30, 4), 4, id="an A30 has four slices"),
    pytest.param({"amd.com/gpu": 8}, {}, 8, id="AMD"),
    pytest.param(
        {"amd.com/gpu": 64}, {"amd.com/gpu.compute-memory-partition": "cpx_nps4"}, 8, id="CPX"
    ),
    pytest.param({"amd.com/gpu": 64}, {"amd.com/compute-memory-partition": "cpx_nps1"}, 8,
        id="CPX by the labeller's documented name"),
    pytest.param({"amd.com/gpu": 16}, {"amd.com/compute-memory-partition": "dpx_nps1"}, 8,
        id="DPX"),
    pytest.param({"amd.com/gpu": 32}, {"amd.com/compute-memory-partition": "qpx_nps1"}, 8,
        id="QPX"),
    pytest.param({"amd.com/gpu": 8}, {"amd.com/compute-memory-partition": "spx_nps1"}, 8,
        id="SPX, single"),
    pytest.param({"amd.com/spx_nps1": 8, "amd.com/gpu": 0}, {}, 8, id="SPX, mixed"),
    pytest.param({"amd.com/spx_nps1": 5, "amd.com/cpx_nps1": 24}, {}, 8, id="SPX and CPX"),
    pytest.param(
        {"amd.com/gpu": 24},
        {
            "amd.com/gpu.product-name": "AMD_Instinct_MI300A",
            "amd.com/compute-memory-partition": "cpx_nps1",
        }, 4,
        id="MI300A has six compute dies",
    ),
    pytest.param({"amd.com/gpu": 64}, {INSTANCE: "Standard_ND96isr_MI300X_v5"}, 8,
        id="CPX by the instance type"),
    pytest.param(
        {"gpu.intel.com/i915": 30}, {"gpu.intel.com/device-id.0380-56c1.count": "3"}, 3,
        id="Intel, sharedDevNum 10",
    ),
    pytest.param({"gpu.intel.com/xe": 2}, {"gpu.intel.com/device-id.0380-e20b.count": "2"}, 2,
        id="Intel"),
    pytest.param(
        {
            "aws.amazon.com/neuron": 16,
            "aws.amazon.com/neurondevice": 16,
            "aws.amazon.com/neuroncore": 32,
        }, {INSTANCE: "trn1.32xlarge"}, 16,
        id="Neuron by three names",
    ),
    pytest.param({"aws.amazon.com/neuroncore": 4}, {}, 2, id="Neuron cores alone"),
    pytest.param({"habana.ai/gaudi": 8}, {"habana.ai/hpu.count": "8"}, 8, id="Gaudi"),
    pytest.param({"google.com/tpu": 4}, {}, 4, id="TPU"),
    pytest.param({"nvidia.com/GH100_H100_PCIE": 2}, {}, 2, id="passthrough"),
    pytest.param({"nvidia.com/pgpu": 8}, {}, 8, id="Kata's name"),
    pytest.param({"nvidia.com/NVIDIA_A10-8Q": 6}, {}, 2, id="vGPUs by their memory"),
    pytest.param({"nvidia.com/GH100_H100_NVSWITCH": 4}, {}, 0, id="switches"),
    pytest.param({"rdma/hca_shared_devices_a": 1000, "openshift.io/mlx5_ib": 8}, {}, 0, id="NICs"),
]  # fmt: skip


@pytest.mark.parametrize(("units", "tags", "expected"), CASES)
def test_units_count_as_the_gpus_that_they_physically_are(units, tags, expected):
    found, hardware = counted(units, tags)

    assert found.total == pytest.approx(expected)
    assert sum(d.kind is shape.Kind.GPU for d in hardware.devices) <= expected


@pytest.mark.parametrize(("units", "tags", "expected"), CASES)
def test_what_is_held_leaves_the_rest_and_never_less_than_nothing(units, tags, expected):
    found, hardware = counted(units, tags)
    everything = tuple(resource.count for resource in hardware.resources)
    more = tuple(2 * count for count in everything)

    assert found.left(NOTHING) == pytest.approx(expected)
    assert found.left(Usage(held=everything)) == pytest.approx(0.0)
    assert found.left(Usage(held=more)) == 0.0


def test_ill_units_count_no_more_and_tell_nothing_of_replicas():
    found, _ = counted({GPU: 5}, gfd(H100, 8), capacity={GPU: 8})
    shared, _ = counted({GPU: 50}, gfd(H100, 8), capacity={GPU: 80})

    assert (found.total, shared.total) == (5, 5)


def test_units_of_something_unseen_are_no_devices():
    _, hardware = counted({GPU: 100}, {})

    assert hardware.devices == ()


@given(
    gpus_there=strategies.integers(1, 16),
    replicas=strategies.integers(1, 12),
    reported=strategies.sampled_from(["right", "one", "none"]),
    held=strategies.integers(0, 300),
)
def test_whatever_the_label_of_replicas_says_the_published_gpus_are_counted(
    gpus_there, replicas, reported, held
):
    tags = gfd(H100, gpus_there)
    if reported != "none":
        tags[GFD.format("replicas")] = str(replicas) if reported == "right" else "1"
    found, hardware = counted({GPU: gpus_there * replicas}, tags)

    assert found.total == pytest.approx(gpus_there)
    assert hardware.resources[0].replicas == replicas
    left = found.left(Usage(held=(held,)))
    assert left == pytest.approx(max(gpus_there - held / replicas, 0.0))


@pytest.mark.parametrize(
    ("product", "memory", "mig"),
    [
        ("NVIDIA-A100-SXM4", "40960", "A100-40GB / A800-40GB"),
        ("NVIDIA-A100-SXM4", "81920", "A100-80GB / A800-80GB"),
        ("NVIDIA-A100-PCIE-40GB", "40960", "A100-40GB / A800-40GB"),
        ("NVIDIA-H20", "97871", "H100-96GB / GH200-96GB / H20 / PG506-96GB"),
        ("NVIDIA-A100-SXM4", "", ""),
    ],
)
def test_the_memory_tells_products_of_one_name_apart(product, memory, mig):
    tags = {GFD.format("product"): product, GFD.format("memory"): memory}

    assert plugin_devices.product_of(tags, CATALOGUE).mig == mig


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ({"amd.com/gpu.device-id": "74b5"}, "AMD Instinct MI300X OAM"),
        ({"beta.amd.com/gpu.device-id.74a5": "8"}, "AMD Instinct MI325X"),
        (
            {"feature.node.kubernetes.io/pci-0302_10de_2330.present": "true"},
            "NVIDIA H100 80GB HBM3",
        ),
        ({GKE.format("accelerator"): "nvidia-h200-141gb"}, "NVIDIA H200"),
        ({INSTANCE: "p5en.48xlarge"}, "NVIDIA H200"),
        ({"beta.kubernetes.io/instance-type": "p4d.24xlarge"}, "NVIDIA A100-SXM4-40GB"),
        ({GFD.format("product"): "NVIDIA-HGX-B200-SHARED"}, "NVIDIA B200"),
    ],
)
def test_any_label_that_tells_the_product_is_enough(tags, name):
    assert plugin_devices.product_of(tags, CATALOGUE).name == name
