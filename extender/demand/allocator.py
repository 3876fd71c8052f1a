"""What kube-scheduler's allocator picks on a node: an exact, bounded replay.

Source: dra.md §2; k8s.io/dynamic-resource-allocation structured allocator.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from extender.demand.outcome import Allocated, Failed, NoFit, Outcome, Pick, Unknown
from extender.demand.requests import ClaimDemand
from extender.hardware import shape, versions
from extender.hardware.usage import NodeState, Usage

__all__ = ["Allocated", "Failed", "NoFit", "Outcome", "Pick", "Planner", "Selectors", "Unknown"]


class Selectors(Protocol):
    """What is asked of the CEL engine (extender.demand.selectors)."""

    def matches(self, expression: str, device: shape.Device) -> bool:
        """Judge a device; SelectorError as upstream, UnknownSelectorError where we cannot."""


def allocate(
    machine: shape.Shape,
    usage: Usage,
    claims: tuple[ClaimDemand, ...],
    *,
    selectors: Selectors,
    features: versions.Features,
    surroundings: shape.Broken | None = None,
    budget: int,
) -> Outcome:
    """Replay the search on one node; `budget` bounds its steps, Unknown beyond it."""
    raise NotImplementedError


def after(machine: shape.Shape, usage: Usage, picks: Iterable[Pick]) -> Usage:
    """Return what is in use once the picks are allocated."""
    raise NotImplementedError


class Planner:
    """Answers `allocate` for many states, remembering what is the same for all of them."""

    def __init__(
        self, *, selectors: Selectors, features: versions.Features, budget: int = 20_000
    ) -> None:
        self._selectors = selectors
        self._features = features
        self._budget = budget

    def allocate(
        self,
        state: NodeState,
        claims: tuple[ClaimDemand, ...],
        *,
        surroundings: shape.Broken | None = None,
    ) -> Outcome:
        """Return exactly what `allocate` returns for the state."""
        raise NotImplementedError
