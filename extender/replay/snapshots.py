"""Snapshots: what `kubectl get … -A -o yaml|json` prints, read as typed objects, and written.

Nothing is silently dropped: kinds that we do not read are counted, documents that are no API
objects are named, every object that cannot be read is a problem with its file, line and reason.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from extender import errors
from extender.kube.api import (
    condensed_devices,
    conversion,
    null_values,
    objects,
    quantity_fields,
)
from extender.replay import documents, files

_NAMESPACED = {"Pod", "ResourceClaim", "ResourceClaimTemplate", "ConfigMap"}
_RESOURCE = "resource.k8s.io"
_OWN = "railyard.dev/"

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
    again under the same name: the newest wins, by resourceVersion, or else the last. `problems`
    are what is broken, `skipped` what is no API object, each as (location, why).
    """

    objects: list[tuple[str, objects.Object]]
    ignored: collections.Counter[str]
    duplicates: int = 0
    files: int = 0
    problems: tuple[documents.Problem, ...] = ()
    skipped: tuple[documents.Problem, ...] = ()


def read(
    paths: Sequence[pathlib.Path], *, strict: bool = True, what: str = "the snapshot"
) -> Snapshot:
    """The snapshot in these files and folders, "-" being standard input.

    `what`: how errors call it. SnapshotError names every broken document; if not `strict`, it is
    raised only where a path is wrong, or not one object could be read.
    """
    report = documents.ReadingReport()
    snapshot = _read(paths, report)
    broken = [*report.missing, *report.problems]
    nothing = not snapshot.objects and not snapshot.ignored
    if report.missing or (broken and (strict or nothing)):
        raise errors.SnapshotError(
            f"{what} cannot be read:", broken if not nothing else [*broken, *report.skipped]
        )
    if nothing and paths:
        empty = [(str(path), "holds no objects") for path in paths]
        raise errors.SnapshotError(f"{what} holds no objects:", report.skipped or empty)
    return snapshot


def scan(paths: Sequence[pathlib.Path]) -> tuple[Snapshot, list[documents.Problem]]:
    """What can be read of these files and folders, and what is wrong with the rest.

    Folders are searched through for the suffixes in `files`; hidden files are left out.
    """
    report = documents.ReadingReport()
    snapshot = _read(paths, report)
    return snapshot, [*report.problems, *report.missing]


def _read(paths: Sequence[pathlib.Path], report: documents.ReadingReport) -> Snapshot:
    ignored: collections.Counter[str] = collections.Counter()
    found: dict[tuple[str, str, str], objects.Object] = {}  # (kind, namespace, name) → object
    read_files = read_objects = duplicates = 0
    for path in files.find(paths, report.missing):
        read_files += 1
        for document in documents.read(path, report):
            if not document.api_version:
                of_ours = document.kind in _VERSIONS
                missing = (document.location, f"{document.kind} has no apiVersion")
                (report.problems if of_ours else report.skipped).append(missing)
                continue
            if document.api_version.startswith(_OWN):
                continue  # a policy that lies beside the cluster, as in a dump: not an object of it
            if document.api_version not in _VERSIONS.get(document.kind, ()):
                ignored[_unread(document)] += 1
                continue
            value = _typed(document, report.problems)
            if value is None:
                continue
            read_objects += 1
            key = _key(document.kind, value, read_objects)
            if document.deleted:
                found.pop(key, None)
                continue
            duplicates += key in found
            if key not in found or not _older(value, found[key]):
                found[key] = value
    listed = [(kind, value) for (kind, _, _), value in found.items()]
    problems, skipped = tuple(report.problems), tuple(report.skipped)
    return Snapshot(listed, ignored, duplicates, read_files, problems, skipped)


def _older(value: objects.Object, known: objects.Object) -> bool:
    """Whether both say which version of the object they are, and this is the earlier one."""
    mine, its = value.metadata.resource_version, known.metadata.resource_version
    return mine.isdecimal() and its.isdecimal() and int(mine) < int(its)


def write(path: pathlib.Path, values: Iterable[tuple[str, objects.Object]]) -> None:
    """Write the objects as one JSON List, one object a line; `read` gives the same ones back."""
    lines = []
    for kind, value in values:
        body = condensed_devices.to_builtins(value)
        lines.append(msgspec.json.encode({"apiVersion": _VERSIONS[kind][0], "kind": kind} | body))
    path.write_bytes(
        b'{"apiVersion":"v1","kind":"List","items":[\n' + b",\n".join(lines) + b"\n]}\n"
    )


def _unread(document: documents.WrittenObject) -> str:
    if document.kind not in _VERSIONS:
        return document.kind
    return f"{document.kind} ({document.api_version})"


def _typed(
    document: documents.WrittenObject, problems: list[documents.Problem]
) -> objects.Object | None:
    """The object, or None and a problem."""
    wanted = objects.KINDS[document.kind]
    try:
        value = conversion.convert_to_v1(decoded(document.body, wanted))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        problems.append((document.location, f"{_named(document)}: {error}"))
        return None
    metadata = value.metadata
    if not metadata.name and not metadata.generate_name:
        problems.append((document.location, f"{document.kind} has no name"))
        return None
    if wrong := quantity_fields.malformed(value):
        problems.append((document.location, f"{_named(document)}: {'; '.join(wrong)}"))
        return None
    if document.kind in _NAMESPACED and not metadata.namespace:
        metadata = msgspec.structs.replace(metadata, namespace="default")  # as kubectl does
        value = msgspec.structs.replace(value, metadata=metadata)
    return value


def decoded(body: documents.Body, wanted: type[objects.Object]) -> objects.Object:
    """Strictly where that works; else as the API server reads it: null is absent."""
    if isinstance(body, msgspec.Raw):
        try:
            return msgspec.json.decode(body, type=wanted)
        except msgspec.ValidationError:
            body = msgspec.json.decode(body)
    return null_values.convert(body, wanted, strict=False)


def _key(kind: str, value: objects.Object, number: int) -> tuple[str, str, str]:
    metadata = value.metadata
    # Objects with only a generateName are all different; no name can hold a slash.
    name = metadata.name or f"{metadata.generate_name}/{number}"
    return kind, metadata.namespace, name


def _named(document: documents.WrittenObject) -> str:
    """Kind and name for a message, from a body that may be anything."""
    body: Any = document.body
    if isinstance(body, msgspec.Raw):
        body = msgspec.json.decode(body)
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"{document.kind} {name}" if name else document.kind
