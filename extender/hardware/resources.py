"""Extended resources of device plug-ins: which names are GPUs, parts of GPUs, or NICs.

There is no registry of such names: these are the ones that vendors' plug-ins and the SR-IOV
operators publish. A name that we do not know is somebody else's business, and passes.
"""

from __future__ import annotations

import functools
import re

from extender.hardware import partition, shape

# SR-IOV operators and their like let everybody choose: openshift.io/mlx5_ib, mellanox.com/cx7_vf,
# intel.com/intel_sriov_netdevice, nvidia.com/hostdev, example.com/hca. Not so the virtual
# functions of accelerators for cryptography and storage, nor the addresses that GKE counts.
_NIC_WORDS = r"(sriov|vfs?|rdma|roce|ib|hca|nics?|netdevice)\d*"
_NIC_NAMES = (
    r"(?!.*(qat|sgx|fpga|dsa|nvme))(?!.*\.ip$)"
    rf"[^/]+/(hostdev|mlnxnics|(.*[-_.])?{_NIC_WORDS}([-_.].*)?|(mlnx|mlx|cx|connectx)[-_]?\d.*)"
)

# pattern over the whole name, in lower case → kind; the first that matches
_RESOURCES: tuple[tuple[str, shape.Kind], ...] = (
    (r"nvidia\.com/gpu(\.shared)?", shape.Kind.GPU),
    (r"nvidia\.com/mig-.*", shape.Kind.PARTITION),
    (r"amd\.com/gpu", shape.Kind.GPU),
    (r"amd\.com/[sdqct]px_nps\d", shape.Kind.PARTITION),
    (r"gpu\.intel\.com/(i915|xe)", shape.Kind.GPU),
    (r"habana\.ai/gaudi", shape.Kind.GPU),
    (r"google\.com/tpu", shape.Kind.GPU),
    (r"aws\.amazon\.com/neuron(device)?", shape.Kind.GPU),
    (r"aws\.amazon\.com/neuroncore", shape.Kind.PARTITION),
    (r"huawei\.com/ascend[^/]*", shape.Kind.GPU),
    (r"vpc\.amazonaws\.com/efa", shape.Kind.NIC),
    (r"aliyun/erdma", shape.Kind.NIC),
    (r"rdma/.+", shape.Kind.NIC),
    (_NIC_NAMES, shape.Kind.NIC),
)
_PATTERNS = tuple((re.compile(pattern), kind) for pattern, kind in _RESOURCES)


# Of these one unit is one NIC. A unit of a shared one is a ticket for all NICs of the node, and
# virtual functions are of any: as many as there are NICs are not the NICs.
# Source: aws/eks efa plug-in; Mellanox/network-operator (host device network), k8s-rdma-shared-dev-
# plugin (rdmaHcaMax).
_WHOLE_NIC = re.compile(r"vpc\.amazonaws\.com/efa|nvidia\.com/hostdev([-_].*)?")


@functools.lru_cache(maxsize=4096)
def kind_of(name: str) -> shape.Kind | None:
    """What a resource's units are; None for resources that do not concern us."""
    if "/" not in name:
        return None
    lowered = name.lower()
    return next((kind for pattern, kind in _PATTERNS if pattern.fullmatch(lowered)), None)


def is_device_resource(name: str) -> bool:
    """Whether the resource's units are GPUs, parts of GPUs, or NICs."""
    return kind_of(name) is not None


def is_whole_nic(name: str) -> bool:
    """Whether a unit of the resource is one NIC that nobody shares."""
    return _WHOLE_NIC.fullmatch(name.lower()) is not None


def mig_profile(name: str) -> str | None:
    """The MIG profile of a resource ("1g.5gb+me" of nvidia.com/mig-1g.5gb.me); None if none."""
    return partition.canonical(name) if partition.is_profile(name) else None
