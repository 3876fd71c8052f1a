"""Nodes with GPUs and NICs as published: ResourceSlices of real machines, under new names.

Four kinds are the slices that kubernetes-sigs/dranet publishes with its examples (SOURCES.tsv in
tests/golden/dra). AKS MI300X publishes NICs alone; its GPUs are written as AMD's driver would,
four on each NUMA node. HGX H100 is written down: eight pairs behind a PCIe root each, four to a
socket.
"""

import functools
import pathlib

import msgspec

from extender.kube.api import objects
from extender.replay import snapshots

EXAMPLES = pathlib.Path(__file__).parents[2] / "tests/golden/dra/kubernetes-sigs+dranet/examples"
NVIDIA, AMD, NETWORK = "gpu.nvidia.com", "gpu.amd.com", "dra.net"
STANDARD = "resource.kubernetes.io"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"
SOCKET = 4  # of eight GPUs or NICs

# kind → (folder of the examples, node labels)
PUBLISHED = {
    "p4d": ("aws_eks_examples/gpu-efa", {INSTANCE_TYPE: "p4d.24xlarge"}),
    "gb300": ("azure_aks_examples/gb300", {}),
    "mi300x": ("azure_aks_examples/mi300x", {INSTANCE_TYPE: "Standard_ND96isr_MI300X_v5"}),
    "gb200": ("oci_oke_examples/BM.GPU.GB200-v3.4", {}),
}
KINDS = (*PUBLISHED, "h100")
GPUS = {"p4d": 8, "gb300": 4, "mi300x": 8, "gb200": 4, "h100": 8}

GPU_CLASS = f'device.driver == "{NVIDIA}" || device.driver == "{AMD}"'
NIC_CLASS = (
    f'device.driver == "{NETWORK}" && "rdma" in device.attributes["{NETWORK}"]'
    f' && device.attributes["{NETWORK}"].rdma'
)


def attribute(value):
    if isinstance(value, bool):
        return objects.DeviceAttribute(bool_=value)
    if isinstance(value, int):
        return objects.DeviceAttribute(int_=value)
    return objects.DeviceAttribute(string=value)


def written(driver, devices):
    """A slice of (name, attributes) devices."""
    return objects.ResourceSlice(
        metadata=objects.ObjectMeta(name=driver),
        spec=objects.ResourceSliceSpec(
            driver=driver,
            pool=objects.ResourcePool(name="", generation=1, resource_slice_count=1),
            node_name="",
            devices=tuple(
                objects.Device(
                    name=name, attributes={key: attribute(v) for key, v in attributes.items()}
                )
                for name, attributes in devices
            ),
        ),
    )


def mi300x_gpus():
    devices = [
        (
            f"gpu-{number}",
            {
                "type": "amdgpu",
                "productName": "AMD_Instinct_MI300X_OAM",
                "numaNode": number // SOCKET,
            },
        )
        for number in range(2 * SOCKET)
    ]
    return written(AMD, devices)


def h100():
    roots = [f"pci{number:04x}:00" for number in range(2 * SOCKET)]
    gpus = [
        (
            f"gpu-{number}",
            {"type": "gpu", "productName": "NVIDIA H100 80GB HBM3", f"{STANDARD}/pcieRoot": root},
        )
        for number, root in enumerate(roots)
    ]
    nics = [
        (
            f"nic-{number}",
            {
                f"{NETWORK}/rdma": True,
                f"{NETWORK}/numaNode": number // SOCKET,
                f"{STANDARD}/pcieRoot": root,
            },
        )
        for number, root in enumerate(roots)
    ]
    return written(NVIDIA, gpus), written(NETWORK, nics)


@functools.cache
def slices(kind):
    """The slices of one kind of machine, under the names they were published with."""
    if kind == "h100":
        return h100()
    folder, _ = PUBLISHED[kind]
    snapshot, problems = snapshots.scan(sorted((EXAMPLES / folder).glob("resourceslice-*.yaml")))
    assert not problems, problems
    found = tuple(item for name, item in snapshot.objects if name == "ResourceSlice")
    return (*found, mi300x_gpus()) if kind == "mi300x" else found


def node(name, kind, **labels):
    """A Node of the kind."""
    known = PUBLISHED[kind][1] if kind in PUBLISHED else {}
    return objects.Node(
        metadata=objects.ObjectMeta(name=name, uid=name, labels={**known, **labels}),
        status=objects.NodeStatus(allocatable={"cpu": "192", "memory": "2Ti", "pods": "250"}),
    )


def slices_on(name, kind):
    """The kind's slices as the node of that name would publish them."""
    for number, item in enumerate(slices(kind)):
        pool = msgspec.structs.replace(item.spec.pool, name=name)
        spec = msgspec.structs.replace(item.spec, node_name=name, pool=pool)
        yield objects.ResourceSlice(
            metadata=objects.ObjectMeta(name=f"{name}-{number}", uid=f"{name}-{number}"), spec=spec
        )


def device_class(name, expression):
    selector = objects.DeviceSelector(cel=objects.CELDeviceSelector(expression=expression))
    return objects.DeviceClass(
        metadata=objects.ObjectMeta(name=name),
        spec=objects.DeviceClassSpec(selectors=(selector,)),
    )
