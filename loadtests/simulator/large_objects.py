"""Nodes and ResourceSlices as large as real ones: 18 KB and 27 KB of JSON each."""

from __future__ import annotations

import functools
import json
import pathlib
import random
import re

_DEMO = pathlib.Path(__file__).parents[2] / "config" / "demo" / "snapshot.json"
_PARTITIONED = "h100-mig-0"  # its node there whose GPUs may be cut in every way that MIG allows
_SERIAL = re.compile(r"GPU-[0-9a-f-]{36}")


_SIZES = {
    "cpu": "192",
    "memory": "2113463412Ki",
    "pods": "110",
    "ephemeral-storage": "3748905484Ki",
    "nvidia.com/gpu": "8",
    "hugepages-2Mi": "0",
}


def node(number: int, rng: random.Random) -> dict:
    """A Node of about 18 KB: labels of feature discovery, images, conditions, managed fields."""
    name = f"gpu-node-{number:05}"
    labels = {f"feature.node.kubernetes.io/cpu-cpuid.FEATURE{n}": "true" for n in range(70)}
    labels |= {
        "kubernetes.io/hostname": name,
        "topology.kubernetes.io/zone": f"zone-{number % 3}",
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/gpu.count": "8",
    }
    fields = {f'k:{{"type":"Condition{n}"}}': {".": {}, "f:status": {}} for n in range(30)}
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "uid": f"{rng.getrandbits(128):032x}",
            "resourceVersion": str(number + 1),
            "labels": labels,
            "annotations": {
                "node.alpha.kubernetes.io/ttl": "0",
                "csi.volume.kubernetes.io/nodeid": json.dumps({"csi.example": name}),
                "nfd.node.kubernetes.io/feature-labels": ",".join(labels),
            },
            "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": fields}}],
        },
        "spec": {"podCIDR": f"10.{number >> 8}.{number & 255}.0/24", "providerID": f"x://{name}"},
        "status": {
            "capacity": _SIZES,
            "allocatable": _SIZES,
            "conditions": _conditions(),
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "images": _images(),
            "nodeInfo": {"kernelVersion": "6.8.0", "machineID": f"{rng.getrandbits(128):032x}"},
        },
    }


def _conditions() -> list[dict]:
    return [
        {
            "type": kind,
            "status": "True" if kind == "Ready" else "False",
            "reason": f"Kubelet{kind}",
            "message": f"kubelet reports on {kind.lower()} as it does every ten seconds",
            "lastHeartbeatTime": "2026-11-21T10:00:00Z",
            "lastTransitionTime": "2026-11-20T10:00:00Z",
        }
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    ]


def _images() -> list[dict]:
    return [
        {
            "names": [f"registry.example/team/image-{n}@sha256:{n:064x}", f"team/image-{n}:v{n}"],
            "sizeBytes": 1_000_000 * n,
        }
        for n in range(40)
    ]


def resource_slice(number: int, rng: random.Random) -> dict:
    """A ResourceSlice of about 27 KB: 48 devices as a GPU driver publishes them."""
    name = f"gpu-node-{number:05}"
    return {
        "kind": "ResourceSlice",
        "apiVersion": "resource.k8s.io/v1",
        "metadata": {
            "name": f"{name}-gpu.nvidia.com-x7k2p",
            "uid": f"{rng.getrandbits(128):032x}",
            "resourceVersion": str(number + 1),
            "ownerReferences": [{"kind": "Node", "name": name, "controller": True}],
        },
        "spec": {
            "driver": "gpu.nvidia.com",
            "nodeName": name,
            "pool": {"name": name, "generation": 1, "resourceSliceCount": 1},
            "devices": [device(index, rng) for index in range(48)],
        },
    }


def device(index: int, rng: random.Random) -> dict:
    return {
        "name": f"gpu-{index}",
        "attributes": {
            "addressingMode": {"string": "HMM"},
            "architecture": {"string": "Hopper"},
            "brand": {"string": "Nvidia"},
            "cudaComputeCapability": {"version": "9.0.0"},
            "cudaDriverVersion": {"version": "12.8.0"},
            "driverVersion": {"version": "570.86.15"},
            "index": {"int": index},
            "numaNode": {"int": index // 24},
            "productName": {"string": "NVIDIA H100 80GB HBM3"},
            "resource.kubernetes.io/pciBusID": {"string": f"0000:{index:02x}:00.0"},
            "resource.kubernetes.io/pcieRoot": {"string": f"pci0000:{index // 6:02x}"},
            "type": {"string": "gpu"},
            "uuid": {"string": f"GPU-{rng.getrandbits(128):032x}"},
        },
        "capacity": {"memory": {"value": "81559Mi"}},
    }


def partitioned_slices(number: int, rng: random.Random) -> list[dict]:
    """The slices of a machine of 8 GPUs with 25 candidates of MIG each, and of its 8 NICs.

    In all 216 devices in 10 slices, of which the first has what the partitions draw on.
    """
    name = f"gpu-node-{number:05}"
    serials: dict[str, str] = {}

    def own(match: re.Match[str]) -> str:
        return serials.setdefault(match[0], f"GPU-{rng.getrandbits(128):032x}")

    text = _SERIAL.sub(own, _partitioned_text().replace(_PARTITIONED, name))
    slices = [*json.loads(text), _nics(name, rng)]
    for index, item in enumerate(slices):
        item["metadata"]["uid"] = f"{rng.getrandbits(128):032x}"
        item["metadata"]["resourceVersion"] = str(len(slices) * number + index + 1)
    return slices


@functools.cache
def _partitioned_text() -> str:
    items = json.loads(_DEMO.read_text())["items"]
    return json.dumps(
        [
            each
            for each in items
            if each["kind"] == "ResourceSlice" and each["spec"].get("nodeName") == _PARTITIONED
        ]
    )


def _nics(name: str, rng: random.Random) -> dict:
    return {
        "kind": "ResourceSlice",
        "apiVersion": "resource.k8s.io/v1",
        "metadata": {"name": f"{name}-dra.net-k4w8d"},
        "spec": {
            "driver": "dra.net",
            "nodeName": name,
            "pool": {"name": name, "generation": 1, "resourceSliceCount": 1},
            "devices": [nic(index, rng) for index in range(8)],
        },
    }


def nic(index: int, rng: random.Random) -> dict:
    return {
        "name": f"pci-0000-{index:02x}-00-0",
        "attributes": {
            "dra.net/ifName": {"string": f"rdma{index}"},
            "dra.net/ipv4": {"string": f"10.{index}.{rng.randrange(256)}.{rng.randrange(256)}/16"},
            "dra.net/mac": {"string": f"{rng.getrandbits(48):012x}"},
            "dra.net/numaNode": {"int": index // 4},
            "dra.net/pciAddress": {"string": f"0000:{index:02x}:00.0"},
            "dra.net/pciVendor": {"string": "Mellanox Technologies"},
            "dra.net/rdma": {"bool": True},
            "dra.net/state": {"string": "up"},
            "resource.kubernetes.io/pcieRoot": {"string": f"pci0000:{16 * index + 5:02x}"},
        },
    }
