"""What a node's labels say of its accelerators: which product, how many, cut and shared how.

Every label has somebody who writes it: GPU feature discovery, AMD's and Intel's labellers, clouds,
Karpenter. None of them is on every node, so each is taken for what it says, and the catalogue's
instance types stand in where they are silent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from extender import bounded_cache
from extender.hardware import mig_profiles
from extender.hardware.catalogue import platforms

_SHARED = "-SHARED"
_MIG = "-MIG-"
_GFD_PRODUCT = "nvidia.com/gpu.product"
# The labels that name a product, the most exact first.
_PRODUCTS = (
    _GFD_PRODUCT,
    "amd.com/gpu.product-name",
    "amd.com/gpu.product",
    "beta.amd.com/gpu.product-name",
    "habana.ai/product",
    "gpu.intel.com/product",
)
_GKE_ACCELERATOR = "cloud.google.com/gke-accelerator"
_GFD_MEMORY = "nvidia.com/gpu.memory"  # MiB
_MEBIBYTES = 1024
_REPLICAS = "nvidia.com/gpu.replicas"
_MIG_STRATEGY = "nvidia.com/mig.strategy"
_GKE_CLIENTS = "cloud.google.com/gke-max-shared-clients-per-gpu"
_GKE_PARTITION = "cloud.google.com/gke-gpu-partition-size"
_AMD_PARTITIONS = tuple(
    f"{prefix}amd.com/{middle}compute-memory-partition"
    for prefix in ("", "beta.")
    for middle in ("", "gpu.")
)
# vendor's domain → labels with the number of its accelerators on the node
_COUNTS: Mapping[str, tuple[str, ...]] = {
    "nvidia.com": (
        "nvidia.com/gpu.count",
        "hami.io/node-nvidia-register",
        "volcano.sh/node-vgpu-register",
        "karpenter.k8s.aws/instance-gpu-count",
    ),
    "amd.com": ("hami.io/node-amd-register", "karpenter.k8s.aws/instance-gpu-count"),
    "habana.ai": ("habana.ai/hpu.count", "karpenter.k8s.aws/instance-accelerator-count"),
    "aws.com": ("karpenter.k8s.aws/instance-accelerator-count",),
    "google.com": ("cloud.google.com/gke-accelerator-count",),
}
_GFD_COUNT = "nvidia.com/gpu.count"
# Annotations in which sharing layers list a node's devices.
# Source: Project-HAMi/HAMi pkg/device; volcano-sh/devices.
REGISTERS = (
    "hami.io/node-nvidia-register",
    "hami.io/node-amd-register",
    "volcano.sh/node-vgpu-register",
)
_NONE: Mapping[str, str] = {}
_INTEL_COUNT = re.compile(r"gpu\.intel\.com/device-id\.[0-9a-f]{4}-(?P<device>[0-9a-f]{4})\.count")
_AMD_ID = re.compile(
    r"(?:beta\.)?amd\.com/gpu\.device-id(?:\.(?P<device>(?:0[xX])?[0-9a-fA-F]{4}))?"
)
_NFD_ID = re.compile(
    r"feature\.node\.kubernetes\.io/pci-(?:[0-9a-f]{4}_)?(?P<vendor>10de|1002)_(?P<device>[0-9a-f]{4})"
    r"(?:[._].*)?\.present"
)
_MIG_REPLICAS = re.compile(r"nvidia\.com/mig-.+\.replicas")

_EXACT = frozenset(
    (
        *(*_PRODUCTS, _GKE_ACCELERATOR, *_AMD_PARTITIONS, *platforms.LABELS),
        *(label for labels in _COUNTS.values() for label in labels),
        *(_GFD_MEMORY, _REPLICAS, _MIG_STRATEGY, _GKE_CLIENTS, _GKE_PARTITION),
    )
)
_PATTERNS = (_INTEL_COUNT, _AMD_ID, _NFD_ID, _MIG_REPLICAS)
_MOST_DIGITS = 6  # of a number that a label may hold


@bounded_cache.remembered("labels", 16_384)
def _is_read(label: str) -> bool:
    return label in _EXACT or any(pattern.fullmatch(label) for pattern in _PATTERNS)


def accelerator_tags(
    labels: Mapping[str, str], annotations: Mapping[str, str] = _NONE
) -> tuple[tuple[str, str], ...]:
    """What tells something of accelerators, sorted: equal machines have equal ones.

    Of the annotations of sharing layers only how many devices they list.
    """
    found = [(name, labels[name]) for name in labels if _is_read(name)]
    found += [(n, str(_registered(annotations[n]))) for n in REGISTERS if n in annotations]
    return tuple(sorted(found))


def _registered(text: str) -> int:
    """How many devices a sharing layer lists: a JSON list, or the older form that ends each in ":".

    0 where it is neither.
    """
    if not text.startswith("["):
        return text.count(":") if text.count(",") >= text.count(":") else 0
    try:
        listed = msgspec.json.decode(text, type=list[dict[str, object]])
    except msgspec.DecodeError:
        return 0
    return len(listed)


def products(labels: Mapping[str, str]) -> Iterator[str]:
    """The names under which the product may be known, the most exact first."""
    memory = number(labels.get(_GFD_MEMORY, ""))
    for label in _PRODUCTS:
        if label in labels:
            name = plain_product(labels[label])
            yield name
            if memory and label == _GFD_PRODUCT:
                yield f"{name}-{round(memory / _MEBIBYTES)}GB"
    yield from device_ids(labels)
    if _GKE_ACCELERATOR in labels:
        yield f"gke:{labels[_GKE_ACCELERATOR]}"


def product(labels: Mapping[str, str]) -> str:
    """The product as the vendor's own labeller names it, empty where none does."""
    return next((plain_product(labels[label]) for label in _PRODUCTS if label in labels), "")


