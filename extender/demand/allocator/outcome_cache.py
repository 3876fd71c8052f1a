"""One pod's claims on one shape, answered for any usage: what the predictor keeps."""

from __future__ import annotations

import functools
from typing import TypeAlias

from extender import errors
from extender.demand import requests
from extender.demand.allocator import solutions, unschedulable
from extender.demand.allocator.claims_on_shape import ClaimsOnShape
from extender.demand.allocator.outcome import Allocated, Failed, NoFit, Outcome, Unknown
from extender.demand.allocator.search import OutOfBudgetError, Search
from extender.demand.requests import ClaimDemand
from extender.hardware import bitmask, shape
from extender.hardware.usage import NOTHING, Usage

# What of a usage matters to the claims: taken devices, and where they matter shares and counters.
_Key: TypeAlias = int | tuple[int, object, object]
# Answers kept: a node of thirteen devices has so many conditions.
_MOST = 8192
_ANSWER = 400  # bytes of an answer, or of a solution

_INVALID = "invalid resource pools were encountered"
_NOT_ALL = Failed(
    "asks for all devices, but a resource pool is being updated or invalid", whole_pod=True
)


class OutcomeCache:
    """The claims on the shape; `answer` is the search's answer, remembered."""

    def __init__(self, prepared: ClaimsOnShape, *, budget: int) -> None:
        self._prepared = prepared
        self._budget = budget
        self._has_mode_all = has_mode_all(prepared.claims)
        self._broken = broken_of(prepared.machine, None)
        self._solutions = solutions.of(prepared, certain=certain(prepared))
        self._devices = (1 << prepared.count) - 1
        self._size = prepared.bytes  # as known after the last search
        self._answers: dict[_Key, Outcome] = {}
        # The search that an allowance ended in the middle of, and what it is for.
        self._begun: tuple[Usage, Search] | None = None

    @property
    def bytes(self) -> int:
        """What is known of devices, the solutions and the answers take, about."""
        found = 0 if self._solutions is None else len(self._solutions)
        return self._size + _ANSWER * (len(self._answers) + found)

    def answer_of_taken(self, taken: int) -> Outcome | None:
        """What `answer` returns for any usage without shares that has these devices taken.

        It is one object for equal answers. None where it may depend on more than what is taken.
        """
        found = self._solutions
        if found is None or self._broken:
            return None
        key = taken & found.relevant
        known = self._answers.get(key)
        if known is None:
            known = self._known(Usage(taken))
        return None if known.steps else known

    def answer(self, usage: Usage, surroundings: shape.Broken | None) -> Outcome:
        """Return what the search says, see `allocator.allocate`."""
        broken = self._broken if surroundings is None else self._broken | {surroundings}
        if self._has_mode_all and broken:
            return _NOT_ALL
        known = self._known(usage)
        invalid = shape.Broken.INVALID in broken and not self._prepared.features.mixed_slices
        if invalid and isinstance(known, NoFit):
            return Failed(_INVALID, whole_pod=False, steps=known.steps)
        return known

    @property
    def prepared(self) -> ClaimsOnShape:
        """What is known of each device for the claims."""
        return self._prepared

    @functools.cached_property
    def never_fits(self) -> bool:
        """Whether the search says no even while nothing is in use."""
        return isinstance(self.answer(NOTHING, None), NoFit)

    def _known(self, usage: Usage) -> Outcome:
        found = self._solutions
        if (
            usage.shared
            and found is not None
            and any(found.relevant >> device & 1 for device, _ in usage.shared)
        ):
            found = None
        key: _Key = (
            (usage.taken & self._devices, usage.shared, usage.drawn)
            if found is None
            else usage.taken & found.relevant
        )
        known = self._answers.get(key)
        if known is None:
            if len(self._answers) >= _MOST:
                self._answers.clear()
            known = self._answers[key] = self._new(usage, found)
        return known

    def _new(self, usage: Usage, found: solutions.Solutions | None) -> Outcome:
        if found is not None:
            try:
                return found.first(usage.taken, budget=self._budget)
            except OutOfBudgetError:
                pass  # too many ways to list: the search may still be lucky
        if self._has_mode_all and self._broken:
            return _NOT_ALL
        if self._begun is None or self._begun[0] != usage:
            self._begun = usage, Search(self._prepared, usage, budget=self._budget)
        outcome = _outcome(self._begun[1], self._prepared, usage, self._broken)
        self._begun = None
        self._size = self._prepared.bytes
        return outcome


def searched(
    prepared: ClaimsOnShape, usage: Usage, *, surroundings: shape.Broken | None, budget: int
) -> Outcome:
    """Search afresh; see `allocator.allocate`."""
    broken = broken_of(prepared.machine, surroundings)
    if broken and has_mode_all(prepared.claims):
        return _NOT_ALL
    return _outcome(Search(prepared, usage, budget=budget), prepared, usage, broken)


def _outcome(
    search: Search, prepared: ClaimsOnShape, usage: Usage, broken: frozenset[shape.Broken]
) -> Outcome:
    """Search to the end, from where the search is."""
    try:
        if not search.begun:
            search.prepare()
        picks = search.run()
    except (OutOfBudgetError, errors.UnknownSelectorError) as problem:
        return Unknown(search.steps, str(problem))
    except (errors.ClaimError, errors.SelectorError) as problem:
        return Failed(str(problem), whole_pod=True, steps=search.steps)
    if picks is not None:
        return Allocated(picks, search.steps, certain=certain(prepared))
    if shape.Broken.INVALID in broken and not prepared.features.mixed_slices:
        return Failed(_INVALID, whole_pod=False, steps=search.steps)
    return unschedulable.reason_for(prepared, usage, search.steps)


def broken_of(machine: shape.Shape, surroundings: shape.Broken | None) -> frozenset[shape.Broken]:
    """In which ways pools of the machine, or counter pools around it, are broken; none: empty."""
    found = {pool.broken for pool in machine.pools} | {surroundings}
    return frozenset(each for each in found if each is not None)


def has_mode_all(claims: tuple[ClaimDemand, ...]) -> bool:
    """Whether some choice has mode All."""
    return any(
        choice.mode == requests.ALL
        for claim in claims
        for request in claim.requests
        for choice in request.choices
    )


def certain(prepared: ClaimsOnShape) -> bool:
    """Whether the order of the walk is known: always from 1.36 on, else where there is but one.

    One is enough for each request: the slices in which it admits nothing may stand anywhere.
    """
    if prepared.features.pool_order_known:
        return True
    if prepared.wall is not None or not prepared.cheap:
        return False
    try:
        return all(
            _in_one_slice(prepared, prepared.admitted(option)) for option in prepared.each_option()
        )
    except (errors.SelectorError, errors.UnknownSelectorError):
        return False


def _in_one_slice(prepared: ClaimsOnShape, devices: int) -> bool:
    holding = {prepared.pool_of[device] for device in bitmask.positions(devices)}
    return len(holding) <= 1 and all(prepared.machine.pools[pool].slices == 1 for pool in holding)
