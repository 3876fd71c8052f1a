"""Four kinds of machines, as their drivers publish them, for as many nodes as a test wants.

The slices of the AWS and OCI machines are the published ones of tests/golden/dra; the MIG machine
follows the form of NVIDIA's driver with dynamic MIG (one slice of counters, one slice per GPU;
before Kubernetes 1.35 each GPU's slice has its counters);
the device plug-in machine also shares its CPUs by capacity, as dra-driver-cpu does.
"""

from __future__ import annotations

import copy
import functools
import pathlib
from collections.abc import Callable, Iterator

import yaml

from tests.kit.controlplane import build, features, fleet
from tests.kit.controlplane.fleet import Object

PUBLISHED = (
    pathlib.Path(__file__).resolve().parents[2] / "golden/dra/kubernetes-sigs+dranet/examples"
)
AWS = PUBLISHED / "aws_eks_examples/gpu-efa"
OCI = PUBLISHED / "oci_oke_examples/BM.GPU.GB200-v3.4"

MIG_CLASS, CPU_CLASS = "mig.nvidia.com", "dra.cpu"
GPU_TYPE = "device.attributes['gpu.nvidia.com'].type"
# (profile, its GPU instance id, compute slices, memory slices, start slots) of an H100 80 GB:
# NVIDIA's MIG user guide, "supported MIG profiles".
MIG_PROFILES = (
    ("1g.10gb", 19, 1, 1, (0, 1, 2, 3, 4, 5, 6)),
    ("2g.20gb", 14, 2, 2, (0, 2, 4)),
    ("3g.40gb", 9, 3, 4, (0, 4)),
)
COMPUTE_SLICES, MEMORY_SLICES, MULTIPROCESSORS = 7, 8, 132


def device_classes() -> list[Object]:
    """Return the classes that the drivers' own charts install."""
    driver = f"device.driver == '{fleet.GPU_DRIVER}'"
    return [
        fleet.device_class(fleet.GPU_DRIVER, f"{driver} && {GPU_TYPE} == 'gpu'"),
        fleet.device_class(MIG_CLASS, f"{driver} && {GPU_TYPE} == 'mig'"),
        fleet.nic_class(),
        fleet.device_class(CPU_CLASS, f"device.driver == '{CPU_CLASS}'"),
    ]


def aws(name: str) -> Iterator[Object]:
    """Yield a p4d.24xlarge: 8 A100, 4 EFA cards, each near two of the GPUs."""
    yield _node(name, "aws")
    yield _published(AWS / "resourceslice-gpu.yaml", name)
    yield _published(AWS / "resourceslice-dranet.yaml", name)


def oci(name: str) -> Iterator[Object]:
    """Yield a GB200 node: 4 GPUs, 8 network interfaces, none below a GPU's root."""
    yield _node(name, "oci")
    yield _published(OCI / "resourceslice-gpu.yaml", name)
    yield _published(OCI / "resourceslice-dranet.yaml", name)


def mig(name: str, gpus: int = 2) -> Iterator[Object]:
    """Yield a node of H100 that are whole or partitioned, whatever is claimed first."""
    yield _node(name, "mig")
    counters = [
        {"name": f"gpu-{gpu}-counter-set", "counters": _counters(COMPUTE_SLICES, range(8))}
        for gpu in range(gpus)
    ]
    apart = features.minor_of(build.default_version()) >= features.COUNTERS_APART
    pool = {"name": name, "generation": 1, "resourceSliceCount": gpus + apart}
    if apart:
        shared = fleet.resource_slice(
            name, fleet.GPU_DRIVER, [], pool=pool, sharedCounters=counters
        )
        del shared["spec"]["devices"]
        yield _numbered(shared, 0)
    for gpu in range(gpus):
        devices = list(_mig_devices(gpu))
        own = {} if apart else {"sharedCounters": [counters[gpu]]}
        one = fleet.resource_slice(name, fleet.GPU_DRIVER, devices, pool=pool, **own)
        yield _numbered(one, gpu + 1)


