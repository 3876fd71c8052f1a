"""Machines of the demo cluster: what is published of each kind, under the name of a node."""
# ruff: noqa: INP001  (a script; the folder ships as data)

from __future__ import annotations

import copy
import pathlib
import re
from collections.abc import Iterator, Sequence

import bodies
import yaml
from bodies import Body

from extender.hardware import mig_profiles

HERE = pathlib.Path(__file__).parent
PUBLISHED = HERE.parents[1] / "tests" / "golden" / "dra"
DRANET = PUBLISHED / "kubernetes-sigs+dranet" / "examples"
AMD = PUBLISHED / "ROCm+k8s-gpu-dra-driver" / "docs" / "demo.md.block00.yaml"

NVIDIA, NICS, AMD_GPUS = "gpu.nvidia.com", "dra.net", "gpu.amd.com"

# How an H100 with 80 GB divides: (SMs, memory in MiB, copy engines, decoders, JPEG, OFA) of the
# whole GPU and of each profile, as `nvidia-smi mig -lgip` lists them.
ENGINES = ("multiprocessors", "memory", "copy-engines", "decoders", "jpeg-engines", "ofa-engines")
WHOLE_H100 = (132, 81152, 8, 7, 7, 1)
H100_PROFILES = {
    "1g.10gb": (16, 9984, 1, 1, 1, 0),
    "1g.10gb+me": (16, 9984, 1, 1, 1, 1),
    "1g.20gb": (26, 20096, 1, 1, 1, 0),
    "2g.20gb": (32, 20096, 2, 2, 2, 0),
    "3g.40gb": (60, 40448, 3, 3, 3, 0),
    "4g.40gb": (64, 40448, 4, 4, 4, 0),
    "7g.80gb": (132, 81152, 8, 7, 7, 1),
}
PROFILE_IDS = {
    "1g.10gb": 19, "1g.10gb+me": 20, "1g.20gb": 15, "2g.20gb": 14, "3g.40gb": 9, "4g.40gb": 5,
    "7g.80gb": 0,
}  # fmt: skip


def published(path: pathlib.Path) -> list[Body]:
    """The slices in a published file; some are in a List."""
    document = yaml.safe_load(path.read_text())
    return document["items"] if document["kind"] == "List" else [document]


def copied(on: str, *paths: pathlib.Path) -> Iterator[Body]:
    """The published slices as if another machine of the kind, `on`, had published them."""
    for original in (one for path in paths for one in published(path)):
        driver = original["spec"]["driver"]
        devices = copy.deepcopy(original["spec"]["devices"])
        for device in devices:
            _make_own(device, on)
        name = f"{on}-{driver}-{bodies.digest(on, driver)[:5]}"
        yield bodies.resource_slice(name, driver, on, {"devices": devices})


def _make_own(device: Body, on: str) -> None:
    """Give the device the identity that a device of another node would have."""
    mark = bodies.digest(on, device["name"])
    attributes = device["attributes"]
    if "uuid" in attributes:
        attributes["uuid"]["string"] = f"GPU-{bodies.uid(on, device['name'])}"
    if "dra.net/mac" in attributes:
        pairs = re.findall("..", mark[:10])
        attributes["dra.net/mac"]["string"] = ":".join(["02", *pairs])
    if "dra.net/ipv4" in attributes:
        address = f"192.168.{int(mark[:2], 16)}.{int(mark[2:4], 16) % 254 + 1}/19"
        attributes["dra.net/ipv4"]["string"] = address


def amd_slice(on: str) -> Body:
    """Eight GPUs, of which the first is published: card, render node and address count on."""
    (original,) = published(AMD)
    (first,) = original["spec"]["devices"]
    devices = []
    for number in range(8):
        device = copy.deepcopy(first)
        device["name"] = f"gpu-{number * 8}-{128 + number * 8}"
        attributes = device["attributes"]
        attributes["cardIndex"]["int"] = number * 8
        attributes["renderIndex"]["int"] = 128 + number * 8
        attributes["pciAddr"]["string"] = f"{number + 3:04x}:00:02.0"
        attributes["resource.kubernetes.io/pcieRoot"]["string"] = f"pci{number + 3:04x}:00"
        attributes["deviceID"]["string"] = str(int(bodies.digest(on, str(number))[:15], 16))
        devices.append(device)
    name = f"{on}-{AMD_GPUS}-{bodies.digest(on, AMD_GPUS)[:5]}"
    return bodies.resource_slice(name, AMD_GPUS, on, {"devices": devices})


# ---------------------------------------------------------------- dynamic MIG


def mig_slices(on: str, geometry: mig_profiles.MigGeometry) -> Iterator[Body]:
    """One slice of counters, then one for each GPU with all placements, as the driver does."""
    sets = [
        {"name": f"gpu-{gpu}-counter-set", "counters": _counters(WHOLE_H100, range(8))}
        for gpu in range(8)
    ]
    specs: list[Body] = [{"sharedCounters": sets}]
    specs += [{"devices": list(_mig_devices(on, gpu, geometry))} for gpu in range(8)]
    for number, spec in enumerate(specs):
        name = f"{number:05x}-{NVIDIA}-{on}-{bodies.digest(on, str(number))[:5]}"
        yield bodies.resource_slice(name, NVIDIA, on, spec, of=len(specs))


