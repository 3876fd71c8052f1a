"""What selectors that read what is apart say of the devices of each node, found once and kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from extender import bounded_cache, errors
from extender.cluster import index
from extender.demand import selectors, work
from extender.hardware import shape
from extender.hardware.dra import device_reader as published_devices
from extender.kube.api import objects
from extender.verdicts.by_node import selector_split

# Bytes of all selectors' columns: 16 a node, and what one says of devices is mostly the same.
_MOST_COLUMNS = 4 * bounded_cache.MIB
_CELL = 16
_MOST_SAID = 16_384  # remembered so that equal ones are one; 250 bytes each
# Units of work: to make a device as published, and to ask a selector that is in memory.
_PUBLISHING, _ASKING = 12, 1


class _Fault(NamedTuple):
    """A selector failed on a device; `known` is false where only we cannot judge it."""

    message: str
    known: bool
    compiled: bool


class Said(NamedTuple):
    """What a selector says of a node's devices: which were asked, which match, which fail."""

    expression: str
    asked: int
    matching: int
    faults: tuple[tuple[int, _Fault], ...] = ()

    def of(self, device: int) -> bool | _Fault | None:
        """Of one device; None if it was not asked."""
        if not self.asked >> device & 1:
            return None
        if self.faults:
            fault = dict(self.faults).get(device)
            if fault is not None:
                return fault
        return bool(self.matching >> device & 1)


Found: TypeAlias = tuple[Said, ...]


class _Column:
    """What one selector says on each row, as far as it was asked."""

    def __init__(self, rows: int) -> None:
        self.read: NDArray[np.int64] = np.full(rows, -1, dtype=np.int64)  # of the machine asked
        self.said: list[Said | None] = [None] * rows

    def grow(self, rows: int) -> None:
        more = rows - len(self.said)
        self.read = np.concatenate([self.read, np.full(more, -1, dtype=np.int64)])
        self.said += [None] * more


class Findings:
    """Asks selectors about published devices, as far as the call's allowance goes."""

    def __init__(
        self, cluster: index.TopologyIndex, shared: selectors.Shared, spending: work.Work
    ) -> None:
        self._index = cluster
        self._shared = shared
        self.work = spending
        self._begun: _NodeMatches | None = None  # the node asked about last: it may not be finished
        self._columns: dict[str, _Column] = {}  # expression → what it says
        self._same: dict[Said, Said] = {}  # equal ones are one

    def __len__(self) -> int:
        return len(self._columns)

    def keep(self, expressions: Collection[str]) -> None:
        """Forget all other selectors."""
        gone = [text for text in self._columns if text not in expressions]
        for text in gone:
            del self._columns[text]
        if gone:
            self._same.clear()

    def of(self, row: int, chains: tuple[selector_split.Chain, ...]) -> Found | None:
        """What the selectors in these chains that read what is apart say of the row's devices.

        None where nothing is left to spend before all of it is found; what is found is kept.
        """
        detail = self._index.details[row]
        if detail is None:
            return ()
        node = self._begun
        if node is None or not node.is_on(row, chains):
            node = self._begun = _NodeMatches(self, row, detail, chains)
        complete = node.finish()
        found = node.keep()
        return found if complete else None

    def column(self, text: str) -> _Column:
        """What the selector says."""
        found = self._columns.get(text)
        if found is None:
            rows = len(self._index.state)
            while self._columns and _CELL * rows * (len(self._columns) + 1) > _MOST_COLUMNS:
                del self._columns[next(iter(self._columns))]
            found = self._columns[text] = _Column(rows)
        if len(found.said) < len(self._index.state):
            found.grow(len(self._index.state))
        return found

    def caches(self) -> Iterator[bounded_cache.Figures]:
        """How full its caches are."""
        used = _CELL * sum(len(column.said) for column in self._columns.values())
        yield bounded_cache.Figures("selector-matches", used, _MOST_COLUMNS)
        entries = bounded_cache.ENTRIES
        yield bounded_cache.Figures("selector-findings", len(self._same), _MOST_SAID, entries)

    def one(self, said: Said) -> Said:
        """The one of all equal ones."""
        if len(self._same) >= _MOST_SAID:
            self._same.clear()
        return self._same.setdefault(said, said)

    @property
    def index(self) -> index.TopologyIndex:
        return self._index

    @property
    def shared(self) -> selectors.Shared:
        return self._shared


