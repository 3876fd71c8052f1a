"""Writes snapshot.json: a cluster of 24 nodes made of published machines, part occupied.

Run it from the repository's root: `PYTHONPATH=. python config/demo/generate.py`. The result depends
on nothing but this folder's scripts, the published manifests in tests/golden/dra and the table of
MIG profiles. What is published and what is not is said in SOURCES.md.
"""
# ruff: noqa: INP001  (a script; the folder ships as data)

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator

import hardware
from bodies import Body, Held, device_class, pod, request, template, with_claim
from hardware import AMD_GPUS, NICS, NVIDIA

RDMA = 'device.driver == "dra.net" && device.attributes["dra.net"].rdma == true'
EFA = (
    'device.driver == "dra.net" && '
    'device.attributes["dra.net"].pciDevice == "Elastic Fabric Adapter (EFA)"'
)
NVIDIA_TYPE = "device.driver == 'gpu.nvidia.com' && device.attributes['gpu.nvidia.com'].type == "
CLASSES = [
    device_class(NVIDIA, f"{NVIDIA_TYPE}'gpu'", "nvidia.com/gpu"),
    device_class("mig.nvidia.com", f"{NVIDIA_TYPE}'mig'"),
    device_class(AMD_GPUS, "device.driver == 'gpu.amd.com'"),
    device_class("efa.networking.k8s.aws", EFA),
    device_class("rdma.dranet", RDMA),
]
PROFILE = "device.attributes['gpu.nvidia.com'].profile == "

GPU_NIC = template("gpu-nic", request("gpu", NVIDIA), request("nic", "rdma.dranet"))
GPU = template("gpu", request("gpu", NVIDIA))
TWO_GPUS = template("two-gpus", request("gpu", NVIDIA, 2))
FOUR_GPUS = template("four-gpus", request("gpu", NVIDIA, 4))
FOUR_PAIRS = template(
    "four-gpus-four-nics", request("gpu", NVIDIA, 4), request("nic", "rdma.dranet", 4)
)
EFA_FREE = template("gpu-efa-unaligned", request("gpu", NVIDIA),
                    request("efa", "efa.networking.k8s.aws"))  # fmt: skip
EFA_ALIGNED = template("gpu-efa-aligned", request("gpu", NVIDIA),
                       request("efa", "efa.networking.k8s.aws"),
                       match="resource.kubernetes.io/pcieRoot")  # fmt: skip
MIG_SMALL = template("mig-1g-10gb", request("mig", "mig.nvidia.com", 1, f"{PROFILE}'1g.10gb'"))
MIG_HALF = template("mig-3g-40gb", request("mig", "mig.nvidia.com", 1, f"{PROFILE}'3g.40gb'"))
TWO_AMD = template("two-amd-gpus", request("gpu", AMD_GPUS, 2))
FOUR_AMD = template("four-amd-gpus", request("gpu", AMD_GPUS, 4))
TEMPLATES = [GPU_NIC, GPU, TWO_GPUS, FOUR_GPUS, FOUR_PAIRS, EFA_FREE, EFA_ALIGNED, MIG_SMALL,
             MIG_HALF, TWO_AMD, FOUR_AMD]  # fmt: skip


def gpus(*numbers: int) -> list[Held]:
    return [("gpu", NVIDIA, f"gpu-{number}") for number in numbers]


def nic(address: str) -> Held:
    return ("nic", NICS, f"pci-{address}")


def workloads() -> Iterator[Body]:
    """What runs: enough to make nodes of one kind differ."""
    # p4d-0 is empty: the first GPU and the first EFA share a root. On p4d-1 the first free GPU is
    # on another root of the same NUMA node, on p4d-2 on another NUMA node; on p4d-3 they share
    # one again; on p4d-4 no free pair does, whichever is chosen; p4d-5 is full.
    yield from with_claim(pod("serve-0", "p4d-1", cpu="12"), GPU, gpus(0))
    yield from with_claim(pod("serve-1", "p4d-1", cpu="12"), GPU, gpus(1))
    yield from with_claim(pod("tune-0", "p4d-2", cpu="48"), FOUR_GPUS, gpus(0, 1, 2, 3))
    pair = [*gpus(0), ("efa", NICS, "pci-0000-10-1b-0")]
    yield from with_claim(pod("rank-0", "p4d-3", cpu="12"), EFA_ALIGNED, pair)
    yield from with_claim(pod("serve-2", "p4d-3", cpu="12"), GPU, gpus(1))
    yield from with_claim(pod("tune-1", "p4d-4", cpu="36"), FOUR_GPUS, gpus(0, 1, 2, 3))
    for number, bus in enumerate(("20", "90", "a0")):
        efa = ("efa", NICS, f"pci-0000-{bus}-1b-0")
        if number < 2:
            held = [*gpus(4 + number), efa]
            yield from with_claim(pod(f"rank-{number + 1}", "p4d-4", cpu="12"), EFA_FREE, held)
        else:
            alone = template("efa", request("efa", "efa.networking.k8s.aws"))
            yield alone
            yield from with_claim(pod("relay-0", "p4d-4", cpu="4"), alone, [efa])
    for number in range(2):
        held = gpus(*range(number * 4, number * 4 + 4))
        yield from with_claim(pod(f"tune-{number + 2}", "p4d-5", cpu="40"), FOUR_GPUS, held)
    # gb300-1: the free GPUs have their NICs; on gb300-2 the first free NIC is across; gb300-3 is
    # full.
    for number in range(2):
        held = [*gpus(number), nic(f"010{number + 1}-00-00-0")]
        yield from with_claim(pod(f"train-a-{number}", "gb300-1", cpu="16"), GPU_NIC, held)
    yield from with_claim(pod("infer-0", "gb300-2", cpu="24"), TWO_GPUS, gpus(0, 1))
    held = gpus(0, 1, 2, 3) + [nic(f"010{number}-00-00-0") for number in range(1, 5)]
    yield from with_claim(pod("train-b-0", "gb300-3", cpu="96"), FOUR_PAIRS, held)
    # gb200-1: half is in use, across; gb200-2: one tray is full.
    yield from with_claim(pod("infer-1", "gb200-1", cpu="24"), TWO_GPUS, gpus(0, 1))
    ports = ("0000-03-00-0", "0000-03-00-1", "0002-03-00-0", "0002-03-00-1")
    held = gpus(0, 1, 2, 3) + [nic(port) for port in ports]
    yield from with_claim(pod("train-b-1", "gb200-2", cpu="96"), FOUR_PAIRS, held)
    yield from other_workloads()


