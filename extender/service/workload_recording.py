"""A recording: the cluster without its pods, and each pod with when it came and how long it ran.

Pods that run when the recording begins count as having come at its beginning, so that a simulation
places them first. Lines are written when a pod ends; those that still run are kept in a file of
their own, written anew from time to time. Files are compressed and rotate: the oldest goes.
"""

from __future__ import annotations

import dataclasses
import gzip
import pathlib
from collections.abc import Callable, Iterable

import msgspec

from extender.cluster import store
from extender.kube.api import objects
from extender.replay import redaction, snapshots, workloads

CLUSTER = "cluster.json.gz"
_RUNNING = f"running{workloads.RECORDED}"
_PARTS = 8  # files that a recording rotates through
_BATCH = 256  # lines that are compressed together


@dataclasses.dataclass(slots=True)
class _RecordedPod:
    """A pod that has not ended; times are seconds since the beginning."""

    pod: objects.Pod
    arrived: float
    claims: tuple[objects.ResourceClaim, ...]
    templates: tuple[objects.ResourceClaimTemplate, ...]
    bound: float | None = None


class WorkloadRecorder:
    """Listens to a store that a watch fills. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        folder: pathlib.Path,
        picture: store.ClusterStore,
        *,
        clock: Callable[[], float],
        most_bytes: int,
    ) -> None:
        self._folder = folder
        self._store = picture
        self._clock = clock
        self._most = most_bytes // _PARTS
        self._began = clock()
        self._alive: dict[str, _RecordedPod] = {}  # uid → pod
        self._lines: list[bytes] = []
        self._part = 1
        self.ended = self.withdrawn = 0
        picture.listeners.append(self._changed)

    @property
    def alive(self) -> int:
        """Pods that have not ended."""
        return len(self._alive)

    def begin(self) -> None:
        """The cluster has been read: write it, and take its pods for the first that come."""
        self._began = self._clock()
        kept: list[tuple[str, objects.Object]] = []
        for kind, items in self._store.contents():
            for item in items:
                if isinstance(item, objects.Pod) and not _stays(item):
                    continue
                if isinstance(item, objects.ResourceClaim) and _of_a_pod(item):
                    continue
                if isinstance(item, objects.ResourceClaim) and item.status.reserved_for:
                    kept.append((kind, _fresh(item)))  # its pods come again, and take it anew
                elif (one := redaction.redacted(item)) is not None:
                    kept.append((kind, one))
        for known in self._alive.values():
            known.arrived = 0.0
            known.bound = 0.0 if known.bound is not None else None
        plain = self._folder / "cluster.json"
        snapshots.write(plain, kept)
        (self._folder / CLUSTER).write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
        self.flush()

    def flush(self) -> None:
        """Write what has ended, and what still runs."""
        self._write_ended()
        running = b"".join(self._line(each, None) for each in self._alive.values())
        partial = self._folder / f".{_RUNNING}"
        partial.write_bytes(gzip.compress(running))
        partial.replace(self._folder / _RUNNING)

    # ------------------------------------------------------------ what happens

    def _changed(self, _kind: str, old: objects.Object | None, new: objects.Object | None) -> None:
        if new is None:
            if isinstance(old, objects.Pod):
                self._gone(old.metadata.uid)
        elif isinstance(new, objects.Pod) and not _stays(new):
            known = self._alive.get(new.metadata.uid)
            if known is None:
                known = self._alive[new.metadata.uid] = self._arrived(new)
            if new.spec.node_name and known.bound is None:
                known.bound = self._now()

    def _arrived(self, pod: objects.Pod) -> _RecordedPod:
        redacted = redaction.redacted(pod)
        kept = redacted if isinstance(redacted, objects.Pod) else pod
        namespace = pod.metadata.namespace or "default"
        named: list[objects.ResourceClaim] = []
        templates: list[objects.ResourceClaimTemplate] = []
        for reference in pod.spec.resource_claims or ():
            claim = self._store.claim(namespace, reference.resource_claim_name or "")
            template = self._store.template(namespace, reference.resource_claim_template_name or "")
            named += [_fresh(claim)] if claim is not None else []
            templates += [template] if template is not None else []
        return _RecordedPod(kept, self._now(), tuple(named), tuple(templates))

    def _gone(self, uid: str) -> None:
        known = self._alive.pop(uid, None)
        if known is None:
            return
        if known.bound is None:
            self.withdrawn += 1  # it never ran: how long it would have is not known
            return
        self.ended += 1
        self._lines.append(self._line(known, max(self._now() - known.bound, 0.0)))
        if len(self._lines) >= _BATCH:
            self._write_ended()

    def _line(self, known: _RecordedPod, life: float | None) -> bytes:
        return workloads.line_of(
            round(known.arrived, 3),
            None if life is None else round(life, 3),
            known.pod,
            known.claims,
            known.templates,
        )

    def _now(self) -> float:
        return self._clock() - self._began

    def _write_ended(self) -> None:
        if not self._lines:
            return
        path = self._folder / f"ended-{self._part:06}{workloads.RECORDED}"
        with path.open("ab") as file:
            file.write(gzip.compress(b"".join(self._lines)))
        self._lines.clear()
        if path.stat().st_size >= self._most:
            self._part += 1
            gone = self._folder / f"ended-{self._part - _PARTS:06}{workloads.RECORDED}"
            gone.unlink(missing_ok=True)


def _stays(pod: objects.Pod) -> bool:
    """Pods of DaemonSets belong to the cluster: they come with their node."""
    return any(owner.kind == "DaemonSet" for owner in pod.metadata.owner_references or ())


def _of_a_pod(claim: objects.ResourceClaim) -> bool:
    """Whether the claim was made for one pod, from a template: it goes and comes with it."""
    return any(owner.kind == "Pod" for owner in claim.metadata.owner_references or ())


def _fresh(claim: objects.ResourceClaim) -> objects.ResourceClaim:
    kept: objects.Object | None = redaction.redacted(claim)
    found = kept if isinstance(kept, objects.ResourceClaim) else claim
    return msgspec.structs.replace(found, status=objects.ResourceClaimStatus())


def files_of(folder: pathlib.Path) -> Iterable[pathlib.Path]:
    """The files of an earlier recording."""
    return [*folder.glob(f"*{workloads.RECORDED}"), *folder.glob(CLUSTER)]