class _NodeMatches:
    """One node while its devices are asked about."""

    def __init__(
        self, whole: Findings, row: int, detail: index.Row, chains: tuple[selector_split.Chain, ...]
    ) -> None:
        self._whole = whole
        self._row = row
        self._chains = chains
        self._next = 0  # the device to ask about
        self._inventory = detail.machine.inventory
        self._read = int(whole.index.read[row])
        self._said: dict[str, Said] = {}
        self._published: tuple[objects.Device, ...] = ()  # from the first question on
        self._own: shape.Device | None = None  # the device asked about last, with its values
        self._position = -1
        self._asked = False  # whether a selector was, since `finish` began

    def is_on(self, row: int, chains: tuple[selector_split.Chain, ...]) -> bool:
        """Whether it is about this row's machine as it is now, and about these selectors."""
        return (
            self._row == row
            and self._chains is chains
            and self._read == int(self._whole.index.read[row])
        )

    def finish(self) -> bool:
        """Ask about the devices that are left; false where the allowance ends before.

        At least one selector is asked, so that some call comes to the end.
        """
        self._asked = False
        try:
            for device in range(self._next, len(self._inventory.devices)):
                if not all(self._judge_devices(device, chain) for chain in self._chains):
                    return False
                self._next = device + 1
        except work.SpentError:
            return False
        return True

    def _judge_devices(self, device: int, chain: selector_split.Chain) -> bool:
        """Ask the selectors of a choice one after the other, as the search does; false: no means.

        The rest of the chain is not asked once one does not match.
        """
        shared = self._whole.shared
        for text in chain:
            if not shared.reads_apart(text):
                self._whole.work.spend(_ASKING)
                if not shared.admits(text, self._inventory.devices[device]):
                    return True
                continue
            said = self._of(text).of(device)
            if said is None:
                if self._asked and self._whole.work.spent:
                    return False
                said = self._find(text, device)
            if said is not True:
                return True
        return True

    def keep(self) -> Found:
        """Keep what was found on the node, and return it."""
        found = []
        for text, said in self._said.items():
            column = self._whole.column(text)
            column.said[self._row] = one = self._whole.one(said)
            column.read[self._row] = self._read
            found.append(one)
        return tuple(found)

    def _of(self, text: str) -> Said:
        said = self._said.get(text)
        if said is None:
            column = self._whole.column(text)
            known = column.said[self._row] if column.read[self._row] == self._read else None
            said = self._said[text] = known or Said(text, 0, 0)
        return said

    def _find(self, text: str, device: int) -> bool | _Fault:
        result = self._whole.shared.each.outcome(text, self._device(device))
        self._asked = True
        said, bit = self._said[text], 1 << device
        if isinstance(result, bool):
            matching = said.matching | bit if result else said.matching
            self._said[text] = said._replace(asked=said.asked | bit, matching=matching)
            return result
        fault = _fault(result)
        faults = (*said.faults, (device, fault))
        self._said[text] = said._replace(asked=said.asked | bit, faults=faults)
        return fault

    def _device(self, position: int) -> shape.Device:
        if self._own is None or self._position != position:
            self._whole.work.spend(_PUBLISHING)
            self._published = self._published or self._inventory.published()
            known, own = self._inventory.devices[position], self._published[position]
            self._own, self._position = published_devices.with_values(known, own), position
        return self._own


def by_device(found: Found) -> dict[int, dict[str, selectors.Result]]:
    """Device → expression → what it says, for the devices asked about."""
    said_of: dict[int, dict[str, selectors.Result]] = {}
    for said in found:
        left = said.asked
        while left:
            bit = left & -left
            left ^= bit
            device = bit.bit_length() - 1
            result = said.of(device)
            own = said_of.setdefault(device, {})
            own[said.expression] = _error(result) if isinstance(result, _Fault) else bool(result)
    return said_of


def _fault(problem: errors.SelectorError | errors.UnknownSelectorError) -> _Fault:
    if isinstance(problem, errors.SelectorError):
        return _Fault(str(problem), known=True, compiled=problem.compiled)
    return _Fault(str(problem), known=False, compiled=True)


def _error(fault: _Fault) -> errors.SelectorError | errors.UnknownSelectorError:
    if fault.known:
        return errors.SelectorError(fault.message, compiled=fault.compiled)
    return errors.UnknownSelectorError(fault.message)
