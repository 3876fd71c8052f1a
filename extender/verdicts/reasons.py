"""Why a node is refused, in words: what is needed, and what is there.

The texts stand in FailedScheduling events, explain and metrics. kube-scheduler joins them and
counts equal ones, in an event of 1 KB: so they are short, name no nodes, and are equal where the
situation is. docs/reasons.md lists them all.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Hashable, Mapping

from extender.demand import work
from extender.hardware.shape import Level, Shape
from extender.hardware.usage import Usage
from extender.verdicts import query as queries

_MOST = 240  # characters of a reason
_LEVELS = {
    Level.PIX: ("under one PCIe switch (PIX)", "shares a PCIe switch (PIX)"),
    Level.PXB: ("behind the PCIe switches of one root (PXB)", "shares a PCIe root (PXB)"),
    Level.PHB: ("behind one PCIe root (PHB)", "shares a PCIe root (PHB)"),
    Level.NODE: ("on one NUMA node (NODE)", "shares a NUMA node (NODE)"),
    Level.SYS: ("on one machine (SYS)", "is on different NUMA nodes (SYS)"),
    Level.UNKNOWN: ("", "does not share a PCIe root"),
}


class ReasonText(enum.StrEnum):
    """Every reason for which a node is refused."""

    THERE = "needs {needs}; node has {there}"
    PLUGIN = "{reason}; a device plug-in has {devices}"
    FREE = "needs {needs}; {free}"
    NO_MATCH = "no {device} matches the {selector} ({others})"
    FEW_MATCH = "needs {needs}; {count} the {selector} ({others})"
    TAINTED = "{count} tainted ({keys})"
    SOME_TAINTED = "needs {needs}; {count} tainted ({keys})"
    NO_CAPACITY_LEFT = "no {device} has {amount} of {total} {capacity} left (most: {most})"
    NO_CAPACITY = "no {device} has {amount} {capacity} (most: {most})"
    FEW_WITH_CAPACITY = "needs {needs}; {count} {amount} {capacity} left"
    CAPACITY_NAME = "no {device} has a capacity named {capacity} (there are: {names})"
    CAPACITY_POLICY = "no {device} allows a request of {amount} {capacity}"
    PARTITION = "no room for {partition} (free placements: {placements})"
    PARTITIONED = "needs {needs}; {free} (the others are in use as partitions)"
    NOT_TOGETHER = "needs {needs}; no {group} has them all (most: {most})"
    NOT_FREE_TOGETHER = "needs {needs}; no {group} has them all free (most: {most})"
    NOT_PUBLISHED = "needs {needs}; no {device} publishes its {group}"
    CONSTRAINTS = "needs {needs}; the devices do not meet its constraints"
    COMPETING = "needs {needs}; its requests compete for the same devices"
    UNCLEAR = "needs {needs}; too few devices suit or are free"
    POOL = "{reason}; a resource pool is {broken}"
    LOCALITY = "needs GPU and NIC {needed}; {subject} {found}"
    LOCALITY_NOT_PUBLISHED = "locality of GPU and NIC is not published"
    FAILED = "device claim cannot be evaluated here: {error}"
    ELSEWHERE = "claim is allocated on another node"


class Lazy(abc.ABC):
    """A text that is made when it is read first; most verdicts are never read.

    Where `make` raises work.SpentError, `meanwhile` is read instead; the next reader tries again.
    """

    __slots__ = ("_text",)

    def __init__(self) -> None:
        self._text: str | None = None

    @abc.abstractmethod
    def make(self) -> str:
        """The text. Raises work.SpentError."""

    @abc.abstractmethod
    def basis(self) -> Hashable:
        """All that the text depends on, its query apart. Raises work.SpentError."""

    def meanwhile(self) -> str:
        """What is read where the allowance ends before the text is made."""
        return ""

    @property
    def made(self) -> bool:
        return self._text is not None

    def __str__(self) -> str:
        return self.text({})

    def text(self, known: dict[Hashable, str]) -> str:
        """The text; taken from `known`, by its basis, or left there."""
        found = self._text
        if found is None:
            try:
                basis = self.basis()
                found = known.get(basis)
                if found is None:
                    found = known[basis] = self.make()
            except work.SpentError:
                return self.meanwhile()
            self._text = found
        return found

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def bounded(text: str) -> str:
    """The reason, cut where it is too long for an event that holds others, too."""
    return text if len(text) <= _MOST else text[: _MOST - 1] + "…"


def failed(error: str) -> str:
    """The reason where kube-scheduler itself would fail on the claim."""
    return bounded(ReasonText.FAILED.format(error=error))


# ---------------------------------------------------------------- units of device plug-ins


def of_units(query: queries.Query, machine: Shape, usage: Usage, *, for_good: bool = False) -> str:
    """The reason where units of device plug-ins are too few; `for_good`: whoever leaves."""
    needed: dict[str, int] = {}
    free: dict[str, int] = {}
    indices = {resource.name: index for index, resource in enumerate(machine.resources)}
    offered = [(name, count) for name, count in query.extended if name in indices]
    short = any(machine.resources[indices[name]].count < count for name, count in offered)
    busy = not for_good and any(
        _left(usage, machine, indices[name]) < count for name, count in offered
    )
    for name, count in offered if short or busy else query.extended:
        word = queries.noun(name)
        needed[word] = needed.get(word, 0) + count
        free[word] = free.get(word, 0) + (
            _left(usage, machine, indices[name]) if name in indices else 0
        )
    present = units(query, machine, all_of_them=not busy)
    needs = queries.describe(query)
    if short or not busy:
        return bounded(ReasonText.THERE.format(needs=needs, there=there(present)))
    few = [free_of(free[w], present[w], w) for w, count in needed.items() if free[w] < count]
    return bounded(ReasonText.FREE.format(needs=needs, free=", ".join(few)))


class OfUnits(Lazy):
    """The reason where units of device plug-ins are too few, made later."""

    __slots__ = ("_for_good", "_machine", "_query", "_usage")

    def __init__(
        self, query: queries.Query, machine: Shape, usage: Usage, *, for_good: bool = False
    ) -> None:
        super().__init__()
        self._query, self._machine, self._usage = query, machine, usage
        self._for_good = for_good

    def make(self) -> str:
        return of_units(self._query, self._machine, self._usage, for_good=self._for_good)

    def basis(self) -> Hashable:
        return self._machine, self._for_good or self._usage.held


def units(query: queries.Query, machine: Shape, *, all_of_them: bool = False) -> dict[str, int]:
    """How many units of what is needed the node's plug-ins offer, by their word.

    `all_of_them`: with those that it does not offer, too.
    """
    found: dict[str, int] = {}
    counts = {resource.name: resource.count for resource in machine.resources}
    for name, _ in query.extended:
        if all_of_them or name in counts:
            word = queries.noun(name)
            found[word] = found.get(word, 0) + counts.get(name, 0)
    return found


def _left(usage: Usage, machine: Shape, index: int) -> int:
    held = usage.held[index] if usage.held else 0
    return max(machine.resources[index].count - held, 0)


def unclear(query: queries.Query) -> str:
    """The reason where nothing is left of the call's allowance to find a better one."""
    return bounded(ReasonText.UNCLEAR.format(needs=queries.describe(query)))


