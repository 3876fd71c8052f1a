"""Notes on a snapshot beside the answer: what was not read of it, and what is missing in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from extender.cluster import relevant_fields, store
from extender.kube.api import objects
from extender.replay import snapshots

_MOST_NAMED = 3


def of_snapshot(snapshot: snapshots.Snapshot) -> Iterator[str]:
    """What was left out of the snapshot, in sentences."""
    for where, what in snapshot.problems:
        yield f"cannot be read, and the answer is without it: {where}: {what}"
    by_reason: dict[str, list[str]] = defaultdict(list)
    for where, what in snapshot.skipped:
        by_reason[what].append(where)
    for what, locations in by_reason.items():
        yield f"{_count(len(locations), 'document')} left out ({what}): {_named(locations)}"
    if snapshot.ignored:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(snapshot.ignored.items()))
        yield f"objects of kinds that are not read: {kinds}"
    if snapshot.duplicates:
        yield f"{_count(snapshot.duplicates, 'object')} stood there again; the newest is used"


def of_claims(source: store.ClusterStore) -> Iterator[str]:
    """What pods on nodes hold that cannot be known, as the snapshot lacks their claims."""
    missing: dict[str, None] = {}
    old: list[str] = []
    grouped: list[str] = []
    for (namespace, name), pod in source.pods.items():
        if not pod.spec.node_name or pod.status.phase in relevant_fields.FINISHED:
            continue
        for reference in pod.spec.resource_claims or ():
            if reference.source is not None:
                old.append(f"{namespace}/{name}")
            elif reference.pod_group_resource_claim:
                grouped.append(f"{namespace}/{name}")
        for claim in _claims(pod):
            if (namespace, claim) not in source.claims:
                missing[f"{namespace}/{claim}"] = None
    if missing:
        yield (
            f"{_count(len(missing), 'claim')} of pods on nodes not in the snapshot, so that their "
            f"devices count as free (add `kubectl get resourceclaims -A`): {_named([*missing])}"
        )
    if old:
        yield (
            f"claims under `source:`, the form before Kubernetes 1.31, are not read: {_named(old)}"
        )
    if grouped:
        yield f"claims of PodGroups (podGroupResourceClaim) are not read: {_named(grouped)}"


def _claims(pod: objects.Pod) -> Iterable[str]:
    """The names of the pod's claims, as far as the pod itself tells."""
    names = [each.resource_claim_name for each in pod.spec.resource_claims or ()]
    names += [each.resource_claim_name for each in pod.status.resource_claim_statuses or ()]
    extended = pod.status.extended_resource_claim_status
    if extended is not None:
        names.append(extended.resource_claim_name)
    return [name for name in names if name]


def _named(locations: Sequence[str]) -> str:
    more = len(locations) - _MOST_NAMED
    listed = ", ".join(locations[:_MOST_NAMED])
    return f"{listed} and {more} more" if more > 0 else listed


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
