"""What a pod needs, in words: what is judged, what is allocated already, and what is not ours."""

from __future__ import annotations

from extender.verdicts import query as queries
from extender.verdicts import resolver

NO_DEVICES = "the pod asks for no devices"
# No node offers them as devices, and no class serves them.
LEFT = "left to kube-scheduler: {names}"


def demand(resolved: resolver.ResolvedPod) -> str:
    """The devices that the pod needs: "2 GPUs, 1 claim allocated already"."""
    parts = [queries.describe(resolved.question)] if resolved.question else []
    if resolved.bound_to:
        count = len(resolved.bound_to)
        parts.append(f"{count} claim{'s' * (count != 1)} allocated already")
    return ", ".join(parts) or left_over(resolved) or NO_DEVICES


def left_over(resolved: resolver.ResolvedPod) -> str:
    """What the pod requests that is not ours to judge, with its amounts; empty if nothing."""
    judged = dict(resolved.question.extended)
    names = [
        queries.counted(count, name)
        for name, count in resolved.requests.extended
        if name not in judged
    ]
    return LEFT.format(names=", ".join(names)) if names else ""