def plain_product(text: str) -> str:
    """A product's name without what GPU feature discovery adds for sharing and partitions."""
    return text.removesuffix(_SHARED).partition(_MIG)[0]


def device_ids(labels: Mapping[str, str]) -> Iterator[str]:
    """PCI ids of the accelerators, as "vendor:device"."""
    for label, value in labels.items():
        amd = _AMD_ID.fullmatch(label)
        if amd:
            yield f"1002:{(amd['device'] or value).lower().removeprefix('0x')}"
        nfd = _NFD_ID.fullmatch(label)
        if nfd:
            yield f"{nfd['vendor']}:{nfd['device']}"


def count(labels: Mapping[str, str], vendor: str) -> int:
    """How many physical accelerators of the vendor the node has; 0 where no label tells."""
    if vendor == "intel.com":
        return sum(number(v) for k, v in labels.items() if _INTEL_COUNT.fullmatch(k))
    single = mig_profile(labels) != ""
    for label in _COUNTS.get(vendor, ()):
        # With the strategy "single" GPU feature discovery counts MIG devices.
        if not (single and label == _GFD_COUNT) and number(labels.get(label, "")):
            return number(labels[label])
    return 0


def registered(labels: Mapping[str, str], vendor: str) -> int:
    """How many accelerators of the vendor a sharing layer lists on the node; 0 where none does."""
    listed = [label for label in _COUNTS.get(vendor, ()) if label in REGISTERS]
    return max((number(labels.get(label, "")) for label in listed), default=0)


def mig_profile(labels: Mapping[str, str]) -> str:
    """The MIG profile that every unit of nvidia.com/gpu is, empty where they are whole GPUs."""
    gke = labels.get(_GKE_PARTITION, "")
    suffix = labels.get(_GFD_PRODUCT, "").removesuffix(_SHARED).partition(_MIG)[2]
    strategy = labels.get(_MIG_STRATEGY, "single")
    found = gke or (suffix if strategy == "single" else "")
    return mig_profiles.canonical(found) if mig_profiles.is_profile(found) else ""


def replicas(labels: Mapping[str, str], resource: str) -> int:
    """How many units of a resource share one device, as labels say; 1 where none does."""
    short = resource.removesuffix(".shared")
    own = number(labels.get(f"{short}.replicas", ""))
    if short == "nvidia.com/gpu":
        return max(own, number(labels.get(_GKE_CLIENTS, "")), 1)
    return max(own, 1)


def amd_partition(labels: Mapping[str, str]) -> str:
    """How AMD's GPUs are cut, all of them alike ("cpx_nps4"); empty where no label tells."""
    return next((labels[label].lower() for label in _AMD_PARTITIONS if label in labels), "")


def number(text: str) -> int:
    """A label's number; 0 where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < _MOST_DIGITS else 0
