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
from extender.kube.api import amounts, conversion, decoding, objects
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
        value = conversion.convert_to_v1(_decoded(document.body, wanted))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        problems.append((document.place, f"{_named(document)}: {error}"))
        return None
    metadata = value.metadata
    if not metadata.name and not metadata.generate_name:
        problems.append((document.place, f"{document.kind} has no name"))
        return None
    if wrong := amounts.malformed(value):
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
    return msgspec.convert(decoding.without_nulls(body), wanted, strict=False)


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
