"""The allocator's depth-first search, step by step as upstream does it, without recursion.

A level of the search is one device of one request, one list of choices, or the end of a claim.
Levels are opened downwards; a level that runs out of candidates fails back to the one above.

Source: k8s.io/dynamic-resource-allocation allocator_incubating.go, allocateOne.
"""

from __future__ import annotations

import dataclasses
import enum

from extender import errors
from extender.demand.allocator import dead_ends
from extender.demand.allocator.claims_on_shape import MOST_DEVICES, ClaimsOnShape, Option
from extender.demand.allocator.outcome import Pick
from extender.demand.allocator.tentative_allocation import Hold, TentativeAllocation
from extender.hardware.usage import Usage

# Most searches end sooner; telling devices apart costs about as much.
_REMEMBER_AFTER = 128
# Units of work: to begin a search, with so much for a constraint and an option; to take a device or
# give one back, with so much for each constraint that it falls under; to pass over a candidate;
# to judge one that was not looked at before, beside each selector; to find that one cannot be taken
# after all, which draws counters and gives them back.
_BEGINNING, _PER_PART, _STEPPING, _PER_RULE = 60, 3, 12, 3
_PASSING, _FIRST, _TAKING = 1, 2, 6


class OutOfBudgetError(errors.RailyardError):
    """The search took more steps than it may."""


class _StepResult(enum.Enum):
    OPEN = enum.auto()  # a level is open: try its next candidate
    FAIL = enum.auto()
    TOO_MANY = enum.auto()  # more devices than a claim may have: other devices cannot help
    DONE = enum.auto()


class _LevelKind(enum.Enum):
    DEVICE = enum.auto()
    CHOICE = enum.auto()
    CLAIM = enum.auto()  # where "too many" of the next claim becomes a plain failure


@dataclasses.dataclass(slots=True)
class _SearchLevel:
    kind: _LevelKind
    claim: int
    request: int
    choice: int = 0
    ordinal: int = 0  # how many devices of the request were picked before
    start: int = 0  # the first device to try
    exceeded: bool = True  # every choice so far had too many devices
    hold: Hold | None = None
    skip: int = 0  # devices, as bits, that would fail like one that did
    key: dead_ends.Key | None = None  # the conditions under which the request was begun


