"""Pods in order of arrival, with their claims and how long they live."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
import numpy as np

from extender.kube.api import objects

Key = tuple[str, str]  # (namespace, name)


@dataclasses.dataclass(frozen=True, slots=True)
class Arrival:
    """A pod that arrives `at` and stays for `life` seconds; None is for good.

    `kind` is equal for pods that ask for the same.
    """

    at: float
    pod: objects.Pod
    claims: tuple[objects.ResourceClaim, ...] = ()
    life: float | None = None
    kind: bytes = b""


def arrivals_of(
    pods: Iterable[tuple[float, float | None, objects.Pod]],
    claims: Mapping[Key, objects.ResourceClaim],
    template: Callable[[str, str], objects.ResourceClaimTemplate | None],
) -> tuple[list[Arrival], list[tuple[str, str]]]:
    """The pods as arrivals, and what is wrong with those that are left out.

    Each pod gets a name, a uid, and claims of its own: those that it names, without their
    allocation, and those that its templates make.
    """
    found: list[Arrival] = []
    problems: list[tuple[str, str]] = []
    seen: set[Key] = set()
    for number, (at, life, pod) in enumerate(pods):
        named = _named(pod, number, seen)
        own, missing = _claims(named, claims, template)
        if missing:
            problems.append((f"pod {named.metadata.namespace}/{named.metadata.name}", missing))
            continue
        named, owned = own
        found.append(Arrival(at, named, owned, life, kind_of(named, owned)))
    found.sort(key=lambda arrival: arrival.at)  # stable: what comes together stays in order
    return found, problems


def shuffled(arrivals: Sequence[Arrival], draws: np.random.Generator) -> list[Arrival]:
    """The same pods in another order, at the times at which pods came."""
    order = draws.permutation(len(arrivals))
    return [
        dataclasses.replace(arrivals[rank], at=arrivals[number].at)
        for number, rank in enumerate(order.tolist())
    ]


def _named(pod: objects.Pod, number: int, seen: set[Key]) -> objects.Pod:
    """The pod before it was scheduled, under a name that no other arrival has."""
    meta = pod.metadata
    namespace = meta.namespace or "default"
    name = meta.name or f"{meta.generate_name}{number}"
    if (namespace, name) in seen:
        name = f"{name}-{number}"
    seen.add((namespace, name))
    meta = msgspec.structs.replace(
        meta, name=name, namespace=namespace, uid=f"{namespace}/{name}", resource_version=""
    )
    spec = msgspec.structs.replace(pod.spec, node_name="")
    return msgspec.structs.replace(pod, metadata=meta, spec=spec, status=objects.PodStatus())


def _claims(
    pod: objects.Pod,
    claims: Mapping[Key, objects.ResourceClaim],
    template: Callable[[str, str], objects.ResourceClaimTemplate | None],
) -> tuple[tuple[objects.Pod, tuple[objects.ResourceClaim, ...]], str]:
    """The pod that names its claims, these, and what is missing."""
    namespace = pod.metadata.namespace
    references: list[objects.PodResourceClaim] = []
    found: list[objects.ResourceClaim] = []
    for reference in pod.spec.resource_claims or ():
        spec: objects.ResourceClaimSpec | None = None
        name = f"{pod.metadata.name}-{reference.name}"
        if reference.resource_claim_name:
            known = claims.get((namespace, reference.resource_claim_name))
            spec, what = known.spec if known else None, f"claim {reference.resource_claim_name}"
        else:
            what = f"claim template {reference.resource_claim_template_name}"
            made = template(namespace, reference.resource_claim_template_name or "")
            spec = made.spec.spec if made else None
        if spec is None:
            return (pod, ()), f"{what} is not known here"
        meta = objects.ObjectMeta(name=name, namespace=namespace, uid=f"claim {namespace}/{name}")
        found.append(objects.ResourceClaim(metadata=meta, spec=spec))
        references.append(objects.PodResourceClaim(name=reference.name, resource_claim_name=name))
    if not references:
        return (pod, ()), ""
    spec_of_pod = msgspec.structs.replace(pod.spec, resource_claims=tuple(references))
    return (msgspec.structs.replace(pod, spec=spec_of_pod), tuple(found)), ""


def kind_of(pod: objects.Pod, claims: Sequence[objects.ResourceClaim]) -> bytes:
    """What is equal for pods that ask for the same."""
    spec = msgspec.structs.replace(pod.spec, resource_claims=None)
    labels = pod.metadata.labels
    return msgspec.json.encode((spec, labels, [claim.spec for claim in claims]))
