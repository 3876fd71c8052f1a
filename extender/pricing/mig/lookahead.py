"""What a placement does to the next partition: `placements` over the rows of the cluster.

Only units that draw counters take part; a cluster without any pays nothing. Few GPU states come
again and again on all nodes, so a row is kept as the numbers of its GPUs' states; prices turn them
into GPUs. A bounded number of rows is read per request: until all are known there is no result.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from extender import bounded_cache
from extender.cluster import index
from extender.cluster.states import ByNumbering
from extender.hardware.shape import Shape
from extender.pricing import placement_counts
from extender.pricing.mig import partitioned_gpus, placement_states, placements
from extender.pricing.mix.demand_mix import DemandClasses, Floats
from extender.verdicts.query import Query, single_unit

Rows = NDArray[np.integer]

_MOST_GPU_STATES = 8192  # with 16 units 4 MB
_MOST_QUESTIONS = 256  # of a burst, whose unit is known
# Of the pod sizes of a burst; 5,000 rows and 16 units are 700 KB each. The latest stays.
_MOST_BYTES = 4 * bounded_cache.MIB
# Rows read per request: at 20 to 40 µs each, what a request may wait.
ALLOWANCE = 60
_NO_LIMIT = 1 << 62
_NOTHING = 0  # the state number of no GPU
_UNKNOWN = -1


@dataclasses.dataclass(frozen=True, slots=True)
class _UnitCosts:
    """What each unit costs per row beside a pod of one size, and the row versions it is of."""

    costs: Floats
    version: NDArray[np.int64]

    @property
    def bytes(self) -> int:
        """What both take."""
        return self.costs.nbytes + self.version.nbytes


class Lookahead:
    """Looks one partition ahead; the scorer calls `next_loss` and `position`."""

    def __init__(
        self,
        cluster: index.TopologyIndex,
        counted: placement_counts.PlacementCounts,
        *,
        patient: bool = True,
    ) -> None:
        self._index = cluster
        self.partitioned_gpus = partitioned_gpus.PartitionedGpus(cluster, counted)
        self._allowance = _NO_LIMIT if patient else ALLOWANCE
        self._left = self._allowance
        self._units = partitioned_gpus.PartitionUnits.none()
        self._no_fit = 0.0
        self._unit_index: dict[Query, int] = {}  # demand → index of the unit it is one of, or -1
        self._gpu_states = placement_states.GpuStates(0)
        # Shape → per GPU and unit, the devices that serve it. By the numbers of the states, so
        # that shapes of machines that are gone go, too.
        self._matching: ByNumbering[dict[Shape, tuple[tuple[int, ...], ...]]] = ByNumbering(dict)
        # Per row: the state numbers of its GPUs; per unit the first GPU with a legal placement, or
        # -1, and what the unit costs there, in GPUs, or inf. Valid at `_version` of the index.
        self._state_numbers: NDArray[np.int32] = np.zeros((0, 0), dtype=np.int32)
        self._first_gpu: NDArray[np.int16] = np.zeros((0, 0), dtype=np.int16)
        self._costs: Floats = np.zeros((0, 0))
        self._version: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        # (unit, CPU, memory) of a pod → costs of the units beside it, the latest last
        self._known: dict[tuple[int, int, int], _UnitCosts] = {}

    @property
    def units(self) -> tuple[Query, ...]:
        """The units that may come next."""
        return self._units.units

    @property
    def figures(self) -> bounded_cache.Figures:
        """How much the costs beside pods take."""
        used = sum(known.bytes for known in self._known.values())
        return bounded_cache.Figures("partition-look-ahead", used, _MOST_BYTES)

    def names(self) -> list[str]:
        """Their names for people: the profile of a device that serves it, where it has one."""
        return [self.partitioned_gpus.name(unit) for unit in self._units.units]

    def allow(self) -> None:
        """Start a call, with a whole allowance of rows, and read the machines that are new."""
        self._left = self._allowance
        self.partitioned_gpus.renew()
        if len(self._gpu_states) > _MOST_GPU_STATES:
            self._forget()

    def take(self, classes: DemandClasses, prices: Floats) -> None:
        """Continue with this mix at these prices."""
        if not self.partitioned_gpus:
            return
        units, self._units = self._units.units, self.partitioned_gpus.units(classes, prices)
        if units != self._units.units:
            self._forget()
        self._gpu_states.price(self._units.price)
        empty = [
            self._gpu_states.at(gpu.layout, 0, (), matching)
            for hardware in self.partitioned_gpus
            for gpu, matching in zip(
                self.partitioned_gpus.of(hardware), self._matching_of(hardware), strict=True
            )
        ]
        self._no_fit = placements.COST_OF_NO_FIT * float(
            self._gpu_states.total[empty].max(initial=0.0)
        )
        self._known.clear()
        self._price_rows(np.flatnonzero(self._version != _UNKNOWN))

    def advance(self, *, most: int) -> bool:
        """Read so many rows ahead of the requests; whether there was anything to read."""
        if not self._units.units:
            return False
        before = self._left = min(self._left, most)
        self._refresh()
        return self._left < before

    def next_loss(self, question: Query, rows: Rows, *, cpu: int, memory: int) -> Floats | None:
        """How much more the next partition would cost were this pod put on each row, in GPUs.

        Per row and unit, weighted by how likely that unit is; None where it is not known.
        """
        unit = self._unit_of(question)
        if unit < 0 or not self._refresh():
            return None
        then = self._costs_beside(unit, cpu, memory)[rows]
        return placements.next_loss(self._costs, rows, then, self._units.weight, self._no_fit)

    def position(self, question: Query, rows: Rows) -> Floats | None:
        """On which GPU of each row the driver would place this; NaN where on none.

        None where the demand is not for one partition. Of equal losses the earliest GPU is best:
        the driver gives it every small partition that comes, so it is filled first and the GPUs
        behind it stay whole. Measured: 0.2 points of slices under a first-fit driver.
        """
        unit = self._unit_of(question)
        if unit < 0 or not self._refresh():
            return None
        found: Floats = self._first_gpu[rows, unit].astype(np.float64)
        found[found < 0] = np.nan
        return found

    def _unit_of(self, question: Query) -> int:
        """The index of the unit that the demand is exactly one of, -1 for none."""
        if not self._units.units:
            return -1
        found = self._unit_index.get(question)
        if found is None:
            unit, count = single_unit(question)
            known = count == 1 and unit in self._units.units
            found = self._units.units.index(unit) if known else -1
            if len(self._unit_index) >= _MOST_QUESTIONS:
                self._unit_index.clear()
            self._unit_index[question] = found
        return found

    # ------------------------------------------------------------ rows

    def _refresh(self) -> bool:
        """Bring the rows up to date; false where an allowance ran out."""
        size = len(self._index.version)
        if len(self._version) != size or self._state_numbers.shape[1] < self.partitioned_gpus.most:
            self._resize(size)
        stale = np.flatnonzero(self._version != self._index.version)
        if not len(stale):
            return True
        used = self._index.expected[stale] >= 0
        used[used] = self._partitioned(self._index.expected[stale[used]])
        allowed = stale[used][: self._left]
        self._left -= len(allowed)
        for row in allowed.tolist():
            self._read_row(row)
        unused = stale[~used]
        self._state_numbers[unused] = _NOTHING
        self._first_gpu[unused], self._costs[unused] = -1, np.inf
        self._version[unused] = self._index.version[unused]
        fits = self._gpu_states.fits[self._state_numbers[allowed]]  # [row, GPU, unit]
        first = fits.argmax(axis=1)
        self._first_gpu[allowed] = np.where(fits.any(axis=1), first, -1)
        self._price_rows(allowed)
        self._version[allowed] = self._index.version[allowed]
        return len(allowed) + len(unused) == len(stale)

    def _partitioned(self, states: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of the states are of machines with partitions: of the others nothing is read."""
        known = self._index.states
        having = [bool(self.partitioned_gpus.of(shape)) for shape in known.shapes]
        found: NDArray[np.bool_] = np.array(having, dtype=np.bool_)[known.shape_of[states]]
        return found

    def _read_row(self, row: int) -> None:
        self._state_numbers[row] = _NOTHING
        hardware, usage = self._index.states[int(self._index.expected[row])]
        there = zip(self.partitioned_gpus.of(hardware), self._matching_of(hardware), strict=True)
        for number, (gpu, matching) in enumerate(there):
            taken, drawn = gpu.local(usage.taken), gpu.drawn(usage.drawn)
            self._state_numbers[row, number] = self._gpu_states.at(
                gpu.layout, taken, drawn, matching
            )

    def _price_rows(self, rows: Rows) -> None:
        """What each unit costs on rows whose GPU states are known."""
        first = self._first_gpu[rows]
        numbers = np.take_along_axis(self._state_numbers[rows], np.maximum(first, 0), axis=1)
        found = self._gpu_states.cost[numbers, np.arange(first.shape[1])]
        found[first < 0] = np.inf
        found[self._short(rows, cpu=0, memory=0)] = np.inf
        self._costs[rows] = found

    def _short(self, rows: Rows, *, cpu: int, memory: int) -> NDArray[np.bool_]:
        """Per row and unit: whether CPU or memory is too short for it beside a pod of this size."""
        short_of_cpu = (self._index.cpu[rows] - cpu)[:, None] < self._units.cpu
        short_of_memory = (self._index.memory[rows] - memory)[:, None] < self._units.memory
        found: NDArray[np.bool_] = short_of_cpu | short_of_memory
        return found

    def _costs_beside(self, unit: int, cpu: int, memory: int) -> Floats:
        """What each unit would cost on each row with such a pod there, cached."""
        key = unit, cpu, memory
        known = self._known.pop(key, None)
        if known is None:
            known = _UnitCosts(np.empty_like(self._costs), np.full_like(self._version, _UNKNOWN))
            while self._known and self.figures.used + known.bytes > _MOST_BYTES:
                del self._known[next(iter(self._known))]
        self._known[key] = known
        stale = np.flatnonzero(known.version != self._version)
        if len(stale):
            found = self._with_unit(unit, stale)
            found[self._short(stale, cpu=cpu, memory=memory)] = np.inf
            full = self._first_gpu[stale, unit] < 0
            found[full] = self._costs[stale[full]]
            known.costs[stale] = found
            known.version[stale] = self._version[stale]
        return known.costs

    def _with_unit(self, unit: int, rows: Rows) -> Floats:
        """What each unit costs on the rows with one of this unit there: it changes one GPU."""
        gpu, numbers = self._first_gpu[rows, unit], self._state_numbers[rows]
        here = numbers[np.arange(len(rows)), np.maximum(gpu, 0)]
        after = self._gpu_states.after(here, unit)
        moved = self._first_gpu[rows] == gpu[:, None]  # the units that would go to the same GPU
        fits = self._gpu_states.fits[after]
        found = np.where(moved & fits, self._gpu_states.cost[after], self._costs[rows])
        row, other = np.nonzero(moved & ~fits)  # they go to a later GPU that fits them
        behind = np.arange(numbers.shape[1]) > gpu[row, None]
        fits_later = self._gpu_states.fits[numbers[row], other[:, None]] & behind
        later = numbers[row, fits_later.argmax(axis=1)]
        found[row, other] = np.where(
            fits_later.any(axis=1), self._gpu_states.cost[later, other], np.inf
        )
        return found

    def _matching_of(self, hardware: Shape) -> tuple[tuple[int, ...], ...]:
        known = self._matching.of(self._index.states)
        found = known.get(hardware)
        if found is None:
            found = known[hardware] = self.partitioned_gpus.matching(hardware, self._units.units)
        return found

    def _resize(self, size: int) -> None:
        count, most = len(self._units.units), max(self.partitioned_gpus.most, 1)
        self._state_numbers = np.full((size, most), _NOTHING, dtype=np.int32)
        self._first_gpu = np.full((size, count), -1, dtype=np.int16)
        self._costs = np.full((size, count), np.inf)
        self._version = np.full(size, _UNKNOWN, dtype=np.int64)
        self._known.clear()

    def _forget(self) -> None:
        self._gpu_states = placement_states.GpuStates(len(self._units.units))
        self._matching.kept.clear()
        self._unit_index.clear()
        self._resize(0)
