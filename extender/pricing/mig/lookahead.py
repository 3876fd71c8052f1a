"""What a placement does to the next partition: `placements` over the rows of the cluster.

Only asks for one device that draws counters take part, and cost nothing where there are none. Few
states of a board come again and again on all nodes, so a row is kept as the looks at its boards;
prices turn them into GPUs. A bounded number of rows is looked at per request: until all are known,
nothing is said.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.cluster.states import States
from extender.hardware.shape import Shape
from extender.pricing import placement_counts
from extender.pricing.mig import partitioned_gpus, placement_states, placements
from extender.pricing.mix.demand_mix import DemandClasses, Floats
from extender.verdicts.query import Query, single_unit

Rows = NDArray[np.integer]

_MOST_LOOKS = 8192  # at boards in some state: with 16 asks 4 MB
_MOST_QUESTIONS = 256  # of a burst, of which is known which ask they are
_MOST_SIZES = 32  # of pods of a burst; 5,000 rows and 16 asks are 640 KB each
# Rows looked at per request: at 20 µs each, what a request may wait.
ALLOWANCE = 200
_NO_LIMIT = 1 << 62
_NOTHING = 0  # the look at no board
_UNKNOWN = -1


@dataclasses.dataclass(frozen=True, slots=True)
class _UnitCosts:
    """What each ask costs per row beside a pod of one size, and the row's version it is of."""

    offers: Floats
    version: NDArray[np.int64]