def other_workloads() -> Iterator[Body]:
    def amd(*numbers: int) -> list[Held]:
        return [("gpu", AMD_GPUS, f"gpu-{n * 8}-{128 + n * 8}") for n in numbers]

    yield from with_claim(pod("rocm-0", "mi300x-1", cpu="48"), FOUR_AMD, amd(0, 1, 2, 3))
    yield from with_claim(pod("rocm-1", "mi300x-2", cpu="48"), FOUR_AMD, amd(0, 1, 2, 3))
    yield from with_claim(pod("rocm-2", "mi300x-2", cpu="24"), TWO_AMD, amd(4, 5))
    # h100-mig-0: small instances and a half on two GPUs; h100-mig-1: three GPUs in use as a whole.
    for number in range(3):
        small = [("mig", NVIDIA, f"gpu-0-mig-1g10gb-19-{number}")]
        yield from with_claim(pod(f"notebook-{number}", "h100-mig-0", cpu="8"), MIG_SMALL, small)
    half = [("mig", NVIDIA, "gpu-1-mig-3g40gb-9-0")]
    yield from with_claim(pod("infer-2", "h100-mig-0", cpu="16"), MIG_HALF, half)
    for number in range(3):
        body = pod(f"infer-{number + 3}", "h100-mig-1", cpu="24")
        yield from with_claim(body, GPU, gpus(number))
    known = pod("vision-0", "dgx-a100-1", cpu="32", nvidia_com__gpu="2", nvidia_com__hostdev="2")
    devices = "nvidia.com/gpu=0,1;nvidia.com/hostdev=0,1"
    known["metadata"]["annotations"] = {"railyard.dev/devices": devices}
    yield known
    yield pod("vision-1", "dgx-a100-1", cpu="16", nvidia_com__gpu="1")
    for number in range(5):
        yield pod(f"student-{number}", "dgx-a100-2", cpu="4", nvidia_com__gpu="1")
    yield pod("speech-0", "dgx-a100-3", cpu="8", **{"nvidia.com/mig-1g.10gb": "1"})
    yield pod("speech-1", "dgx-a100-3", cpu="16", nvidia_com__gpu="2")
    for number in range(4):
        yield pod(f"web-{number}", f"cpu-{number % 2}", cpu="6", memory="16Gi")


def pending() -> Iterator[Body]:
    """What waits: a pod for every way to ask."""
    yield from with_claim(pod("train-0", cpu="12", memory="64Gi"), GPU_NIC)
    yield from with_claim(pod("train-efa-0", cpu="12", memory="64Gi"), EFA_FREE)
    yield from with_claim(pod("train-efa-aligned-0", cpu="12", memory="64Gi"), EFA_ALIGNED)
    yield from with_claim(pod("notebook-9", cpu="4", memory="16Gi"), MIG_SMALL)
    yield from with_claim(pod("rocm-9", cpu="24", memory="128Gi"), TWO_AMD)
    yield pod("vision-9", cpu="32", memory="128Gi", nvidia_com__gpu="2", nvidia_com__hostdev="2")
    yield pod("speech-9", cpu="8", **{"nvidia.com/mig-3g.40gb": "1"})
    yield pod("web-9", cpu="2", memory="4Gi")


def snapshot() -> bytes:
    items = [*hardware.machines(), *CLASSES, *TEMPLATES, *workloads(), *pending()]
    lines = ",\n".join(json.dumps(item, separators=(",", ":")) for item in items)
    return f'{{"apiVersion":"v1","kind":"List","items":[\n{lines}\n]}}\n'.encode()


if __name__ == "__main__":
    (pathlib.Path(__file__).parent / "snapshot.json").write_bytes(snapshot())