def plugin(name: str) -> Iterator[Object]:
    """Yield a node of 8 H100 behind the device plug-in, and 31 CPUs that claims may share."""
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/gpu.count": "8",
        "nvidia.com/gpu.memory": "81559",
    }
    yield _node(name, "plugin", resources={fleet.GPU_RESOURCE: "8"}, labels=labels)
    cpus = fleet.device(
        "cpudevnuma000",
        attributes={"dra.cpu/numCPUs": 31, "dra.cpu/numaNodeID": 0, "dra.cpu/smtEnabled": True},
        allowMultipleAllocations=True,
        capacity={"dra.cpu/cpu": {"value": "31"}},
    )
    yield fleet.resource_slice(name, CPU_CLASS, [cpus])


KINDS: dict[str, Callable[[str], Iterator[Object]]] = {  # kind → maker of a node's objects
    "aws": aws,
    "oci": oci,
    "mig": mig,
    "plugin": plugin,
}


def machines(count: int) -> Iterator[Object]:
    """Yield `count` machines, the four kinds in turn, named kind-number."""
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        yield from KINDS[kind](f"{kind}-{number:03}")


def _node(name: str, kind: str, **fields: dict[str, str]) -> Object:
    node = fleet.node(name, **fields)
    node["metadata"]["labels"]["test/machine"] = kind
    return node


def _published(path: pathlib.Path, node_name: str) -> Object:
    published = copy.deepcopy(_read(path))
    spec = published["spec"]
    for device in spec["devices"]:
        if uuid := device["attributes"].get("uuid"):
            # Two machines do not share a GPU; nodes are numbered at the end of their names.
            uuid["string"] = f"{uuid['string'][:-4]}{node_name[-3:]:>04}"
    fields = {
        key: value for key, value in spec.items() if key not in {"driver", "nodeName", "pool"}
    }
    return fleet.resource_slice(node_name, spec["driver"], fields.pop("devices"), **fields)


@functools.cache
def _read(path: pathlib.Path) -> Object:
    document = yaml.safe_load(path.read_text())
    (item,) = document["items"] if document["kind"] == "List" else [document]
    return item


def _numbered(resource_slice: Object, number: int) -> Object:
    resource_slice["metadata"]["name"] += f"-{number}"
    return resource_slice


def _mig_devices(gpu: int) -> Iterator[Object]:
    attributes = {
        "productName": "NVIDIA H100 80GB HBM3",
        fleet.PCIE_ROOT: f"pci0000:{16 * gpu:02x}",
    }
    yield _partition(f"gpu-{gpu}", gpu, {"type": "gpu", **attributes}, COMPUTE_SLICES, range(8))
    for profile, instance_id, compute, memory, starts in MIG_PROFILES:
        for start in starts:
            name = f"gpu-{gpu}-mig-{profile.replace('.', '')}-{instance_id}-{start}"
            own = {"type": "mig", "profile": profile, "parentUUID": f"GPU-{gpu}", **attributes}
            yield _partition(name, gpu, own, compute, range(start, start + memory))


def _partition(name: str, gpu: int, attributes: Object, compute: int, memory: range) -> Object:
    consumed = {
        "counterSet": f"gpu-{gpu}-counter-set",
        "counters": _counters(compute, memory),
    }
    return fleet.device(
        name,
        attributes=attributes,
        capacity={"memory": {"value": f"{10 * len(memory)}Gi"}},
        consumesCounters=[consumed],
    )


def _counters(compute: int, memory: range) -> Object:
    amounts = {
        "multiprocessors": str(MULTIPROCESSORS * compute // COMPUTE_SLICES),
        "memory": f"{10 * len(memory)}Gi",
    }
    amounts |= {f"memory-slice-{number}": "1" for number in memory}
    return {name: {"value": amount} for name, amount in amounts.items()}
