"""All ways to satisfy a pod's claims on one shape, found once and asked for every usage.

Where no counters, shares or defects are involved, the search visits the same solutions in the same
order whatever is in use; what is in use only rules solutions out. So the first solution whose
devices are all free is the one that the search would have found.
"""

from __future__ import annotations

from extender import errors
from extender.demand.allocator import dead_ends, unschedulable
from extender.demand.allocator.claims_on_shape import ClaimsOnShape, Option
from extender.demand.allocator.outcome import Allocated, NoFit, Pick
from extender.demand.allocator.search import OutOfBudgetError, Search
from extender.hardware.usage import NOTHING

# Beyond so many solutions remembering them costs more than searching anew.
_MOST = 1024
# Solutions beside each other have most devices in common: so many are skipped by one look.
_BLOCK = 16


class Solutions:
    """The solutions over an unused shape, in the order of the search, found as they are needed."""

    def __init__(self, prepared: ClaimsOnShape, *, certain: bool) -> None:
        self._certain = certain
        self._search = Search(prepared, NOTHING, budget=0, remember_after=None)
        self._search.prepare()
        self._masks: list[int] = []
        self._found: list[Allocated] = []
        self._seen: set[int] = set()
        self._common: list[int] = []  # block → the devices that all its solutions have
        self._complete = False
        self._quick = unschedulable.QuickCheck(prepared)
        # The devices that can be part of a solution, as bits.
        self.relevant = 0
        for option in prepared.each_option():
            self.relevant |= prepared.admitted(option)

    def __len__(self) -> int:
        return len(self._found)

    def first(self, taken: int, *, budget: int) -> Allocated | NoFit:
        """Return the first solution without the taken devices, or that there is none.

        Raises OutOfBudgetError when finding more solutions takes more steps than `budget`, or
        there are too many to remember.
        """
        missing = self._quick.missing(taken)
        if missing is not None:
            return missing
        for block, common in enumerate(self._common):
            if common & taken:
                continue
            for number in range(block * _BLOCK, min((block + 1) * _BLOCK, len(self._masks))):
                if not self._masks[number] & taken:
                    return self._found[number]
        found = self._later(taken, budget)
        return self._quick.otherwise() if found is None else found

    def _later(self, taken: int, budget: int) -> Allocated | None:
        """Find more solutions, up to one without the taken devices."""
        self._search.extend(budget)
        while not self._complete:
            if len(self._masks) >= _MOST:
                raise OutOfBudgetError(f"more than {_MOST} ways to satisfy the claims")
            picks = self._search.run()
            if picks is None:
                self._complete = True
                break
            mask = _mask(picks)
            if mask in self._seen:
                continue  # the same devices in other hands come later, if at all
            self._remember(mask, Allocated(picks, 0, certain=self._certain))
            if not mask & taken:
                return self._found[-1]
        return None

    def _remember(self, mask: int, solution: Allocated) -> None:
        if len(self._masks) % _BLOCK:
            self._common[-1] &= mask
        else:
            self._common.append(mask)
        self._seen.add(mask)
        self._masks.append(mask)
        self._found.append(solution)


def of(prepared: ClaimsOnShape, *, certain: bool) -> Solutions | None:
    """Return the solutions, None where they depend on more than which devices are taken."""
    try:
        if not prepared.cheap or not all(_plain(prepared, o) for o in prepared.each_option()):
            return None
        return Solutions(prepared, certain=certain)
    except (errors.ClaimError, errors.SelectorError, errors.UnknownSelectorError):
        # The search may end before it comes to what fails here.
        return None


def _plain(prepared: ClaimsOnShape, option: Option) -> bool:
    """Whether what the option accepts depends on which devices are taken, and nothing else."""
    if option.plain is None:
        option.plain = _is_plain(prepared, option)
    return option.plain


def _is_plain(prepared: ClaimsOnShape, option: Option) -> bool:
    if option.choice.admin_access or not dead_ends.sound(prepared, option):
        return False
    if not prepared.features.partitionable:
        return True
    admitted = prepared.admitted(option)
    return not any(admitted >> d & 1 and prepared.draws(d) for d in range(prepared.count))


def _mask(picks: tuple[Pick, ...]) -> int:
    mask = 0
    for pick in picks:
        mask |= 1 << pick.device
    return mask
