"""What the cluster can still give to the pods it usually sees, and what a placement takes of it.

The demand mix is learnt from pods the watch shows, each once, oldest first: never from requests, so
that replicas and restarts agree and retries do not count twice. Prices are renewed every few
placements. The device part of a class's room is counted on states: how often its unit can be
placed, one after the other, by the same verdicts that answer requests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.demand import work
from extender.policy import config
from extender.pricing import (
    count_plan,
    fleet,
    formula,
    gpu_inventory,
    headroom_cache,
    loss_cache,
    placement_counts,
    prices,
)
from extender.pricing.mig import lookahead
from extender.pricing.mix import demand_counts, demand_size
from extender.pricing.mix.demand_mix import DemandClasses, Floats, Ints
from extender.verdicts import verdict_table
from extender.verdicts.query import Query, asks_one_kind

# Rows times classes up to which plain floats are quicker than arrays: 0.3 µs a cell against 50 µs
# for any number of them, between two requests of a scheduler.
_FEW_CELLS = 96


class HeadroomPricer:
    """Prices room in the cluster; `cost` is what the engine asks for."""

    def __init__(
        self,
        cluster: index.TopologyIndex,
        table_of: Callable[[Query], verdict_table.VerdictTable],
        matches: count_plan.Matches,
        *,
        judges: Callable[[str], bool] = lambda _: True,
        patient: bool = True,
        spending: work.Work | None = None,
    ) -> None:
        self._work = spending or work.Work()
        self._index = cluster
        self._renewals = loss_cache.ClassVersions()
        self._now = loss_cache.RowClassMatrix(cluster, self._renewals)
        self._losses = loss_cache.LossCache(cluster, self._renewals)
        self.prices: Floats = np.zeros(0)
        self.room: Floats = np.zeros(0)  # U, GPUs per class over the whole cluster
        self.epoch = 0
        self._plenty = self._form = formula.Constants()  # where CPU is plentiful, and as it is now
        self.fed = math.inf  # which part of the free GPUs CPU and memory can feed
        self._declared: tuple[config.DeclaredClass, ...] = ()
        self._machine_reserve = 0.0
        self._sizes = demand_size.DemandSizes(cluster, table_of, judges=judges)
        self._demands = demand_counts.DemandCounts(self._sizes, self._work)
        self.mix = self._demands.mix
        self._counts = placement_counts.PlacementCounts(
            table_of, self._sizes.of_unit, matches, patient=patient
        )
        self._portions = headroom_cache.DeviceHeadroomCache(self._counts)
        self.inventory = gpu_inventory.GpuInventory(cluster)
        self._fleet = fleet.Fleet(cluster, self._counts, self.inventory)
        self.outlook = lookahead.Lookahead(cluster, self._counts, patient=patient)
        # classes, form, and what the classes need in that form
        self._needs: tuple[DemandClasses, formula.Constants, formula.Needs] = (
            DemandClasses.none(),
            self._form,
            (),
        )
        self._age = 0  # placements and pods since the prices were renewed
        self._stale = True
        self._reformed = True  # whether the form changed since

    @property
    def classes(self) -> DemandClasses:
        """The mix as it was when the prices were renewed."""
        return self._renewals.classes

    @property
    def unfinished(self) -> bool:
        """Whether an allowance ran out before all room was counted."""
        return self._stale

    @property
    def bytes(self) -> int:
        """What is remembered of room and of what pods take of it, in bytes, about."""
        return self._counts.bytes + self._losses.bytes

    @property
    def priced(self) -> bool:
        """Whether anything is known to be scarce: some demand was seen and some room counted."""
        return bool(self.prices.any())

    @property
    def starved(self) -> bool:
        """Whether CPU or memory is too short for the free GPUs, so that they are priced by it."""
        return self._form != self._plenty

    def configure(self, settings: config.ClusterPacking, *, cpu_pods_scored: bool) -> None:
        """Take the constants of a policy; the mix learnt so far is kept."""
        self._plenty = formula.constants_of(settings, cpu_pods_scored=cpu_pods_scored)
        self._form = self._plenty
        self._demands.configure(settings)
        self._declared = settings.reserve
        self._machine_reserve = settings.machine_reserve
        self._stale = self._reformed = True

    def learn(self, uid: str, question: Query, **seen: Any) -> None:  # noqa: ANN401 - as there
        """Count a pod that the watch shows for the first time (`Demands.learn`)."""
        self._age += self._demands.learn(uid, question, **seen)

    # ------------------------------------------------------------ prices

    @property
    def aged(self) -> bool:
        """Whether anything has happened since the prices were renewed."""
        return self._age > 0

    def settle(self, changed: int, *, rest: bool = False) -> None:
        """Renew the prices when enough has happened; `changed` rows changed since the last call.

        At `rest` anything is enough: then replicas that have seen the same have the same prices.
        """
        self._age += changed
        self._counts.allow()
        self.outlook.allow()
        enough = self._age > 0 if rest else self._age >= self._refresh_after
        if not (self._stale or enough or self._demands.outdated):
            return
        self._demands.refresh()
        self._age, self._stale = 0, False
        rows = self._index.in_use()
        self._fleet.refresh(rows)
        self._adapt(rows)
        self._demands.declare(self._declared)
        self.mix.expect(self._fleet.expected(self._machine_reserve))
        classes = self.mix.classes()
        if not self._counts.plans(classes.asks, self._index.states.shapes):
            self._stale = True  # selectors of what is asked are still being judged
            return
        self._renewals.take(classes, all_of_them=self._reformed)
        self._reformed = False
        if not len(rows) or not len(self.classes.weight):
            self.prices = self.room = np.zeros(len(self.classes.weight))
            self._stale = self.mix.unresolved
            return
        self._now.refresh(rows, self._room_of)
        self._stale = (
            self._counts.incomplete or self.mix.unresolved
        )  # then the next call goes on counting
        self.room = self._now.values[rows].sum(axis=0)
        together, weight = self.outlook.boards.sharing(self.classes), self.classes.weight
        pool = prices.shared_headroom(self._fleet.pools(self.classes), weight, together)
        room = prices.shared_headroom(self.room, weight, together)
        self.prices = prices.prices(self.classes, room, self._form, pool=pool)
        self.outlook.take(self.classes, self.prices)
        self.epoch += 1

    def _adapt(self, rows: loss_cache.Rows) -> None:
        """Take the form that suits how much CPU and memory there is for the idle GPUs."""
        self.fed = self.inventory.fed(self.mix.asked(), rows)
        form = formula.adapted_to_coverage(self._plenty, self.fed)
        if form != self._form:
            self._form, self._reformed = form, True

    @property
    def _refresh_after(self) -> int:
        return prices.refresh_every(demand_counts.MOST_GPUS * len(self._index.rows))

    def cost(
        self, table: verdict_table.VerdictTable, rows: NDArray[np.int32], *, cpu: int, memory: int
    ) -> Floats:
        """The priced loss of room, in GPUs, of placing such a pod on each row; 0 where it cannot.

        Worked out once per row, until the row, the classes or the prices change.
        """
        if not len(self.prices):
            return np.zeros(len(rows))
        size = (table.question, cpu, memory)
        work = self._taking(table, cpu, memory)
        return self._losses.priced(size, rows, work, prices=self.prices, epoch=self.epoch)

    def cost_by_class(
        self, table: verdict_table.VerdictTable, rows: NDArray[np.int32], *, cpu: int, memory: int
    ) -> Floats:
        """What `cost` adds up: the priced loss per row and class of the mix, in GPUs."""
        size = (table.question, cpu, memory)
        return self._losses.by_class(size, rows, self._taking(table, cpu, memory)) * self.prices

    def _taking(
        self, table: verdict_table.VerdictTable, cpu: int, memory: int
    ) -> loss_cache.LossFunction:
        """What such a pod would take of rows: their room now, less their room with it.

        A pod that asks for one kind of device breaks pairs of GPU and NIC without using them.
        """
        breaks = asks_one_kind(table.question)

        def taken(rows: loss_cache.Rows, places: Ints | None) -> Floats:
            if places is None and len(rows) * self._width(None) <= _FEW_CELLS:
                singly = [self._taken_of(table, row, cpu, memory) for row in rows.tolist()]
                return np.array(singly).reshape(len(rows), self._width(None))
            states = self._index.expected[rows]
            after = states
            if table.question:
                table.fill(states)
                after = table.after[states]
            fits = np.flatnonzero(after >= 0)
            there = rows[fits]
            found = np.zeros((len(rows), self._width(places)))
            found[table.unseen(states)] = np.nan
            then = self._usable(
                after[fits],
                self._index.cpu[there] - cpu,
                self._index.memory[there] - memory,
                places,
                weighed=breaks,
            )
            now = self._weighed_room(there, places) if breaks else self._given(there, places)
            found[fits] = now - then
            return found

        return taken

    def _taken_of(
        self, table: verdict_table.VerdictTable, row: int, cpu: int, memory: int
    ) -> Sequence[float]:
        """What such a pod would take of one of the few rows that changed between two requests."""
        state = int(self._index.expected[row])
        after = state
        if table.question:
            table.fill(self._index.expected[row : row + 1])
            after = int(table.after[state])
        if table.question and table.is_unseen(state):
            return [math.nan] * self._width(None)
        if after < 0:
            return [0.0] * self._width(None)
        breaks = asks_one_kind(table.question)
        free, left = float(self._index.cpu[row]), float(self._index.memory[row])
        then = self._usable_at(after, free - cpu, left - memory, weighed=breaks)
        now = self._usable_at(state, free, left, weighed=breaks)
        return [before - rest for before, rest in zip(now, then, strict=True)]

    def gpus_asked(self, question: Query) -> float:
        """GPUs that the demand takes in all."""
        return self._sizes.of(question)

    def fitting(
        self, question: Query, rows: NDArray[np.int32], states: NDArray[np.int32]
    ) -> Floats:
        """How many pods that ask this each row takes by its free GPUs, at least one; 0 unknown."""
        size = self.gpus_asked(question)
        if not size:
            return np.zeros(len(rows))
        return np.where(
            rows < 0, 0.0, np.maximum(np.floor(self.inventory.left(states) / size), 1.0)
        )

    def _given(self, rows: loss_cache.Rows, places: Ints | None) -> Floats:
        """The room of the rows as they are, from memory; NaN where it is not counted yet."""
        self._now.refresh(rows, self._room_of)
        found = self._now.values[rows] if places is None else self._now.values[np.ix_(rows, places)]
        found[self._now.version[rows] < 0] = np.nan
        return found

    def _room_of(self, rows: loss_cache.Rows, places: Ints | None) -> Floats:
        states = self._index.expected[rows]
        return self._usable(states, self._index.cpu[rows], self._index.memory[rows], places)

    def _weighed_room(self, rows: loss_cache.Rows, places: Ints | None) -> Floats:
        """The room of the rows, with each placement counted by how near its devices are."""
        if not self._portions.weighed:
            return self._given(rows, places)
        states = self._index.expected[rows]
        cpu, memory = self._index.cpu[rows], self._index.memory[rows]
        return self._usable(states, cpu, memory, places, weighed=True)

    def _width(self, places: Ints | None) -> int:
        return len(self.classes.weight) if places is None else len(places)

    def _usable(
        self,
        states: NDArray[np.int32],
        cpu: Floats,
        memory: Floats,
        places: Ints | None,
        *,
        weighed: bool = False,
    ) -> Floats:
        classes = self.classes
        if places is None and len(states) * len(classes.weight) <= _FEW_CELLS:
            return self._usable_singly(states, cpu, memory, weighed=weighed)
        parts = self._portions.of(states, classes, self._form, self._index.states)
        if weighed:
            parts = parts.weighed()
        if places is not None:
            parts, classes = parts.of_classes(places), classes.take(places)
        return formula.headroom(parts, cpu, memory, classes, self._form)

    def _usable_singly(
        self, states: NDArray[np.int32], cpu: Floats, memory: Floats, *, weighed: bool
    ) -> Floats:
        """`_usable` of the one or two rows that changed between two requests."""
        rows = zip(states.tolist(), cpu.tolist(), memory.tolist(), strict=True)
        found = [self._usable_at(*row, weighed=weighed) for row in rows]
        return np.array(found).reshape(len(found), self._width(None))

    def _usable_at(
        self, state: int, cpu: float, memory: float, *, weighed: bool
    ) -> Sequence[float]:
        classes, form = self.classes, self._form
        known, known_form, needs = self._needs
        if known is not classes or known_form is not form:
            needs = formula.class_needs(classes, form)
            self._needs = classes, form, needs
        plain = self._portions.plain(state, classes, form, self._index.states, weighed=weighed)
        return formula.headroom_of_row(*plain, cpu, memory, needs)