class Search:
    """One search: `run` finds the first solution and, called again, the next one."""

    def __init__(
        self,
        prepared: ClaimsOnShape,
        usage: Usage,
        *,
        budget: int,
        remember_after: int | None = _REMEMBER_AFTER,
    ) -> None:
        """`remember_after`: the work after which dead ends are remembered, None for never.

        Whoever asks for a second solution must not remember any.
        """
        parts = sum(len(claim.constraints) + len(claim.requests) for claim in prepared.claims)
        prepared.work.check()
        prepared.work.spend(_BEGINNING + _PER_PART * parts)
        rules = max((len(claim.constraints) for claim in prepared.claims), default=0)
        self._stepping = _STEPPING + _PER_RULE * rules
        self._prepared = prepared
        self._usage = usage
        self._features = prepared.features
        self._tentative = TentativeAllocation(prepared, usage)
        self._levels: list[_SearchLevel] = []
        self._every: dict[int, list[int]] = {}  # id of an option of mode All → its devices
        self._verdict: _StepResult | None = None  # where `run` stopped
        self._remember_after = remember_after
        self._dead_ends: dead_ends.DeadEnds | None = None
        self._failed: dict[dead_ends.Key, _StepResult] = {}
        self._judged = prepared.judging  # the cost of selectors asked before this search
        self.budget = budget
        self.steps = 0  # as upstream counts: calls of allocateOne
        self.work = 0  # steps and candidates looked at: what the budget bounds

    # ------------------------------------------------------------ before the walk

    def prepare(self) -> None:
        """List what mode All asks for, and refuse claims of more devices than fit in one.

        Raises errors.ClaimError, and what selectors raise.
        """
        if self._features.all_forgets_choice:
            self._list_by_earlier_choices()
        for number, claim in enumerate(self._prepared.options):
            least = sum(min(self._size(option) for option in choices) for choices in claim)
            if least > MOST_DEVICES:
                raise errors.ClaimError(
                    f"claim #{number}: {least} devices exceed the claim limit of {MOST_DEVICES}"
                )

    @property
    def begun(self) -> bool:
        """Whether `run` has taken a step."""
        return self._verdict is not None

    def _size(self, option: Option) -> int:
        return len(self._listed(option)) if option.every else option.choice.count

    def _listed(self, option: Option) -> list[int]:
        """The devices that "all" means, also those in use."""
        known = self._every.get(id(option))
        if known is None:
            known = []
            self._prepared.charge_all(option)
            for device in range(self._prepared.count):
                self._check()
                if self._prepared.admits(option, device) and self._counts(option, device):
                    known.append(device)
            self._every[id(option)] = known
        return known

    def _list_by_earlier_choices(self) -> None:
        """List as up to 1.35, where a choice reads what was found for the choice before it."""
        for choices in (request for claim in self._prepared.options for request in claim):
            found: dict[int, dict[int, bool]] = {}  # choice → device → admitted
            for number, option in enumerate(choices):
                if not option.every:
                    continue
                self._prepared.charge_all(option)
                seen = found.setdefault(max(number - 1, 0), {})
                listed = self._every[id(option)] = []
                for device in range(self._prepared.count):
                    self._check()
                    if device not in seen:
                        seen[device] = self._prepared.admits(option, device)
                    if seen[device] and self._counts(option, device):
                        listed.append(device)

    def _counts(self, option: Option, device: int) -> bool:
        if not self._features.consumable_capacity:
            return True
        if self._features.all_by_remaining:
            return self._tentative.has_capacity(option, device)
        return self._prepared.has_capacity(option, device, {})

    # ------------------------------------------------------------ the walk

    def run(self) -> tuple[Pick, ...] | None:
        """Return the picks of the next solution, None when there is none (any more).

        Raises errors.ClaimError, and what selectors raise. Raises OutOfBudgetError as soon as the
        work passes the budget; with a higher `budget` the search then goes on where it was. So it
        does after a SpentError, where another call has an allowance.
        """
        if self._verdict is None:
            self._verdict = self._enter_request(0, 0)
        elif self._verdict is _StepResult.DONE:
            self._verdict = _StepResult.FAIL
        spending = self._prepared.work
        while self._verdict is not _StepResult.DONE:
            self._check()
            spending.check()
            if self._remember_after is not None and self.work > self._remember_after:
                self._begin_remembering()
            spending.spend(self._stepping)
            if self._verdict is _StepResult.OPEN:
                self._verdict = self._try(self._levels[-1])
            elif self._levels:
                self._verdict = self._back(self._levels[-1], self._verdict)
            else:
                return None
        return tuple(pick for picks in self._tentative.picks for pick in picks)

    def extend(self, budget: int) -> None:
        """Let the search go on for so many steps more."""
        self._judged = self._prepared.judging
        self.budget = self.work + budget

    def _check(self) -> None:
        if self.work + self._prepared.judging - self._judged > self.budget:
            raise OutOfBudgetError(f"no answer within {self.budget} steps")

    def _step(self) -> None:
        self.steps += 1
        self.work += 1

    def _enter_request(self, claim: int, request: int) -> _StepResult:
        """Begin a request, or what comes after the last one."""
        self._step()
        options = self._prepared.options
        while claim < len(options) and request == len(options[claim]):
            self._levels.append(_SearchLevel(_LevelKind.CLAIM, claim, request))
            claim, request = claim + 1, 0
            self._step()
        if claim == len(options):
            return _StepResult.DONE
        key = self._key(claim, request)
        if key is not None and key in self._failed:
            return self._failed[key]
        if self._prepared.claims[claim].requests[request].prioritized:
            self._levels.append(_SearchLevel(_LevelKind.CHOICE, claim, request, choice=-1, key=key))
            return _StepResult.OPEN
        return self._enter_device(claim, request, 0, 0, 0, key=key)

    def _begin_remembering(self) -> None:
        """Tell devices apart, so that dead ends are known again; SpentError: to be gone on with."""
        before = self._prepared.judging
        try:
            self._dead_ends = dead_ends.of(self._prepared, self._usage, self._tentative)
            self._remember_after = None
        finally:
            self._judged += self._prepared.judging - before  # bounded by itself

    def _key(self, claim: int, request: int) -> dead_ends.Key | None:
        return self._dead_ends.key(claim, request) if self._dead_ends else None

    def _close(self, level: _SearchLevel, verdict: _StepResult) -> _StepResult:
        """Leave the level for good: nothing below it succeeded."""
        self._levels.pop()
        if level.key is not None:
            self._failed[level.key] = verdict
        return verdict

    def _enter_device(
        self,
        claim: int,
        request: int,
        choice: int,
        ordinal: int,
        start: int,
        *,
        key: dead_ends.Key | None = None,
    ) -> _StepResult:
        """Begin one device of a request, or the next request when this one has all."""
        option = self._prepared.options[claim][request][choice]
        size = self._size(option)
        if option.every and not size:
            return _StepResult.FAIL
        if ordinal >= size:
            return self._enter_request(claim, request + 1)
        if len(self._tentative.picks[claim]) + size - ordinal > MOST_DEVICES:
            return _StepResult.TOO_MANY
        self._levels.append(
            _SearchLevel(_LevelKind.DEVICE, claim, request, choice, ordinal, start, key=key)
        )
        return _StepResult.OPEN

    def _try(self, level: _SearchLevel) -> _StepResult:
        """Take the level's next candidate and go on below it; fail when there is none left."""
        if level.kind is _LevelKind.CHOICE:
            return self._try_choice(level)
        option = self._prepared.options[level.claim][level.request][level.choice]
        if option.every:
            device = self._listed(option)[level.ordinal]
            level.hold = self._tentative.take(option, device, ordinal=level.ordinal, must=True)
        else:
            level.hold = self._take_next(level, option)
        if level.hold is None:
            return self._close(level, _StepResult.FAIL)
        self._step()
        forgets = option.every and self._features.all_forgets_choice
        return self._enter_device(
            level.claim,
            level.request,
            0 if forgets else level.choice,
            level.ordinal + 1,
            0 if self._features.permutations else level.start,
        )

    def _try_choice(self, level: _SearchLevel) -> _StepResult:
        level.choice += 1
        if level.choice == len(self._prepared.options[level.claim][level.request]):
            return self._close(level, _StepResult.TOO_MANY if level.exceeded else _StepResult.FAIL)
        self._step()
        return self._enter_device(level.claim, level.request, level.choice, 0, 0)

    def _back(self, level: _SearchLevel, verdict: _StepResult) -> _StepResult:
        """What becomes of a level when everything below it failed."""
        if level.kind is _LevelKind.CLAIM:
            return self._close(level, _StepResult.FAIL)
        if level.kind is _LevelKind.CHOICE:
            level.exceeded = level.exceeded and verdict is _StepResult.TOO_MANY
            return _StepResult.OPEN
        if level.hold is not None:
            self._tentative.give_back(level.hold)
            if self._dead_ends is not None:
                level.skip |= self._dead_ends.alike(level.hold.device)
            level.hold = None
        option = self._prepared.options[level.claim][level.request][level.choice]
        if option.every or verdict is _StepResult.TOO_MANY:
            return self._close(level, verdict)
        return _StepResult.OPEN

    def _take_next(self, level: _SearchLevel, option: Option) -> Hold | None:
        """Take the next device that passes every test, beginning at `level.start`.

        Where the allowance ends between two candidates, the next call goes on with the second.
        """
        tentative, spending = self._tentative, self._prepared.work
        wall = self._prepared.wall
        left = option.possible & ~tentative.busy(option) & ~level.skip & (-1 << level.start)
        while left:
            bit = left & -left
            left ^= bit
            device = bit.bit_length() - 1
            if wall is not None and device >= wall:
                break
            if device in option.admitted:
                spending.spend(_PASSING)
            else:
                spending.spend(_FIRST + len(option.choice.selectors))
            admitted = self._prepared.admits(option, device)
            self.work += 1
            if not admitted:
                option.possible ^= bit
            elif not self._features.consumable_capacity or tentative.has_capacity(option, device):
                hold = tentative.take(option, device, ordinal=level.ordinal, must=False)
                if hold is not None:
                    level.start = device + 1
                    return hold
                spending.spend(_TAKING)
            level.start = device + 1
            if left:  # one candidate at least is passed over in a call, however little it may do
                spending.check()
        if wall is not None:
            raise errors.ClaimError("a resource pool is invalid")
        return None
