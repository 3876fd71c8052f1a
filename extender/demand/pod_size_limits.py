"""What of a pod is judged at all: beyond these sizes it passes, and is said to be too large.

Tenants write pods and claims. The API server bounds an object's bytes, and a claim's lists, but
not how many names or containers a pod has, nor how many claims. Real pods stay far below: the
largest ask for 8 GPUs and 8 NICs one by one, in 16 requests of one claim.
"""

from __future__ import annotations

from collections.abc import Iterable

from extender.demand.requests import ClaimDemand
from extender.kube.api import objects

# Containers of all sorts; a kubelet runs 110 pods, and few have more than ten containers.
MOST_CONTAINERS = 256
# Entries of all requests and limits: each is read, and each name makes a request of its own.
MOST_AMOUNTS = 1024
# Distinct resources with a domain in their name: each is looked for on each state of a node.
MOST_RESOURCES = 32
MOST_CLAIMS = 32
MOST_LABELS = 256
# Requests, each with all its firstAvailable choices, over all claims.
MOST_CHOICES = 96
MOST_CONSTRAINTS = 64
MOST_SELECTORS = 192
# Characters of the distinct selectors, classes' included; one may have 10,240. Compiling takes
# about a microsecond a character.
MOST_TEXT = 12_288
# Tolerations and amounts of capacity, over all choices.
MOST_DETAILS = 512


# Bytes, about: of a pod or claim without its parts, of a container, of a name with its value, and
# of a request with one device class.
_WHOLE, _CONTAINER, _ENTRY, _CHOICE = 2000, 400, 160, 700


def size_of_pod(pod: objects.Pod) -> int:
    """Bytes that the pod takes, about."""
    spec, meta = pod.spec, pod.metadata
    containers = (*(spec.containers or ()), *(spec.init_containers or ()))
    amounts = (many for c in containers for many in (c.resources.limits, c.resources.requests))
    texts = (meta.annotations or {}).values()
    entries = sum(len(many) for many in amounts if many) + len(meta.labels or ()) + len(texts)
    entries += len(spec.resource_claims or ()) + len(spec.tolerations or ())
    entries += len(spec.node_selector or ())
    return _WHOLE + _CONTAINER * len(containers) + _ENTRY * entries + sum(map(len, texts))


def size_of_claims(demands: Iterable[ClaimDemand]) -> int:
    """Bytes that the demands take, about."""
    choices = [c for demand in demands for request in demand.requests for c in request.choices]
    parts = sum(len(c.tolerations) + len(c.capacity) for c in choices)
    texts = sum(len(text) for c in choices for text in c.selectors)
    return _WHOLE + _CHOICE * len(choices) + _ENTRY * parts + texts


def excess_of_pod(pod: objects.Pod) -> str:
    """What the pod has too much of, in words; empty where it can be read."""
    if pod.too_large is not None:
        return pod.too_large.why
    spec = pod.spec
    containers = (*(spec.containers or ()), *(spec.init_containers or ()))
    if len(containers) > MOST_CONTAINERS:
        return _words(len(containers), "containers", MOST_CONTAINERS)
    if spec.resource_claims and len(spec.resource_claims) > MOST_CLAIMS:
        return _words(len(spec.resource_claims), "claims", MOST_CLAIMS)
    if pod.metadata.labels and len(pod.metadata.labels) > MOST_LABELS:
        return _words(len(pod.metadata.labels), "labels", MOST_LABELS)
    wanted = [each.resources for each in containers]
    wanted += [spec.resources] if spec.resources is not None else []
    amounts = [many for each in wanted for many in (each.requests, each.limits) if many]
    entries = sum(map(len, amounts)) + len(spec.overhead or ())
    if entries > MOST_AMOUNTS:
        return _words(entries, "resource amounts", MOST_AMOUNTS)
    if entries > MOST_RESOURCES:
        names = {name for many in amounts for name in many if "/" in name}
        if len(names) > MOST_RESOURCES:
            return _words(len(names), "extended resources", MOST_RESOURCES)
    return ""


def excess_of_specs(specs: Iterable[objects.ResourceClaimSpec]) -> str:
    """What the claims have too much of before they are read at all; empty where they can be."""
    choices = constraints = selectors = details = 0
    for spec in specs:
        if spec.too_large:
            return spec.too_large
        constraints += len(spec.devices.constraints or ())
        for request in spec.devices.requests or ():
            for choice in request.first_available or (request.exactly,):
                if choice is None:
                    continue
                choices += 1
                selectors += len(choice.selectors or ())
                amounts = choice.capacity.requests if choice.capacity is not None else None
                details += len(choice.tolerations or ()) + len(amounts or ())
    return _excess(choices, constraints, selectors, details)


def excess_of_claims(demands: Iterable[ClaimDemand]) -> str:
    """What the claims have too much of, in words; empty where they can be judged."""
    choices = constraints = selectors = details = 0
    texts: set[str] = set()
    for demand in demands:
        constraints += len(demand.constraints)
        for request in demand.requests:
            choices += len(request.choices)
            for choice in request.choices:
                selectors += len(choice.selectors)
                details += len(choice.tolerations) + len(choice.capacity)
                texts.update(choice.selectors)
    return _excess(choices, constraints, selectors, details, sum(map(len, texts)))


def excess_of_texts(spec: objects.ResourceClaimSpec) -> str:
    """What the selectors of a claim alone have too much of, in words; empty where they do not."""
    texts = {
        selector.cel.expression
        for request in spec.devices.requests or ()
        for part in (request, request.exactly, *(request.first_available or ()))
        for selector in (part.selectors if part is not None else None) or ()
        if selector.cel is not None
    }
    return _excess(0, 0, 0, 0, sum(map(len, texts)))


def too_many_bytes(most: int) -> str:
    """The words for what is within all counts, and takes too much memory all the same."""
    return f"too large to judge: it takes more than {most} bytes of memory"


def _excess(choices: int, constraints: int, selectors: int, details: int, text: int = 0) -> str:
    for count, what, most in (
        (choices, "requests and choices", MOST_CHOICES),
        (constraints, "constraints", MOST_CONSTRAINTS),
        (selectors, "selectors", MOST_SELECTORS),
        (details, "tolerations and capacities", MOST_DETAILS),
        (text, "characters of selectors", MOST_TEXT),
    ):
        if count > most:
            return _words(count, what, most)
    return ""


def _words(count: int, what: str, most: int) -> str:
    return f"too large to judge: {count} {what}, at most {most} are"
