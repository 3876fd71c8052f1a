"""Which pods to evict beside those offered: as few as will do, the least important first.

Levels of priority are gone through as kube-scheduler's preemption does: the highest priority that
dies is as low as can be, and within it as few as will do. Whoever can stay stays.

Source: DefaultPreemption.SelectVictimsOnNode, util.MoreImportantPod.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeAlias

# Sets of victims tried per node and level: 8 pods taken 4 at a time are 70.
MOST_SETS = 70

Uids: TypeAlias = frozenset[str]
Fits: TypeAlias = Callable[[Uids], bool]  # whether the pod fits without these pods


@dataclasses.dataclass(frozen=True, slots=True)
class Evictable:
    """A pod that may be evicted; two that hold as much of the same have equal `holds`.

    `leaving`: it is being deleted already, so that its eviction costs nobody anything.
    """

    uid: str
    priority: int
    started: str = ""  # empty: not yet
    leaving: bool = False
    holds: Hashable = None

    @property
    def level(self) -> tuple[bool, int]:
        """What is compared before all else: the lower level is evicted first."""
        return (not self.leaving, self.priority)


def least_important_first(candidates: Iterable[Evictable]) -> list[Evictable]:
    """Lower priority goes first, of equal ones the pod that started last, as in kube-scheduler."""
    found = sorted(candidates, key=lambda each: each.uid)
    found.sort(key=lambda each: (not each.started, each.started), reverse=True)
    found.sort(key=lambda each: each.level)
    return found


def additions(given: Uids, candidates: Iterable[Evictable], fits: Fits) -> Uids | None:
    """The pods to evict beside the given ones; None where no set was found.

    No proper subset of them would do, given the others.
    """
    ordered = [each for each in least_important_first(candidates) if each.uid not in given]
    levels = [list(group) for _, group in itertools.groupby(ordered, lambda each: each.level)]
    below: list[Evictable] = []
    for top, level in enumerate(levels):
        below += level
        if fits(given | _uids(below)):
            return _spared(given, levels[: top + 1], fits) - given
    # More free devices are not always better: the allocator takes the first ones, close or not.
    return next((found for found in _sets(ordered, len(ordered)) if fits(given | found)), None)


def _spared(given: Uids, levels: Sequence[Sequence[Evictable]], fits: Fits) -> Uids:
    """The given pods and those that must die with them, from the highest level down."""
    dying = given
    for index in range(len(levels) - 1, -1, -1):
        rest = _uids(itertools.chain.from_iterable(levels[:index]))
        dying |= _fewest(dying | rest, levels[index], fits)
    return dying


def _fewest(gone: Uids, level: Sequence[Evictable], fits: Fits) -> Uids:
    """The smallest set of the level that must go, too; all of it is known to do."""
    dying = _uids(level)
    for each in reversed(level):  # the most important is spared first
        if fits(gone | dying - {each.uid}):
            dying -= {each.uid}
    if len({each.holds for each in level}) > 1:  # else any set as small frees as little
        for found in _sets(level, len(dying) - 1):
            if fits(gone | found):
                return found
    return dying


def _sets(level: Sequence[Evictable], largest: int) -> Iterator[Uids]:
    """Yield sets of candidates, the smaller and the less important first, not all there may be."""
    sizes = range(1, largest + 1)
    every = (itertools.combinations(level, size) for size in sizes)
    for found in itertools.islice(itertools.chain.from_iterable(every), MOST_SETS):
        yield _uids(found)


def _uids(candidates: Iterable[Evictable]) -> Uids:
    return frozenset([each.uid for each in candidates])
