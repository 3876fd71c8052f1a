"""Snapshots: what `kubectl get … -A -o yaml|json` prints, read as typed objects, and written.

Nothing is silently dropped: kinds that we do not read are counted, every object that cannot be
read is a problem with its file, line and reason.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from extender import errors
from extender.kube import objects, quantity, upgrading
from extender.replay import documents

_SUFFIXES = (".yaml", ".yml", ".json", ".yaml.gz", ".yml.gz", ".json.gz")
_NAMESPACED = {"Pod", "ResourceClaim", "ResourceClaimTemplate", "ConfigMap"}
_RESOURCE = "resource.k8s.io"

# kind → the API versions whose form `objects` can hold, the newest first (v1alpha3 and
# v1beta1 put a device's fields under `basic`; earlier versions are another API of the same name)
_VERSIONS: dict[str, tuple[str, ...]] = {
    "Node": ("v1",),
    "Pod": ("v1",),
    "ConfigMap": ("v1",),
    **dict.fromkeys(
        (
            "ResourceSlice",
            "ResourceClaim",
            "ResourceClaimTemplate",
            "DeviceClass",
            "DeviceTaintRule",
        ),
        tuple(f"{_RESOURCE}/{version}" for version in ("v1", "v1beta2", "v1beta1", "v1alpha3")),
    ),
    "NodeResourceTopology": (
        "topology.node.k8s.io/v1alpha2",
        "topology.node.k8s.io/v1alpha1",
    ),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """The objects of a cluster, in order of appearance and in the form of resource.k8s.io/v1.

    `ignored` counts by kind what is not read ("Deployment"), with the version where only that is
    strange ("ResourceClaim (resource.k8s.io/v1alpha2)"). `duplicates` counts objects that came
    again under the same name: the last one wins.
    """

    objects: list[tuple[str, objects.Object]]
    ignored: collections.Counter[str]
    duplicates: int = 0
    files: int = 0


def read(paths: Sequence[pathlib.Path]) -> Snapshot:
    """The snapshot in these files and folders; SnapshotError names every broken document."""
    snapshot, problems = scan(paths)
    if problems:
        raise errors.SnapshotError("the snapshot cannot be read:", problems)
    return snapshot


def scan(paths: Sequence[pathlib.Path]) -> tuple[Snapshot, list[documents.Problem]]:
    """What can be read of these files and folders, and what is wrong with the rest.

    Folders are searched through for .yaml, .yml and .json (also .gz); hidden files are left out.
    """
    problems: list[documents.Problem] = []
    ignored: collections.Counter[str] = collections.Counter()
    found: dict[tuple[str, str, str], objects.Object] = {}  # (kind, namespace, name) → object
    files = read_objects = 0
    for path in _files(paths, problems):
        files += 1
        for document in documents.read(path, problems):
            if not document.kind or not document.api_version:
                missing = "apiVersion" if document.kind else "kind"
                problems.append((document.place, f"has no {missing}"))
                continue
            if document.api_version not in _VERSIONS.get(document.kind, ()):
                ignored[_unread(document)] += 1
                continue
            value = _typed(document, problems)
            if value is not None:
                read_objects += 1
                found[_key(document.kind, value, read_objects)] = value
    listed = [(kind, value) for (kind, _, _), value in found.items()]
    return Snapshot(listed, ignored, read_objects - len(found), files), problems


def write(path: pathlib.Path, values: Iterable[tuple[str, objects.Object]]) -> None:
    """Write the objects as one JSON List, one object a line; `read` gives the same ones back."""
    lines = []
    for kind, value in values:
        body = msgspec.to_builtins(value)
        lines.append(msgspec.json.encode({"apiVersion": _VERSIONS[kind][0], "kind": kind} | body))
    path.write_bytes(
        b'{"apiVersion":"v1","kind":"List","items":[\n' + b",\n".join(lines) + b"\n]}\n"
    )


def _files(
    paths: Sequence[pathlib.Path], problems: list[documents.Problem]
) -> Iterator[pathlib.Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        inside = [
            file
            for file in sorted(path.rglob("*"))
            if file.name.endswith(_SUFFIXES)
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
            and file.is_file()
        ]
        if not inside:
            problems.append((str(path), f"holds no file ending in {', '.join(_SUFFIXES)}"))
        yield from inside


def _unread(document: documents.Document) -> str:
    if document.kind not in _VERSIONS:
        return document.kind
    return f"{document.kind} ({document.api_version})"


def _typed(
    document: documents.Document, problems: list[documents.Problem]
) -> objects.Object | None:
    """The object, or None and a problem."""
    wanted = objects.KINDS[document.kind]
    try:
        value = upgrading.to_v1(_decoded(document.body, wanted))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        problems.append((document.place, f"{_named(document)}: {error}"))
        return None
    metadata = value.metadata
    if not metadata.name and not metadata.generate_name:
        problems.append((document.place, f"{document.kind} has no name"))
        return None
    wrong = [f"{where}: {what}" for where, what in _malformed(value)]
    if wrong:
        problems.append((document.place, f"{_named(document)}: {'; '.join(wrong)}"))
        return None
    if document.kind in _NAMESPACED and not metadata.namespace:
        metadata = msgspec.structs.replace(metadata, namespace="default")  # as kubectl does
        value = msgspec.structs.replace(value, metadata=metadata)
    return value


def _decoded(body: documents.Body, wanted: type[objects.Object]) -> objects.Object:
    """Strictly where that works; else as the API server reads it: null is absent."""
    if isinstance(body, msgspec.Raw):
        try:
            return msgspec.json.decode(body, type=wanted)
        except msgspec.ValidationError:
            body = msgspec.json.decode(body)
    return msgspec.convert(_without_nulls(body), wanted, strict=False)


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_without_nulls(part) for part in value]
    return value


def _key(kind: str, value: objects.Object, number: int) -> tuple[str, str, str]:
    metadata = value.metadata
    # Objects with only a generateName are all different; no name can hold a slash.
    name = metadata.name or f"{metadata.generate_name}/{number}"
    return kind, metadata.namespace, name


def _named(document: documents.Document) -> str:
    """Kind and name for a message, from a body that may be anything."""
    body: Any = document.body
    if isinstance(body, msgspec.Raw):
        body = msgspec.json.decode(body)
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"{document.kind} {name}" if name else document.kind


# ---------------------------------------------------------------- quantities


def _malformed(value: objects.Object) -> Iterator[tuple[str, str]]:
    for where, amount in _quantities(value):
        try:
            quantity.nano(amount)
        except ValueError as error:
            yield where, str(error)


def _quantities(value: objects.Object) -> Iterator[tuple[str, objects.Quantity]]:
    """Every quantity in the object that we compute with, and where it stands."""
    if isinstance(value, objects.Node):
        yield from _each("status.allocatable", value.status.allocatable)
        yield from _each("status.capacity", value.status.capacity)
    elif isinstance(value, objects.Pod):
        yield from _pod_quantities(value.spec)
    elif isinstance(value, objects.ResourceSlice):
        yield from _slice_quantities(value.spec)
    elif isinstance(value, objects.ResourceClaim):
        yield from _claim_quantities(value.spec)
        allocation = value.status.allocation
        for result in (allocation.devices.results or ()) if allocation else ():
            where = f"status.allocation of {result.device}"
            yield from _each(where, result.consumed_capacity)
    elif isinstance(value, objects.ResourceClaimTemplate):
        yield from _claim_quantities(value.spec.spec)
    elif isinstance(value, objects.NodeResourceTopology):
        for zone in value.zones or ():
            for resource in zone.resources or ():
                where = f"zone {zone.name}, {resource.name}"
                yield where, resource.capacity
                yield where, resource.allocatable
                yield where, resource.available


def _each(where: str, amounts: objects.Quantities | None) -> Iterator[tuple[str, objects.Quantity]]:
    for name, amount in (amounts or {}).items():
        yield f"{where}[{name}]", amount


def _pod_quantities(spec: objects.PodSpec) -> Iterator[tuple[str, objects.Quantity]]:
    for container in (*(spec.init_containers or ()), *(spec.containers or ())):
        where = f"container {container.name}"
        yield from _each(f"{where}, requests", container.resources.requests)
        yield from _each(f"{where}, limits", container.resources.limits)
    if spec.resources is not None:
        yield from _each("spec.resources.requests", spec.resources.requests)
        yield from _each("spec.resources.limits", spec.resources.limits)
    yield from _each("spec.overhead", spec.overhead)


def _slice_quantities(
    spec: objects.ResourceSliceSpec,
) -> Iterator[tuple[str, objects.Quantity]]:
    for counter_set in spec.shared_counters or ():
        for name, counter in (counter_set.counters or {}).items():
            yield f"counter set {counter_set.name}[{name}]", counter.value
    for device in spec.devices or ():
        where = f"device {device.name}"
        for name, capacity in (device.capacity or {}).items():
            if isinstance(capacity, objects.DeviceCapacity):
                yield f"{where}[{name}]", capacity.value
                yield from _policy_quantities(f"{where}[{name}]", capacity.request_policy)
            else:
                yield f"{where}[{name}]", capacity
        for drawn in device.consumes_counters or ():
            for name, counter in (drawn.counters or {}).items():
                yield f"{where}, counter set {drawn.counter_set}[{name}]", counter.value


def _policy_quantities(
    where: str, policy: objects.CapacityRequestPolicy | None
) -> Iterator[tuple[str, objects.Quantity]]:
    if policy is None:
        return
    limits = policy.valid_range or objects.CapacityRequestPolicyRange()
    amounts = (policy.default, *(policy.valid_values or ()), limits.min, limits.max, limits.step)
    for amount in amounts:
        if amount is not None:
            yield f"{where}, requestPolicy", amount


def _claim_quantities(
    spec: objects.ResourceClaimSpec,
) -> Iterator[tuple[str, objects.Quantity]]:
    for request in spec.devices.requests or ():
        for part in (request.exactly, *(request.first_available or ())):
            if part is not None and part.capacity is not None:
                yield from _each(f"request {request.name}", part.capacity.requests)
