"""Where one device sits, from the attributes that its driver publishes.

Names of attributes differ by driver and release (each repository lists its own): the
bare ones belong to the driver's own domain.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from extender import bounded_cache
from extender.hardware import fabric, shape
from extender.kube.api import objects

Attributes: TypeAlias = Mapping[str, objects.DeviceAttribute]  # as published → value

_STANDARD = "resource.kubernetes.io"
_DRANET = "dra.net"

# The most telling first; `{}` is the driver's own domain.
_NUMA_NAMES = (
    f"{_STANDARD}/numaNode",
    f"{_DRANET}/numaNode",
    "dra.cpu/numaNodeID",
    "{}/numaNode",
    "{}/numaNodeID",
    "{}/numa",
)
_ROOT_NAMES = (f"{_STANDARD}/pcieRoot", "{}/pcieRoot", "{}/pciRoot")
_ADDRESS_NAMES = (
    f"{_STANDARD}/pciBusID",
    f"{_DRANET}/pciAddress",
    "{}/pciBusID",
    "{}/pcieBusID",
    "{}/pciAddress",
    "{}/pciAddr",
)
# DRANET before 1.0 published the address in four parts.
_ADDRESS_PARTS = ("Domain", "Bus", "Device", "Function")
_PRODUCT_NAMES = ("{}/productName", "{}/model", "{}/accelerator", "{}/instanceType")
_BRANDS = frozenset({"", "nvidia", "amd", "intel", "aws", "instinct", "tesla", "hgx", "dgx"})
_BODY_NAMES = ("parentUUID", "parentPciAddr", "uuid", "pciAddr")

_TELLING = (
    *(*_NUMA_NAMES, *_ROOT_NAMES, *_ADDRESS_NAMES, *_PRODUCT_NAMES),
    *(*fabric.RAIL_NAMES, *fabric.PARTITION_NAMES),
    *("{}/type", "{}/virtual", f"{_DRANET}/virtual"),
    *(f"{_DRANET}/pciAddress{part}" for part in _ADDRESS_PARTS),
)
# Identifiers (the part after the slash) of all attributes that say where a device sits or its kind.
TELLING = frozenset(name.rpartition("/")[2] for name in _TELLING)

_ROOT = re.compile(r"(?:pci)?(?P<domain>[0-9a-f]{4,8}):(?P<bus>[0-9a-f]{2})")
_ADDRESS = re.compile(
    r"(?P<domain>[0-9a-f]{4,8}):(?P<bus>[0-9a-f]{2}):(?P<device>[0-9a-f]{2})\.(?P<function>[0-7])"
)


class PciAddress(NamedTuple):
    """A PCI address."""

    domain: int
    bus: int
    device: int
    function: int


@dataclasses.dataclass(frozen=True, slots=True)
class DeviceFacts:
    """Where one device sits, as far as it is published.

    `numa` has its own NUMA node first, then nodes of the same socket (KEP-6072). `roots` has more
    than one member only for CPUs. `body` is equal for parts of one physical device.
    `rail` and `partitions` are what `fabric` reads.
    """

    kind: shape.Kind = shape.Kind.OTHER
    product: str = ""
    numa: tuple[int, ...] = ()
    roots: tuple[str, ...] = ()
    address: PciAddress | None = None
    body: str | PciAddress = ""
    rail: str = ""
    partitions: fabric.Partitions = ()


def device_facts(driver: str, device: objects.Device) -> DeviceFacts:
    """Where this device sits; `device` with its real, published values.

    Machines of one model publish the same attributes under different serial numbers, so all but
    `body` is worked out once for each set of values.
    """
    attributes = device.attributes or {}
    values = tuple([attributes.get(name) for name in _telling(driver)])
    facts = _without_body(driver, values, bool(_PART_NAME.search(device.name)))
    found = (attributes[name].string for name in body_names(driver) if name in attributes)
    body = next(filter(None, found), facts.address)
    return facts if body is None else dataclasses.replace(facts, body=body)


@bounded_cache.remembered("body-attributes", 256)
def body_names(driver: str) -> tuple[str, ...]:
    """The attributes whose text tells physical devices apart, as they may be published.

    The first that is there counts.
    """
    return tuple(each for name in _BODY_NAMES for each in (name, f"{driver}/{name}"))


@bounded_cache.remembered("telling-attributes", 256)
def _telling(driver: str) -> tuple[str, ...]:
    """The attributes that may say where a driver's devices sit, or of what kind they are."""
    names = tuple(_names(_TELLING, driver))
    bare = [name.removeprefix(f"{driver}/") for name in names]
    return tuple(dict.fromkeys((*names, *bare)))