def of_locality(needed: Level, found: Level, nearest: Level, *, free: bool) -> str:
    """The reason where a profile requires a locality: of the pairs it would get, one is `found`.

    `nearest` is the level of the closest pair of a GPU and a NIC, among the free ones if `free`.
    """
    subject = "nearest free pair" if free else "nearest pair"
    if nearest <= needed:  # there is one, but not for all, or not in the allocator's order
        subject, nearest = "a pair it would get", found
    return ReasonText.LOCALITY.format(
        needed=_LEVELS[needed][0], subject=subject, found=_LEVELS[nearest][1]
    )


def there(counts: Mapping[str, int]) -> str:
    """What a node has of what is needed: "8 GPUs + 4 NICs", "none"."""
    if not any(counts.values()):
        return "none"
    having = " + ".join(queries.counted(count, word) for word, count in counts.items() if count)
    without = " or ".join(queries.one(word) for word, count in counts.items() if not count)
    return f"{having}, but no {without}" if without else having


def free_of(free: int, count: int, word: str) -> str:
    """How many of them are free: "2 of 8 GPUs are free"."""
    if count == 1 and not free:
        return f"its only {queries.one(word)} is in use"
    return f"{free} of {queries.counted(count, word)} {'is' if free == 1 else 'are'} free"
