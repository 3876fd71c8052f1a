"""One change that would flip an answer, as a value and in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

# Kinds of changes; `others` is that better nodes were cordoned.
PODS, COUNT, LEVEL, MODE, WEIGHT, OTHERS = "pods", "count", "level", "mode", "weight", "others"


@dataclasses.dataclass(frozen=True, slots=True)
class EvictableHolder:
    """A pod that holds devices on a node; `preemptible` by the pod that is asked about."""

    pod: str  # namespace/name
    uid: str
    holds: str  # in words
    priority: int
    preemptible: bool
    leaving: bool = False

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """The smallest change of its kind that flips the answer for one node.

    `pods`: these pods are gone (uids). `count`: the pod requests so many of `field` instead.
    `level`, `mode`: the profile's `locality` says so. `weight`: the profile's `field` is `value`
    instead. `others`: these better nodes are cordoned: they do
    not take the pod, and what the cluster's devices are worth stays as it is.
    """

    kind: str
    words: str
    pods: tuple[str, ...] = ()
    field: str = ""
    value: float | int | str = ""
    nodes: tuple[str, ...] = ()
    preemptible: bool = False

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names in a sentence: "a, b and c", the rest as a number."""
    names = list(names)
    if len(names) > most:
        names[most:] = [f"{len(names) - most} more"]
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