@bounded_cache.remembered("device-facts", 16_384)
def _without_body(
    driver: str, values: tuple[objects.DeviceAttribute | None, ...], part: bool
) -> DeviceFacts:
    """The facts without `body`, from the values of `_telling`."""
    names = _telling(driver)
    attributes = {
        name: value for name, value in zip(names, values, strict=True) if value is not None
    }
    texts = dict(_texts(driver, attributes))
    product = next((texts[name] for name in _names(_PRODUCT_NAMES, driver) if name in texts), "")
    return DeviceFacts(
        kind=kind_of(driver, attributes, "-partition-" if part else ""),
        product=product,
        numa=_numa(driver, attributes),
        roots=_roots(driver, attributes),
        address=_address(driver, attributes),
        rail=fabric.rail(list(_found(fabric.RAIL_NAMES, driver, attributes))),
        partitions=fabric.partitions(
            {name.rpartition("/")[2]: value for name, value in attributes.items()}
        ),
    )


def plain_value(product: str) -> str:
    """A product's name without what the sources disagree on: vendor, brand, case, spaces, dashes.

    "NVIDIA A100-SXM4-40GB" (driver), "NVIDIA-A100-SXM4-40GB" (label), "AMD_Instinct_MI300X_OAM".
    """
    words = re.split(r"[\s_/-]+", product.lower())
    return "-".join(word for word in words if word not in _BRANDS)


def kind_of(driver: str, attributes: Attributes, name: str) -> shape.Kind:
    """What a device is for, by its driver and, within a driver, by its type.

    A driver we do not know is judged by the words of its first label: gpu.example.com has GPUs,
    and so has hami-core-gpu.project-hami.io.
    """
    texts = dict(_texts(driver, attributes))
    if driver in _OTHERS:
        return shape.Kind.OTHER
    if driver in _NETWORKS or driver.partition(".")[0] in _NETWORK_LABELS:
        virtual = attributes.get(f"{_DRANET}/virtual") or attributes.get("virtual")
        return shape.Kind.OTHER if virtual is not None and virtual.bool_ else shape.Kind.NIC
    if not _ACCELERATOR_LABELS.isdisjoint(driver.partition(".")[0].split("-")):
        kind = texts.get(f"{driver}/type", "")
        if kind in _PART_TYPES or (not kind and _PART_NAME.search(name)):
            return shape.Kind.PARTITION
        return shape.Kind.GPU
    return shape.Kind.OTHER


_NETWORKS = {_DRANET, "sriovnetwork.k8snetworkplumbingwg.io"}
_NETWORK_LABELS = {"nic", "net", "rdma", "sriov", "sriovnetwork", "roce", "ib"}
_ACCELERATOR_LABELS = {"gpu", "gaudi", "tpu", "npu", "mig", "neuron", "xpu", "mlu", "dcu", "gcu"}
_OTHERS = {"compute-domain.nvidia.com"}
_PART_TYPES = {"mig", "amdgpu-partition", "vf"}
_PART_NAME = re.compile(r"-(?:mig|partition)-")


# ---------------------------------------------------------------- attributes


def _texts(driver: str, attributes: Attributes) -> Iterator[tuple[str, str]]:
    for name, value in attributes.items():
        if value.string is not None:
            yield name if "/" in name else f"{driver}/{name}", value.string


def _names(patterns: Sequence[str], driver: str) -> Iterator[str]:
    for pattern in patterns:
        yield pattern.format(driver)


def _found(
    patterns: Sequence[str], driver: str, attributes: Attributes
) -> Iterator[objects.DeviceAttribute]:
    for name in _names(patterns, driver):
        value = attributes.get(name)
        if value is None and name.startswith(f"{driver}/"):
            value = attributes.get(name.removeprefix(f"{driver}/"))
        if value is not None:
            yield value


def _numa(driver: str, attributes: Attributes) -> tuple[int, ...]:
    for value in _found(_NUMA_NAMES, driver, attributes):
        numbers = value.ints if value.int_ is None else (value.int_,)
        if numbers and numbers[0] >= 0:  # the kernel's -1 is "unknown"
            return tuple(number for number in numbers if number >= 0)
    return ()


def _roots(driver: str, attributes: Attributes) -> tuple[str, ...]:
    for value in _found(_ROOT_NAMES, driver, attributes):
        names = value.strings if value.string is None else (value.string,)
        matches = [_ROOT.fullmatch(name.lower()) for name in names or ()]
        roots = tuple(f"pci{match['domain']}:{match['bus']}" for match in matches if match)
        if roots:
            return roots
    return ()


def _address(driver: str, attributes: Attributes) -> PciAddress | None:
    texts = [value.string or "" for value in _found(_ADDRESS_NAMES, driver, attributes)]
    parts = [attributes.get(f"{_DRANET}/pciAddress{part}") for part in _ADDRESS_PARTS]
    if all(part is not None for part in parts):
        domain, bus, device, function = (part.string or "" for part in parts if part is not None)
        texts.append(f"{domain}:{bus}:{device}.{function}")
    for text in texts:
        match = _ADDRESS.fullmatch(text.lower())
        if match:
            return PciAddress(*(int(match[name], 16) for name in PciAddress._fields))
    return None
