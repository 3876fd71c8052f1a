"""What kube-scheduler's allocator picks on a node: an exact, bounded replay.

Source: dra.md §2; k8s.io/dynamic-resource-allocation structured allocator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from extender import errors
from extender.demand import requests
from extender.demand.options import Prepared, Selectors
from extender.demand.outcome import Allocated, Failed, NoFit, Outcome, Pick, Unknown
from extender.demand.requests import ClaimDemand
from extender.demand.search import OutOfBudgetError, Search
from extender.hardware import shape, versions
from extender.hardware.usage import NodeState, Usage

__all__ = ["Allocated", "Failed", "NoFit", "Outcome", "Pick", "Planner", "Selectors", "Unknown"]


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
    """Replay the search on one node; `budget` bounds its steps, Unknown beyond it.

    `surroundings`: the worst of the broken counter pools of other nodes (`slices.broken_pools`).
    """
    prepared = Prepared(machine, claims, selectors=selectors, features=features)
    return searched(prepared, usage, surroundings=surroundings, budget=budget)


def searched(
    prepared: Prepared, usage: Usage, *, surroundings: shape.Broken | None, budget: int
) -> Outcome:
    """The same for claims already laid over the shape."""
    broken = {pool.broken for pool in prepared.machine.pools} | {surroundings}
    if broken != {None} and asks_for_all(prepared.claims):
        return Failed("asks for all devices, but a resource pool is being updated or invalid", True)
    search = Search(prepared, usage, budget=budget)
    try:
        search.prepare()
        picks = search.run()
    except OutOfBudgetError as problem:
        return Unknown(search.steps, str(problem))
    except errors.UnknownSelectorError as problem:
        return Unknown(search.steps, str(problem))
    except (errors.ClaimError, errors.SelectorError) as problem:
        return Failed(str(problem), whole_pod=True, steps=search.steps)
    if picks is not None:
        return Allocated(picks, search.steps, certain=_certain(prepared))
    if shape.Broken.INVALID in broken and not prepared.features.mixed_slices:
        return Failed("invalid resource pools were encountered", False, search.steps)
    return NoFit(search.steps, "")


def asks_for_all(claims: tuple[ClaimDemand, ...]) -> bool:
    """Whether some choice has mode All."""
    return any(
        choice.mode == requests.ALL
        for claim in claims
        for request in claim.requests
        for choice in request.choices
    )


def _certain(prepared: Prepared) -> bool:
    """Whether the order of the walk is known: always from 1.36 on, else where there is but one."""
    if prepared.features.pool_order_known:
        return True
    used = [pool for pool in prepared.machine.pools if pool.stop > pool.start]
    return len(used) <= 1 and all(pool.slices == 1 for pool in used)


def after(
    machine: shape.Shape,  # noqa: ARG001 (a usage means nothing without its shape)
    usage: Usage,
    picks: Iterable[Pick],
) -> Usage:
    """Return what is in use once the picks are allocated; admin access uses nothing."""
    taken = usage.taken
    shared = {device: dict(amounts) for device, amounts in usage.shared}
    for pick in picks:
        if pick.admin:
            continue
        if not pick.shared:
            taken |= 1 << pick.device
            continue
        own = shared.setdefault(pick.device, {})
        for name, amount in pick.consumed:
            own[name] = own.get(name, 0) + amount
    return dataclasses.replace(
        usage,
        taken=taken,
        shared=tuple(sorted((d, tuple(sorted(own.items()))) for d, own in shared.items())),
    )


class Planner:
    """Answers `allocate` for many states, remembering what is the same for all of them."""

    def __init__(
        self, *, selectors: Selectors, features: versions.Features, budget: int = 2_500
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
        return allocate(
            state.shape,
            state.usage,
            claims,
            selectors=self._selectors,
            features=self._features,
            surroundings=surroundings,
            budget=self._budget,
        )
