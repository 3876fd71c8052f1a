"""What the cluster can still give to the pods it usually sees, and what a placement takes of it.

The demand mix is learnt from the pods of the watch, each once, oldest first: never from requests,
so that replicas and restarts agree and retries do not count twice. Prices are renewed every few
placements. The device part of a class's headroom is counted on states: how often its unit can be
placed, one after the other, by the same verdicts that answer requests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extender import bounded_cache
from extender.cluster import index
from extender.demand import work
from extender.policy import config
from extender.pricing import (
    count_plan,
    fleet,
    formula,
    fragmentation,
    gpu_inventory,
    headroom_cache,
    loss_cache,
    placement_counts,
    prices,
    row_headroom,
)
from extender.pricing.generation import Generation
from extender.pricing.mig import lookahead
from extender.pricing.mix import demand_counts, demand_size
from extender.pricing.mix.demand_mix import DemandClasses, Floats, Ints, MeanDemand
from extender.verdicts import verdict_table
from extender.verdicts.query import Query

# Units of work: of a renewal before any row is counted, of pricing what was counted, of one
# placement that is looked up (judging it is charged by itself).
_RENEWING, _PRICING, _COUNTING = 600, 800, 5
# Calls that go on counting between two that price: prices that move outdate what was prepared.
_PRICED_EVERY = 16


class HeadroomPricer:
    """Prices headroom in the cluster; the engine calls `cost`."""

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
        self._class_versions = loss_cache.ClassVersions()
        self._current = loss_cache.RowClassMatrix(cluster, self._class_versions, self._work)
        self.losses = loss_cache.LossCache(cluster, self._class_versions, self._work)
        self._policy_form = formula.Constants()  # where CPU and memory are plentiful
        self.coverage = math.inf  # share of the free GPUs that CPU and memory cover
        self._sizes = demand_size.DemandSizes(cluster, table_of, judges=judges)
        self._demands = demand_counts.DemandCounts(self._sizes, self._work)
        self.mix = self._demands.mix
        self._counts = placement_counts.PlacementCounts(
            table_of, self._sizes.of_unit, matches, patient=patient
        )
        self._states = headroom_cache.StatesHeadroom(self._counts, self._now)
        self._rows = row_headroom.RowHeadroom(
            cluster, self._class_versions, self._current, self._states
        )
        self.inventory = gpu_inventory.GpuInventory(cluster)
        self.lookahead = lookahead.Lookahead(cluster, self._counts, patient=patient)
        self._generation = Generation.first(self._policy_form, cluster.states)
        self._age = 0  # placements and pods since the prices were renewed
        self._stale = True
        self._waiting = False  # whether headroom was left to count when they were
        self._unpriced = 0  # calls since that went on counting

    @property
    def classes(self) -> DemandClasses:
        """The mix as it was when the prices were renewed."""
        return self._generation.classes

    @property
    def prices(self) -> Floats:
        """What a GPU of headroom costs, per class; empty until some demand was observed."""
        return self._generation.prices

    @property
    def headroom(self) -> Floats:
        """GPUs per class over the whole cluster, as they were when the prices were renewed."""
        return self._generation.headroom

    @property
    def epoch(self) -> int:
        """How often the prices were renewed."""
        return self._generation.epoch

    @property
    def unfinished(self) -> bool:
        """Whether an allowance ran out before all headroom was counted."""
        return self._stale or self._waiting

    def caches(self) -> Iterator[bounded_cache.Figures]:
        """How full the caches of counts, headroom and losses are."""
        yield self._counts.figures
        yield self._states.figures
        yield self.losses.figures
        yield self.lookahead.figures

    @property
    def most_sizes(self) -> int:
        """Of how many pod sizes the losses are kept."""
        return self.losses.most

    @property
    def priced(self) -> bool:
        """Whether there are prices: some demand was observed and some headroom counted."""
        return bool(self.prices.any())

    @property
    def cpu_or_memory_is_short(self) -> bool:
        """Whether CPU or memory does not cover the free GPUs: `blend` is below the policy's."""
        return self._generation.form != self._policy_form

    def configure(self, settings: config.ClusterPacking, *, cpu_pods_scored: bool) -> None:
        """Take the constants of a policy; the mix learnt so far is kept."""
        self._policy_form = formula.constants_of(settings, cpu_pods_scored=cpu_pods_scored)
        self._demands.configure(settings)
        self._stale = True

    def learn(self, uid: str, question: Query, **seen: Any) -> None:  # noqa: ANN401 - as in `DemandCounts`
        """Count a pod that the watch shows for the first time (`DemandCounts.learn`)."""
        self._age += self._demands.learn(uid, question, **seen)

    # ------------------------------------------------------------ prices

    @property
    def aged(self) -> bool:
        """Whether anything has happened since the prices were renewed."""
        return self._age > 0

    def settle(self, changed: int, *, rest: bool = False) -> None:
        """Renew the prices when enough has happened; `changed` rows changed since the last call.

        At `rest` anything is enough: then replicas that observed the same have the same prices.
        Where an allowance runs out the next call goes on.
        """
        self._age += changed
        self._counts.allow(self._work.left // _COUNTING)
        self.lookahead.allow()
        counted = self._counts.left
        enough = self._age > 0 if rest else self._age >= self._refresh_after
        if self._stale or enough or self._demands.outdated:
            self._renew()
        elif self._waiting:
            self._go_on()
        self._work.spend(_COUNTING * (counted - self._counts.left))

    def _renew(self) -> None:
        """Take the mix as it is now, and price it; each step takes what those before it found."""
        self._age, self._stale = 0, False
        rows = self._index.in_use()
        mix = self._demands.refreshed()
        machines = fleet.Fleet.of(self._index, rows, self.inventory)
        form = self._adapted_form(mix.mean_demand(), rows)
        classes = self._demands.classes(machines.machine_shares)
        # Charged afterwards: a turn that may do less than this gets on all the same.
        self._work.spend(_RENEWING)
        if not self._counts.plans(classes.units, self._index.states.shapes):
            self._stale = True  # some selectors of the units are not evaluated yet
            return
        self._generation = self._generation.following(classes, form, self._index.states, machines)
        self._class_versions.take(classes, form)
        self._stale = mix.unresolved
        if not len(rows) or not len(classes.weight):
            self._waiting = False
            return
        self._current.refresh(rows, self._rows.now)
        self._price(rows)

    def _go_on(self) -> None:
        """Count what an allowance ended before; the prices follow when all is, or now and then."""
        rows = self._index.in_use()
        self._current.refresh(rows, self._rows.now)
        self._unpriced += 1
        if self._unpriced >= _PRICED_EVERY or self._current.known(rows).all():
            self._price(rows)

    def _price(self, rows: loss_cache.Rows) -> None:
        """Price the headroom of the rows as far as it is known."""
        self._work.spend(_PRICING)
        self._unpriced = 0
        now, headroom = self._now(), self._current.values[rows].sum(axis=0)
        ever = int(np.count_nonzero(self._current.ever(rows)))
        if ever < len(rows):
            headroom *= len(rows) / max(ever, 1)  # the others are taken to be like these
        sharing = self.lookahead.partitioned_gpus.share_counters(now.classes)

        def shared(gpus: Floats) -> Floats:
            return prices.shared_headroom(gpus, now.classes.weight, sharing)

        pool = shared(now.machines.empty_headroom(now.classes, self._counts, now.states))
        found = prices.prices(now.classes, shared(headroom), now.form, pool=pool)
        self._generation = now.priced(headroom, found)
        self.lookahead.take(now.classes, found)
        self._waiting = self._counts.incomplete or not self._current.known(rows).all()

    def _adapted_form(self, demand: MeanDemand, rows: loss_cache.Rows) -> formula.Constants:
        """The constants for how much of the idle GPUs CPU and memory cover."""
        self.coverage = self.inventory.coverage(demand, rows)
        return formula.adapted_to_coverage(self._policy_form, self.coverage)

    def _now(self) -> Generation:
        """The generation by the numbers that the states have now."""
        self._generation = self._generation.numbered_by(self._index.states)
        return self._generation

    @property
    def _refresh_after(self) -> int:
        return prices.refresh_every(demand_counts.MOST_GPUS * len(self._index.rows))

    def cost(
        self, table: verdict_table.VerdictTable, rows: NDArray[np.int32], *, cpu: int, memory: int
    ) -> Floats:
        """The priced loss of headroom, in GPUs, of such a pod on each row; 0 where it does not fit.

        Computed once per row, until the row, the classes or the prices change.
        """
        if not len(self.prices):
            return np.zeros(len(rows))
        size = (table.question, cpu, memory)
        loss_of = self._rows.loss_function(table, cpu, memory)
        return self.losses.priced(size, rows, loss_of, prices=self.prices)

    def count_ahead(self, states: NDArray[np.int32]) -> None:
        """Count what devices allow on these states, which `cost` is soon to be asked about."""
        self._states.count(states[states >= 0])

    def cost_by_class(
        self, table: verdict_table.VerdictTable, rows: NDArray[np.int32], *, cpu: int, memory: int
    ) -> Floats:
        """What `cost` adds up: the priced loss per row and class of the mix, in GPUs."""
        size = (table.question, cpu, memory)
        loss_of = self._rows.loss_function(table, cpu, memory)
        return self.losses.by_class(size, rows, loss_of) * self.prices

    def fragments(self, rows: Ints) -> Floats:
        """GPUs of these rows that pods of the mix cannot use; NaN where it is not known yet."""
        return fragmentation.fragments(
            self._index, rows, self.classes, self._counts, self.inventory
        )

    def gpus_asked(self, question: Query) -> float:
        """GPUs that the demand takes in all."""
        return self._sizes.of(question)

    def pods_that_fit(
        self, question: Query, rows: NDArray[np.int32], states: NDArray[np.int32]
    ) -> Floats:
        """How many pods of this demand fit each row's free GPUs, at least one; 0 if unknown."""
        size = self.gpus_asked(question)
        if not size:
            return np.zeros(len(rows))
        return np.where(
            rows < 0, 0.0, np.maximum(np.floor(self.inventory.left(states) / size), 1.0)
        )
