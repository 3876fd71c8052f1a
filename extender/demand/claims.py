"""From a pod to its claims: by name, by template, allocated or still to allocate.

Source: k8s.io/dynamic-resource-allocation/resourceclaim. kube-scheduler never asks
about a pod whose claims it does not know, so a claim missing here means that our picture lags:
the pod is then not judged, and that is said.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

from extender.kube.api import objects


class Claims(Protocol):
    """What is asked of the store: objects by namespace and name, None where unknown."""

    def claim(self, namespace: str, name: str) -> objects.ResourceClaim | None: ...

    def template(self, namespace: str, name: str) -> objects.ResourceClaimTemplate | None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class PodClaim:
    """One claim of a pod: its spec; the claim object where it exists; its name there."""

    name: str  # name in the pod's spec.resourceClaims
    claim_name: str  # name of the ResourceClaim, empty while only its template is known
    spec: objects.ResourceClaimSpec
    claim: objects.ResourceClaim | None = None

    @property
    def allocation(self) -> objects.AllocationResult | None:
        return self.claim.status.allocation if self.claim is not None else None


@dataclasses.dataclass(frozen=True, slots=True)
class Missing:
    """A claim or template that is not known here; `what` names it for people."""

    what: str


@dataclasses.dataclass(frozen=True, slots=True)
class NotRead:
    """A claim in a form that is not read; `why` is a sentence."""

    why: str


def of_pod(pod: objects.Pod, known: Claims) -> tuple[PodClaim, ...] | Missing | NotRead:
    """List the pod's claims in spec order, those that need no claim left out."""
    namespace = pod.metadata.namespace or "default"
    generated = {
        status.name: status.resource_claim_name
        for status in pod.status.resource_claim_statuses or ()
    }
    found: list[PodClaim] = []
    for reference in pod.spec.resource_claims or ():
        name = reference.resource_claim_name
        if name is None and reference.name in generated:
            name = generated[reference.name]
            if name is None:
                continue  # the controller decided that no claim is needed
        claim = known.claim(namespace, name) if name else None
        if claim is not None:
            found.append(PodClaim(reference.name, claim.metadata.name, claim.spec, claim))
            continue
        template_name = reference.resource_claim_template_name
        if not name and not template_name:
            return NotRead(_form(reference))
        template = known.template(namespace, template_name) if template_name else None
        if template is None:
            return Missing(
                f"ResourceClaim {name}" if name else f"ResourceClaimTemplate {template_name}"
            )
        found.append(PodClaim(reference.name, name or "", template.spec.spec))
    return tuple(found)


def _form(reference: objects.PodResourceClaim) -> str:
    """Why a claim without the names that we know cannot be read."""
    field = f"resourceClaims[{reference.name}]"
    if reference.source is not None:
        return (
            f"{field}.source is the form before Kubernetes 1.31: its resourceClaimName or"
            " resourceClaimTemplateName now stands beside the name"
        )
    if reference.pod_group_resource_claim:
        return f"{field} is the claim of a PodGroup (podGroupResourceClaim), which is not judged"
    return f"{field} names neither a ResourceClaim nor a ResourceClaimTemplate"