def _mig_devices(on: str, gpu: int, geometry: mig_profiles.MigGeometry) -> Iterator[Body]:
    common: Body = {
        "productName": {"string": "NVIDIA H100 80GB HBM3"},
        "architecture": {"string": "Hopper"},
        "brand": {"string": "Nvidia"},
        "cudaComputeCapability": {"version": "9.0.0"},
        "driverVersion": {"version": "580.95.5"},
        "resource.kubernetes.io/pciBusID": {"string": f"0000:{0x1B + 0x10 * gpu:02x}:00.0"},
        "resource.kubernetes.io/pcieRoot": {"string": f"pci0000:{0x15 + 0x10 * gpu:02x}"},
        "resource.kubernetes.io/numaNode": {"int": gpu // 4},
    }
    whole = f"GPU-{bodies.uid(on, str(gpu))}"
    yield _mig_device(
        f"gpu-{gpu}",
        gpu,
        {"type": {"string": "gpu"}, "uuid": {"string": whole}} | common,
        _counters(WHOLE_H100, range(8)),
    )
    for profile, numbers in H100_PROFILES.items():
        known = geometry.profiles[profile]
        short = profile.replace(".", "").replace("+", "-")
        for start in known.starts:
            name = f"gpu-{gpu}-mig-{short}-{PROFILE_IDS[profile]}-{start}"
            attributes = {
                "type": {"string": "mig"},
                "profile": {"string": profile},
                "parentUUID": {"string": whole},
            }
            counters = _counters(numbers, range(start, start + known.size))
            yield _mig_device(name, gpu, attributes | common, counters)


def _mig_device(name: str, gpu: int, attributes: Body, counters: Body) -> Body:
    return {
        "name": name,
        "attributes": attributes,
        "capacity": {"memory": counters["memory"]},
        "consumesCounters": [{"counterSet": f"gpu-{gpu}-counter-set", "counters": counters}],
    }


def _counters(numbers: Sequence[int], slots: Sequence[int]) -> Body:
    engines = {
        name: {"value": f"{number}Mi" if name == "memory" else str(number)}
        for name, number in zip(ENGINES, numbers, strict=True)
        if number
    }
    return engines | {f"memory-slice-{slot}": {"value": "1"} for slot in slots}


# ---------------------------------------------------------------- the nodes


def machines() -> Iterator[Body]:
    table = (HERE.parent / "hardware" / "mig_profiles.tsv").read_bytes()
    h100 = mig_profiles.parse(table, source="mig_profiles.tsv").geometry("H100-80GB / H800-80GB")
    if h100 is None:
        raise SystemExit("mig_profiles.tsv has no H100")
    for name in (f"p4d-{number}" for number in range(6)):
        yield bodies.node(name, 96, "1128Gi", bodies.cloud("p4d.24xlarge", "us-west-2a"))
        yield from copied(name, *sorted((DRANET / "aws_eks_examples/gpu-efa").glob("res*slice*")))
    for number, name in enumerate(f"gb300-{number}" for number in range(4)):
        clique = f"4f1c2a9e-6d0b-4c55-9a53-0d7f6a1b2c3d.{number // 2}"
        labels = bodies.cloud("Standard_ND128isr_GB300_v6", "eastus-1", gpu_clique=clique)
        yield bodies.node(name, 128, "880Gi", labels)
        yield from copied(name, *sorted((DRANET / "azure_aks_examples/gb300").glob("res*slice*")))
    for name in (f"mi300x-{number}" for number in range(3)):
        yield bodies.node(
            name, 96, "1810Gi", bodies.cloud("Standard_ND96isr_MI300X_v5", "eastus-2")
        )
        yield from copied(name, DRANET / "azure_aks_examples/mi300x/resourceslice-dranet.yaml")
        yield amd_slice(name)
    for name in (f"gb200-{number}" for number in range(3)):
        clique = "b7e3d1f0-93c2-4a8e-8f6d-5e1a2b3c4d5e.0"
        labels = bodies.cloud("BM.GPU.GB200-v3.4", "phx-ad-1", gpu_clique=clique)
        yield bodies.node(name, 144, "920Gi", labels)
        folder = DRANET / "oci_oke_examples/BM.GPU.GB200-v3.4"
        yield from copied(name, *sorted(folder.glob("res*slice*")))
    for name in (f"h100-mig-{number}" for number in range(2)):
        yield bodies.node(name, 224, "1990Gi", bodies.cloud("bare-metal", "dc-1"))
        yield from mig_slices(name, h100)
    yield from plugin_nodes()
    for name in ("cpu-0", "cpu-1"):
        yield bodies.node(name, 64, "250Gi", bodies.cloud("c6i.16xlarge", "us-west-2a"))


def plugin_nodes() -> Iterator[Body]:
    """DGX A100 with device plug-ins and feature discovery: whole, known, shared, and divided."""

    def dgx(number: int, *, product: str = "", replicas: int = 1, **offered: str) -> Body:
        labels = bodies.cloud(
            "bare-metal",
            "dc-1",
            gpu_product=f"NVIDIA-A100-SXM4-80GB{product}",
            gpu_count="8",
            gpu_replicas=str(replicas),
            gpu_memory="81920",
            gpu_family="ampere",
            gpu_machine="DGXA100-920-23687-2530-000",
            mig_strategy="mixed",
        )
        return bodies.node(f"dgx-a100-{number}", 256, "990Gi", labels, **offered)

    yield dgx(0, nvidia_com__gpu="8", nvidia_com__hostdev="10")
    yield dgx(1, nvidia_com__gpu="8", nvidia_com__hostdev="10")
    yield dgx(2, nvidia_com__gpu="32", product="-SHARED", replicas=4)
    divided = dgx(3, nvidia_com__gpu="4")
    more = {"nvidia.com/mig-1g.10gb": "14", "nvidia.com/mig-3g.40gb": "4"}
    for part in ("allocatable", "capacity"):
        divided["status"][part] |= more
    yield divided
