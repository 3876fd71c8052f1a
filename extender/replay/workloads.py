"""Workloads: pods in order of arrival, as JSON lines or as manifests.

A line is `{"at": SECONDS, "life": SECONDS or null, "pod": {…}, "claims": […], "templates": […]}`;
files of any other form are read as snapshots, whose pods come in the order of their
creationTimestamp and stay for the seconds in their annotation `railyard.dev/life-seconds`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import pathlib
from collections.abc import Iterator

import msgspec

from extender import errors
from extender.kube.api import objects
from extender.replay import files, snapshots

LIFE_ANNOTATION = "railyard.dev/life-seconds"
RECORDED = ".events.gz"  # how the files of a recording end: a snapshot's reader passes them over
_MOST_PROBLEMS = 20

Key = tuple[str, str]  # (namespace, name)


class _WorkloadLine(msgspec.Struct, frozen=True):
    """One pod of a file of lines."""

    pod: objects.Pod
    at: float = 0.0
    life: float | None = None
    claims: tuple[objects.ResourceClaim, ...] = ()
    templates: tuple[objects.ResourceClaimTemplate, ...] = ()


@dataclasses.dataclass(slots=True)
class Workload:
    """Pods as (at, life, pod) in seconds, and the claims and templates that came with them."""

    pods: list[tuple[float, float | None, objects.Pod]] = dataclasses.field(default_factory=list)
    claims: dict[Key, objects.ResourceClaim] = dataclasses.field(default_factory=dict)
    templates: dict[Key, objects.ResourceClaimTemplate] = dataclasses.field(default_factory=dict)
    problems: list[tuple[str, str]] = dataclasses.field(default_factory=list)

    def add(
        self, item: objects.ResourceClaim | objects.ResourceClaimTemplate, namespace: str
    ) -> None:
        """Keep a claim or a template."""
        key = (item.metadata.namespace or namespace or "default", item.metadata.name)
        if isinstance(item, objects.ResourceClaim):
            self.claims[key] = item
        else:
            self.templates[key] = item


def read(path: pathlib.Path) -> Workload:
    """The workload in a file, or a folder of recorded lines; SnapshotError if there is none."""
    found = Workload()
    paths = sorted(path.glob(f"*{RECORDED}")) if path.is_dir() else [path]
    missing: list[tuple[str, str]] = []
    for one in paths or [path]:
        if one != files.STDIN and not one.exists():
            missing.append((str(one), "no such file"))
        elif path.is_dir() and not paths:
            _of_objects(snapshots.read([path], strict=False), found)
        else:
            _read_one(one, found)
    if missing or not found.pods:
        nothing = [(str(path), "holds no pod")]
        shown = [*missing, *found.problems[:_MOST_PROBLEMS]]
        raise errors.SnapshotError("the workload cannot be read", shown or nothing)
    return found


def _read_one(path: pathlib.Path, found: Workload) -> None:
    for text in files.texts(path):
        if not isinstance(text, files.FileText):
            found.problems.append((text[0], str(text[1])))
        elif path.name.endswith(RECORDED) or _is_lines(text.text):
            for line in _lines(text, found):
                for claim in line.claims:
                    found.add(claim, line.pod.metadata.namespace)
                for template in line.templates:
                    found.add(template, line.pod.metadata.namespace)
                found.pods.append((line.at, line.life, line.pod))
        else:
            _of_objects(snapshots.read([path], strict=False), found)
            return


def _is_lines(text: str) -> bool:
    first = text.lstrip()[:200]
    return first.startswith("{") and ('"at"' in first or first.startswith('{"pod"'))


def _lines(text: files.FileText, found: Workload) -> Iterator[_WorkloadLine]:
    for number, line in enumerate(text.text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield msgspec.json.decode(line, type=_WorkloadLine, strict=False)
        except (msgspec.DecodeError, RecursionError) as error:
            found.problems.append((f"{text.name}:{number}", str(error)))


def _of_objects(snapshot: snapshots.Snapshot, found: Workload) -> None:
    found.problems += snapshot.problems
    pods = [item for _, item in snapshot.objects if isinstance(item, objects.Pod)]
    for _, item in snapshot.objects:
        if isinstance(item, objects.ResourceClaim | objects.ResourceClaimTemplate):
            found.add(item, "")
    times = [_time(pod.metadata.creation_timestamp) for pod in pods]
    first = min((time for time in times if time is not None), default=0.0)
    for pod, time in zip(pods, times, strict=True):
        found.pods.append((0.0 if time is None else time - first, _life(pod), pod))


def _time(stamp: str | None) -> float | None:
    try:
        return dt.datetime.fromisoformat(stamp).timestamp() if stamp else None
    except ValueError:
        return None


def _life(pod: objects.Pod) -> float | None:
    text = (pod.metadata.annotations or {}).get(LIFE_ANNOTATION, "")
    try:
        life = float(text)
    except ValueError:
        return None
    return life if 0 <= life < float("inf") else None


def line_of(
    at: float,
    life: float | None,
    pod: objects.Pod,
    claims: tuple[objects.ResourceClaim, ...],
    templates: tuple[objects.ResourceClaimTemplate, ...] = (),
) -> bytes:
    """One line of a workload, as `read` reads it."""
    line = _WorkloadLine(pod, at, life, claims, templates)
    return msgspec.json.encode(line) + b"\n"
