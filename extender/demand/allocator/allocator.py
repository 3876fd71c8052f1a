"""What kube-scheduler's allocator picks on a node: an exact, bounded replay.

`allocate` answers for one node. `Predictor` gives the same answers for many, and remembers.

Source: k8s.io/dynamic-resource-allocation structured allocator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TypeAlias, TypeVar

from extender import bounded_cache, errors
from extender.demand import work
from extender.demand.allocator import outcome_cache
from extender.demand.allocator.claims_on_shape import ClaimsOnShape, DeviceSelectors
from extender.demand.allocator.outcome import Allocated, Failed, NoFit, Outcome, Pick, Unknown
from extender.demand.allocator.search import Search
from extender.demand.requests import ClaimDemand
from extender.hardware import allocator_features, shape
from extender.hardware.usage import NOTHING, NodeState, Usage

_P = TypeVar("_P", bound="Predictor")
_Caches: TypeAlias = dict[shape.Shape, outcome_cache.OutcomeCache]

__all__ = [
    "BUDGET",
    "Allocated",
    "DeviceSelectors",
    "Failed",
    "NoFit",
    "Outcome",
    "Pick",
    "Predictor",
    "Unknown",
    "after",
    "allocate",
]

# Steps and candidates that one search may take: about 5 ms, so that no other call waits longer.
BUDGET = 2_500
# Bytes of all that is remembered. One is some kilobytes; with 1,024 solutions and
# 8,192 answers it would be 4 MB.
_MOST_BYTES = 10 * bounded_cache.MIB
_MEASURED_EVERY = 8  # caches: to add up all takes as long as to make one, and a new one is small
_PREPARING = 10  # units of work for an option, before any device is looked at


def allocate(
    machine: shape.Shape,
    usage: Usage,
    claims: tuple[ClaimDemand, ...],
    *,
    selectors: DeviceSelectors,
    features: allocator_features.AllocatorFeatures,
    surroundings: shape.Broken | None = None,
    budget: int = BUDGET,
) -> Outcome:
    """Replay the search on one node; `budget` bounds its steps, Unknown beyond it.

    `surroundings`: the worst of the broken counter pools of other nodes (`slices.broken_pools`).
    """
    prepared = ClaimsOnShape(machine, claims, selectors=selectors, features=features)
    return outcome_cache.searched(prepared, usage, surroundings=surroundings, budget=budget)


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


class Predictor:
    """Answers `allocate` for many states, remembering what is the same for all of them.

    Caches are kept per (claims, shape), answers per what of a usage matters. `steps` in an answer
    counts only what was searched for it: 0 where a remembered list of solutions gave it.
    """

    def __init__(
        self,
        *,
        selectors: DeviceSelectors,
        features: allocator_features.AllocatorFeatures,
        budget: int = BUDGET,
        spending: work.Work | None = None,
    ) -> None:
        self.work = spending or work.Work()
        self._selectors = selectors
        self._features = features
        self._budget = budget
        # claims → shape → answers, those made last at the end
        self._caches: dict[tuple[ClaimDemand, ...], _Caches] = {}
        self._begun: tuple[shape.Shape, tuple[ClaimDemand, ...], ClaimsOnShape] | None = None
        self._unmeasured = 0  # caches made since the bytes of all were added up
        # The claims asked about last: one pod is asked about on many nodes, and hashing is slow.
        self._last: tuple[ClaimDemand, ...] = ()
        self._last_caches: _Caches = self._caches.setdefault((), {})

    def like(self, kind: type[_P], selectors: DeviceSelectors) -> _P:
        """A predictor of that kind with the same rules that asks other selectors."""
        return kind(
            selectors=selectors, features=self._features, budget=self._budget, spending=self.work
        )

    def allocate(
        self,
        state: NodeState,
        claims: tuple[ClaimDemand, ...],
        *,
        surroundings: shape.Broken | None = None,
    ) -> Outcome:
        """Return what `allocate` returns for the state, but for `steps`.

        Where `allocate` runs out of budget, this may still know the answer.
        """
        return self._cache_of(state.shape, claims).answer(state.usage, surroundings)

    def outcome_of_taken(
        self, machine: shape.Shape, claims: tuple[ClaimDemand, ...], usage: Usage, /
    ) -> Outcome | None:
        """What `allocate` returns for a usage without shares, if only the taken devices matter.

        Equal outcomes on one machine are one object, as long as they are remembered.
        """
        return self._cache_of(machine, claims).answer_of_taken(usage.taken)

    def never_fits(self, machine: shape.Shape, claims: tuple[ClaimDemand, ...], /) -> bool:
        """Whether the claims do not fit while nothing is in use either."""
        return self._cache_of(machine, claims).never_fits

    def options(self, machine: shape.Shape, claims: tuple[ClaimDemand, ...], /) -> ClaimsOnShape:
        """What is known of each device of the machine for the claims."""
        return self._cache_of(machine, claims).prepared

    def _cache_of(
        self, machine: shape.Shape, claims: tuple[ClaimDemand, ...], /
    ) -> outcome_cache.OutcomeCache:
        if claims is not self._last:
            self._last, self._last_caches = claims, self._caches.setdefault(claims, {})
        known = self._last_caches.get(machine)
        return self._new(machine, claims) if known is None else known

    def may_pick(
        self,
        machine: shape.Shape,
        claims: tuple[ClaimDemand, ...],
        number: int,
        picked: Mapping[str, int],
    ) -> bool:
        """Whether claim `number` could end up with these devices in some order of the walk.

        `picked` are all devices of each request ("req" or "req/sub"), as bits. Neither what else
        is in use is looked at, nor whether wishes before the one picked from were possible.

        In one order a shared device may serve a request that another order gives several devices,
        so any solution will do, not the first one only. What the known defects add or take away
        depends on the way that a walk took: with them or without, it is possible.
        """
        # Constraints hold within a claim, so the other claims of the pod have no say.
        alone = _with_choices(claims[number], picked)
        if self._finds(machine, alone, picked, self._features):
            return True
        sound = dataclasses.replace(self._features, leak=False, distinct=False)
        if self._features.distinct:
            alone = _without_distinct(alone)
        return sound != self._features and self._finds(machine, alone, picked, sound)

    def _finds(
        self,
        machine: shape.Shape,
        claim: ClaimDemand,
        picked: Mapping[str, int],
        features: allocator_features.AllocatorFeatures,
    ) -> bool:
        """Whether some solution of the claim alone, on nothing but `picked`, has all of that."""
        prepared = self._prepared(machine, (claim,), features)
        for option in prepared.each_option():
            option.possible = picked.get(option.choice.name, 0)
        search = Search(prepared, NOTHING, budget=self._budget, remember_after=None)
        try:
            while (picks := search.run()) is not None:
                if _by_request(picks) == picked:
                    return True
        except work.SpentError:
            raise
        except errors.RailyardError:
            return False
        return False

    def configure(self, *, budget: int) -> None:
        """Search up to so many steps from now on."""
        if budget != self._budget:
            self._budget = budget
            self.forget()

    def _prepared(
        self,
        machine: shape.Shape,
        claims: tuple[ClaimDemand, ...],
        features: allocator_features.AllocatorFeatures,
    ) -> ClaimsOnShape:
        self.work.check()
        options = sum(len(request.choices) for claim in claims for request in claim.requests)
        self.work.spend(_PREPARING * (options + 1))
        return ClaimsOnShape(
            machine, claims, selectors=self._selectors, features=features, spending=self.work
        )

    def forget(self) -> None:
        """Drop all answers: selectors, and so answers, may mean something else now."""
        self._caches.clear()
        self._begun = None
        self._last = ()
        self._last_caches = self._caches.setdefault((), {})

    @property
    def figures(self) -> bounded_cache.Figures:
        """How much the answers take."""
        used = sum(_size_of(caches) for caches in self._caches.values())
        return bounded_cache.Figures("allocator-plans", used, _MOST_BYTES)

    def _drop_oldest(self) -> None:
        """Drop the answers on the claims asked about longest ago, but for those of the last."""
        self._unmeasured += 1
        if self._unmeasured < _MEASURED_EVERY:
            return
        self._unmeasured = 0
        left = self.figures.used
        for claims in list(self._caches):
            if left <= _MOST_BYTES:
                break
            if claims is not self._last:
                left -= _size_of(self._caches.pop(claims))
        if left > _MOST_BYTES:
            self._last_caches.clear()

    def _new(
        self, machine: shape.Shape, claims: tuple[ClaimDemand, ...]
    ) -> outcome_cache.OutcomeCache:
        self._drop_oldest()
        if self._begun is None or self._begun[:2] != (machine, claims):
            self._begun = machine, claims, self._prepared(machine, claims, self._features)
        _, _, prepared = self._begun
        # What is known of the devices stays where an allowance ends in the middle of this.
        known = self._last_caches[machine] = outcome_cache.OutcomeCache(
            prepared, budget=self._budget
        )
        self._begun = None
        return known


def _size_of(caches: Mapping[shape.Shape, outcome_cache.OutcomeCache]) -> int:
    return sum(known.bytes for known in caches.values())


def _by_request(picks: Iterable[Pick]) -> dict[str, int]:
    """The devices of each request, as bits."""
    found: dict[str, int] = {}
    for pick in picks:
        found[pick.request] = found.get(pick.request, 0) | 1 << pick.device
    return found


def _with_choices(claim: ClaimDemand, picked: Mapping[str, int]) -> ClaimDemand:
    """The claim with no choices but those picked from, where a request has one of these."""
    requests = []
    for request in claim.requests:
        chosen = tuple(choice for choice in request.choices if choice.name in picked)
        requests.append(dataclasses.replace(request, choices=chosen or request.choices))
    return dataclasses.replace(claim, requests=tuple(requests))


def _without_distinct(claim: ClaimDemand) -> ClaimDemand:
    """The claim without distinctAttribute, which has no effect in some orders of the walk."""
    kept = tuple(each for each in claim.constraints if not each.distinct)
    return dataclasses.replace(claim, constraints=kept)