class Lookahead:
    """Looks one partition ahead; `next_loss` and `position` are what scoring asks for."""

    def __init__(
        self,
        cluster: index.TopologyIndex,
        counted: placement_counts.PlacementCounts,
        *,
        patient: bool = True,
    ) -> None:
        self._index = cluster
        self.boards = partitioned_gpus.PartitionedGpus(cluster, counted)
        self._allowance = _NO_LIMIT if patient else ALLOWANCE
        self._left = self._allowance
        self._states = States()
        self._now = partitioned_gpus.PartitionUnits.none()
        self._nowhere = 0.0
        self._number: dict[Query, int] = {}  # demand → the ask it is for one of, or -1
        self._seen = placement_states.GpuStates(0)
        # shape → per board and ask, the devices that serve it
        self._suits: dict[Shape, tuple[tuple[int, ...], ...]] = {}
        # Per row: the looks at its boards; per ask the first board with room, or -1, and what the
        # ask costs there, in GPUs, inf where it has no room. Valid at `_version` of the index.
        self._look: NDArray[np.int32] = np.zeros((0, 0), dtype=np.int32)
        self._first: NDArray[np.int16] = np.zeros((0, 0), dtype=np.int16)
        self._offers: Floats = np.zeros((0, 0))
        self._version: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        # (ask, CPU, memory) of a pod → what is left beside it, the latest last
        self._known: dict[tuple[int, int, int], _UnitCosts] = {}

    @property
    def asks(self) -> tuple[Query, ...]:
        """The asks that are looked ahead to."""
        return self._now.asks

    def names(self) -> list[str]:
        """What people call the asks: the profile of a device that serves it, where it has one."""
        return [self.boards.name(ask) for ask in self._now.asks]

    def allow(self) -> None:
        """Begin anew with a whole allowance of rows, and know the machines that are new."""
        self._left = self._allowance
        self.boards.renew()
        if self._index.states is not self._states:
            self._states = self._index.states
            self._suits.clear()
        if len(self._seen) > _MOST_LOOKS:
            self._forget()

    def take(self, classes: DemandClasses, prices: Floats) -> None:
        """Go on with this mix at these prices."""
        if not self.boards:
            return
        asks, self._now = self._now.asks, self.boards.asks(classes, prices)
        if asks != self._now.asks:
            self._forget()
        self._seen.price(self._now.price)
        empty = [
            self._seen.at(board.cut, 0, (), suits)
            for hardware in self.boards
            for board, suits in zip(self.boards.of(hardware), self._suits_of(hardware), strict=True)
        ]
        self._nowhere = placements.COST_OF_NO_PLACE * float(
            self._seen.whole[empty].max(initial=0.0)
        )
        self._known.clear()
        self._price_rows(np.flatnonzero(self._version != _UNKNOWN))

    def next_loss(self, question: Query, rows: Rows, *, cpu: int, memory: int) -> Floats | None:
        """How much more the next partition would cost were this pod put on each row, in GPUs.

        Per row and ask, weighed by how likely it is that one; None where nothing can be said.
        """
        ask = self._ask_of(question)
        if ask < 0 or not self._refresh():
            return None
        then = self._then(ask, cpu, memory)[rows]
        return placements.next_loss(self._offers, rows, then, self._now.weight, self._nowhere)

    def position(self, question: Query, rows: Rows) -> Floats | None:
        """On which board of each row the driver would put this; NaN where on none.

        None where the demand is not for one partition. Of equal losses the earliest board is best:
        what stands open in front gets every small partition that comes, so it is filled first and
        the boards behind it stay whole. Measured: 0.2 points of slices under a first-fit driver.
        """
        ask = self._ask_of(question)
        if ask < 0 or not self._refresh():
            return None
        found: Floats = self._first[rows, ask].astype(np.float64)
        found[found < 0] = np.nan
        return found

    def _ask_of(self, question: Query) -> int:
        """Which of the asks the demand is for exactly one of, -1 for none."""
        if not self._now.asks:
            return -1
        found = self._number.get(question)
        if found is None:
            unit, count = single_unit(question)
            known = count == 1 and unit in self._now.asks
            found = self._now.asks.index(unit) if known else -1
            if len(self._number) >= _MOST_QUESTIONS:
                self._number.clear()
            self._number[question] = found
        return found

    # ------------------------------------------------------------ rows

    def _refresh(self) -> bool:
        """Bring the rows up to date; false where an allowance ran out."""
        size = len(self._index.version)
        if len(self._version) != size or self._look.shape[1] < self.boards.most:
            self._resize(size)
        stale = np.flatnonzero(self._version != self._index.version)
        if not len(stale):
            return True
        used = self._index.expected[stale] >= 0
        allowed = stale[used][: self._left]
        self._left -= len(allowed)
        for row in allowed.tolist():
            self._look_at(row)
        unused = stale[~used]
        self._first[unused], self._offers[unused] = -1, np.inf
        self._version[unused] = self._index.version[unused]
        fits = self._seen.fits[self._look[allowed]]  # [row, board, ask]
        first = fits.argmax(axis=1)
        self._first[allowed] = np.where(fits.any(axis=1), first, -1)
        self._price_rows(allowed)
        self._version[allowed] = self._index.version[allowed]
        return len(allowed) + len(unused) == len(stale)

    def _look_at(self, row: int) -> None:
        self._look[row] = _NOTHING
        hardware, usage = self._states[int(self._index.expected[row])]
        there = zip(self.boards.of(hardware), self._suits_of(hardware), strict=True)
        for number, (board, suits) in enumerate(there):
            taken, drawn = board.local(usage.taken), board.drawn(usage.drawn)
            self._look[row, number] = self._seen.at(board.cut, taken, drawn, suits)

    def _price_rows(self, rows: Rows) -> None:
        """What each ask costs on rows whose looks are known."""
        first = self._first[rows]
        looks = np.take_along_axis(self._look[rows], np.maximum(first, 0), axis=1)
        found = self._seen.worth[looks, np.arange(first.shape[1])]
        found[first < 0] = np.inf
        found[self._starved(rows, cpu=0, memory=0)] = np.inf
        self._offers[rows] = found

    def _starved(self, rows: Rows, *, cpu: int, memory: int) -> NDArray[np.bool_]:
        """Per row and ask: whether CPU or memory is too short for it, beside a pod that asks so."""
        short_of_cpu = (self._index.cpu[rows] - cpu)[:, None] < self._now.cpu
        short_of_memory = (self._index.memory[rows] - memory)[:, None] < self._now.memory
        found: NDArray[np.bool_] = short_of_cpu | short_of_memory
        return found

    def _then(self, ask: int, cpu: int, memory: int) -> Floats:
        """What each ask would cost on each row with such a pod there, from memory."""
        key = ask, cpu, memory
        known = self._known.pop(key, None)
        if known is None:
            if len(self._known) >= _MOST_SIZES:
                del self._known[next(iter(self._known))]
            known = _UnitCosts(np.empty_like(self._offers), np.full_like(self._version, _UNKNOWN))
        self._known[key] = known
        stale = np.flatnonzero(known.version != self._version)
        if len(stale):
            found = self._beside(ask, stale)
            found[self._starved(stale, cpu=cpu, memory=memory)] = np.inf
            full = self._first[stale, ask] < 0
            found[full] = self._offers[stale[full]]
            known.offers[stale] = found
            known.version[stale] = self._version[stale]
        return known.offers

    def _beside(self, ask: int, rows: Rows) -> Floats:
        """What each ask costs on the rows with one of this ask there: it changes one board."""
        board, looks = self._first[rows, ask], self._look[rows]
        here = looks[np.arange(len(rows)), np.maximum(board, 0)]
        after = self._seen.after(here, ask)
        moved = self._first[rows] == board[:, None]  # the asks that would go to the same board
        fits = self._seen.fits[after]
        found = np.where(moved & fits, self._seen.worth[after], self._offers[rows])
        row, other = np.nonzero(moved & ~fits)  # they go to a later board, where one has room
        behind = np.arange(looks.shape[1]) > board[row, None]
        room = self._seen.fits[looks[row], other[:, None]] & behind
        later = looks[row, room.argmax(axis=1)]
        found[row, other] = np.where(room.any(axis=1), self._seen.worth[later, other], np.inf)
        return found

    def _suits_of(self, hardware: Shape) -> tuple[tuple[int, ...], ...]:
        found = self._suits.get(hardware)
        if found is None:
            found = self._suits[hardware] = self.boards.suits(hardware, self._now.asks)
        return found

    def _resize(self, size: int) -> None:
        count, most = len(self._now.asks), max(self.boards.most, 1)
        self._look = np.full((size, most), _NOTHING, dtype=np.int32)
        self._first = np.full((size, count), -1, dtype=np.int16)
        self._offers = np.full((size, count), np.inf)
        self._version = np.full(size, _UNKNOWN, dtype=np.int64)
        self._known.clear()

    def _forget(self) -> None:
        self._seen = placement_states.GpuStates(len(self._now.asks))
        self._suits.clear()
        self._number.clear()
        self._resize(0)
