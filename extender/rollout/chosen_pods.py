"""Which pods a canary takes: the same ones on every replica, and still those at a higher share."""

from __future__ import annotations

import hashlib

from extender.demand import gang
from extender.kube.api import objects
from extender.rollout import document

_SCALE = 1 << 64


def takes(canary: document.Canary, pod: objects.Pod) -> bool:
    """Whether the candidate answers for the pod; never for one without a UID."""
    meta = pod.metadata
    if not meta.uid:
        return False
    if canary.namespaces and (meta.namespace or "default") not in canary.namespaces:
        return False
    return canary.percent is None or position(gang.of_pod(pod) or meta.uid) * 100 < canary.percent


def position(name: str) -> float:
    """Where the name lies between 0 and 1 by its hash; so many of many names lie below a share."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / _SCALE
