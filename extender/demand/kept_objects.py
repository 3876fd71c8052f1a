"""What is kept of an object that tenants write: what is read of it, and a bounded number of bytes.

A pod or claim beyond the bound is kept as a small one that says so and is not judged. What such a
pod takes of its node stays exactly what it was: its amounts are kept as their sum.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterable, Iterator
from typing import TypeAlias, TypeVar

import msgspec

from extender.demand import gang, pod_size_limits
from extender.demand import pod as pods
from extender.kube.api import objects

_T = TypeVar("_T")
_Parts: TypeAlias = tuple[_T, ...] | None

# Bytes of memory that one pod or claim may take: a pod of 30 containers does, or a claim of 40
# requests with a selector each. 5,000 hostile ones take 160 MB.
MOST_BYTES = 32 * 1024
# Bytes of its encoded form below which an object is not looked at any closer; most have 300.
_SMALL = 2048
# Annotations under this prefix, and those by which gangs are named, are read; others are not.
_OURS = "railyard.dev/"
_MOST_ANNOTATIONS = 8 * 1024  # bytes of those that are kept
# Characters of an annotation: one more than are read, so that it is still known to be too long.
_MOST_TEXT = 4097
_MOST_NAME = 253  # characters of a name, by the API's own rules
# Of lists of which only matters whether some are there. Each is kept whole while it is short.
_FEW = 16
# Bytes of names whose totals are kept of a pod that is too large, about 80 names. Those that it
# asks nought of are no part of it, and no node has units of so many.
_MOST_TOTALS = 16 * 1024
_TOTAL = 140  # bytes of one of them beside its characters
# Whose devices stand first among them.
_DOMAINS = frozenset(
    ("nvidia.com", "amd.com", "gpu.intel.com", "habana.ai", "google.com", "aws.amazon.com")
)

_ENCODER = msgspec.json.Encoder()
_replaced = msgspec.structs.replace


def as_kept(item: objects.Object) -> objects.Object:
    """The object as a store keeps it; of kinds that tenants do not write, the object itself."""
    if isinstance(item, objects.Pod):
        return pod_as_kept(item)
    if isinstance(item, objects.ResourceClaim):
        if _is_small(item):
            return item
        return _replaced(item, metadata=_few_texts(item.metadata), spec=_spec_as_kept(item.spec))
    if isinstance(item, objects.ResourceClaimTemplate):
        if _is_small(item):
            return item
        inner = _replaced(
            item.spec,
            metadata=_few_texts(item.spec.metadata),
            spec=_spec_as_kept(item.spec.spec),
        )
        return _replaced(item, metadata=_few_texts(item.metadata), spec=inner)
    return item


def pod_as_kept(pod: objects.Pod) -> objects.Pod:
    """The pod as a store keeps it; `too_large` says why it is not judged."""
    if pod.metadata.annotations:
        pod = _with_read_annotations(pod)
    spec = pod.spec
    if _is_small(pod) and len(spec.volumes or ()) <= _FEW:
        return pod
    excess = pod_size_limits.excess_of_pod(pod)
    if not excess:
        pod = _replaced(pod, spec=_without_repeats(spec))
        if not beyond(pod, MOST_BYTES):
            return pod
        excess = pod_size_limits.too_many_bytes(MOST_BYTES)
    return _small_pod(pod, excess)


def _is_small(item: objects.Object) -> bool:
    try:
        return len(_ENCODER.encode(item)) <= _SMALL
    except ValueError:  # half a surrogate pair
        return False


def beyond(value: object, most: int) -> bool:
    """Whether an object takes more than so many bytes; looks no further than these."""
    left, waiting = most, [value]
    while waiting:
        each = waiting.pop()
        if each is None:
            continue
        left -= sys.getsizeof(each)
        if left < 0:
            return True
        if isinstance(each, msgspec.Struct):
            waiting += [getattr(each, field) for field in each.__struct_fields__]
        elif isinstance(each, dict):
            waiting += each
            waiting += each.values()
        elif isinstance(each, tuple):
            waiting += each
    return False


# ---------------------------------------------------------------- annotations and other texts


def _with_read_annotations(pod: objects.Pod) -> objects.Pod:
    """The pod without the annotations that nobody reads; the pod itself where there are none."""
    annotations = pod.metadata.annotations or {}
    # Of the 10,000 that a pod may have mostly none is read: one text is searched faster than all.
    if _OURS not in "\n".join(annotations) and not any(
        name in annotations for name in gang.ANNOTATIONS
    ):
        return _replaced(pod, metadata=_replaced(pod.metadata, annotations=None))
    read = dict(_read(annotations))
    if read == annotations:
        return pod
    return _replaced(pod, metadata=_replaced(pod.metadata, annotations=read or None))


def _read(annotations: dict[str, str]) -> Iterator[tuple[str, str]]:
    left = _MOST_ANNOTATIONS
    for name in (*gang.ANNOTATIONS, *sorted(n for n in annotations if n.startswith(_OURS))):
        text = annotations.get(name)
        if text is None:
            continue
        text = text[:_MOST_TEXT]
        left -= sys.getsizeof(name) + sys.getsizeof(text)
        if left >= 0:
            yield name, text


def _few_texts(meta: objects.ObjectMeta) -> objects.ObjectMeta:
    """The metadata without texts of any number: nothing reads those of claims."""
    return _replaced(
        meta, labels=None, annotations=None, owner_references=_few_owners(meta.owner_references)
    )


def _few_owners(owners: _Parts[objects.OwnerReference]) -> _Parts[objects.OwnerReference]:
    """The first owners, the one that controls the object before all."""
    short = [o for o in owners or () if len(o.kind) + len(o.name) + len(o.uid) <= 3 * _MOST_NAME]
    return tuple(sorted(short, key=lambda owner: not owner.controller)[:_FEW]) or None


def _name(text: str) -> str:
    """A name; one that is longer than names can be is none."""
    return text if len(text) <= _MOST_NAME else ""


# ---------------------------------------------------------------- pods


def _without_repeats(spec: objects.PodSpec) -> objects.PodSpec:
    """The spec with one of each sort in lists of which only matters what is there at all."""
    affinity = spec.affinity
    return _replaced(
        spec,
        containers=_with_few_ports(spec.containers),
        init_containers=_with_few_ports(spec.init_containers),
        affinity=affinity
        and objects.Affinity(
            affinity.node_affinity,
            _presence(affinity.pod_affinity),
            _presence(affinity.pod_anti_affinity),
        ),
        topology_spread_constraints=_distinct(spec.topology_spread_constraints),
        volumes=_distinct(spec.volumes),
    )


def _with_few_ports(containers: _Parts[objects.Container]) -> _Parts[objects.Container]:
    if not any(len(each.ports or ()) > _FEW for each in containers or ()):
        return containers
    return tuple([_replaced(each, ports=_host_port([each])) for each in containers or ()])


def _host_port(containers: Iterable[objects.Container]) -> _Parts[objects.ContainerPort]:
    """One port of the host, if the containers have any."""
    ports = (port for each in containers for port in each.ports or () if port.host_port)
    first = next(ports, None)
    return None if first is None else (first,)


def _presence(rule: objects.PodAffinity | None) -> objects.PodAffinity | None:
    return rule and objects.PodAffinity(rule.required and rule.required[:1])


def _distinct(parts: _Parts[_T]) -> _Parts[_T]:
    return tuple(dict.fromkeys(parts))[:_FEW] if parts and len(parts) > _FEW else parts


def _small_pod(pod: objects.Pod, excess: str) -> objects.Pod:
    """The pod with all that its node and others need of it, and nothing that it asks of nodes."""
    spec, meta, status = pod.spec, pod.metadata, pod.status
    containers = (*(spec.containers or ()), *(spec.init_containers or ()))
    port = _host_port(containers)
    few = _without_repeats(spec)
    labels = {name: _name(text) for name in gang.LABELS if (text := (meta.labels or {}).get(name))}
    return objects.Pod(
        metadata=_replaced(
            meta, labels=labels or None, owner_references=_few_owners(meta.owner_references)
        ),
        spec=objects.PodSpec(
            node_name=spec.node_name,
            scheduler_name=_name(spec.scheduler_name),
            priority=spec.priority,
            priority_class_name=_name(spec.priority_class_name),
            preemption_policy=spec.preemption_policy,
            runtime_class_name=_name(spec.runtime_class_name or "") or None,
            containers=(objects.Container(ports=port),) if port else None,
            resource_claims=_first_few(spec.resource_claims),
            scheduling_group=_short(spec.scheduling_group),
            workload_ref=_short(spec.workload_ref),
            affinity=few.affinity and _replaced(few.affinity, node_affinity=None),
            topology_spread_constraints=few.topology_spread_constraints,
            volumes=few.volumes,
        ),
        status=_replaced(
            status,
            resource_claim_statuses=_first_few(status.resource_claim_statuses),
        ),
        too_large=_too_large(pod, excess),
    )


def _first_few(parts: _Parts[_T]) -> _Parts[_T]:
    return tuple([each for each in parts[:_FEW] if _short(each)]) if parts else parts


def _short(part: _T | None) -> _T | None:
    """The part, if its names are as short as names are."""
    return None if part is None or beyond(part, 5 * _MOST_NAME) else part


def _too_large(pod: objects.Pod, excess: str) -> objects.TooLarge:
    try:
        return objects.TooLarge(excess, _total(pod))
    except ValueError as error:
        return objects.TooLarge(str(error))


def _total(pod: objects.Pod) -> dict[str, int]:
    """What the pod asks of a node in all, as `pods.amounts_of` tells it; ValueError likewise.

    Without resources that it asks nought of: they may be any number, and hide the others.
    """
    spec = pod.spec
    asked = [each.resources for each in (*(spec.containers or ()), *(spec.init_containers or ()))]
    asked += [spec.resources] if spec.resources is not None else []
    listed = [many for each in asked for many in (each.requests, each.limits) if many]
    listed += [spec.overhead] if spec.overhead else []
    names = {name for many in listed for name, amount in many.items() if amount not in _NOUGHT}
    kept = frozenset(_first(names))
    total = pods.amounts_of_names(pod, kept)
    return {name: amount for name, amount in total.items() if amount}


def _first(names: Iterable[str]) -> Iterator[str]:
    """Yield the names that are kept: the node's own, devices, then others as far as they go."""
    left = _MOST_TOTALS
    # No more can be kept, and of 20,000 the first are found sooner than all are sorted.
    for name in heapq.nsmallest(_MOST_TOTALS // _TOTAL, names, key=_place):
        left -= len(name) + _TOTAL
        if left < 0:
            return
        yield name


def _place(name: str) -> tuple[int, str]:
    domain, slash, _ = name.partition("/")
    return (2 if slash and domain not in _DOMAINS else 1 if slash else 0), name


# As the API server writes no amount at all, and as others may.
_NOUGHT = frozenset(("0", 0, "0m", "0Mi", "0Gi"))


# ---------------------------------------------------------------- claims


def _spec_as_kept(spec: objects.ResourceClaimSpec) -> objects.ResourceClaimSpec:
    excess = pod_size_limits.excess_of_specs((spec,)) or pod_size_limits.excess_of_texts(spec)
    if not excess and beyond(spec, MOST_BYTES):
        excess = pod_size_limits.too_many_bytes(MOST_BYTES)
    return objects.ResourceClaimSpec(too_large=excess) if excess else spec
