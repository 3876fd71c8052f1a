"""What the cluster can still give to the pods it usually sees, and what a placement takes of it.

The demand mix is learnt from pods the watch shows, each once, oldest first: never from requests, so
that replicas and restarts agree and retries do not count twice. Prices are renewed every few
placements. The device part of a class's room is counted on states: how often its unit can be
placed, one after the other, by the same verdicts that answer requests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.decisions import counting, counts, tables, units
from extender.decisions.question import Question, single
from extender.policy import config, packing, prices
from extender.policy.mix import Classes, Floats, Mix

_FIRST_STATES = 1024
_MOST_LOSSES = 256  # sizes of pods in a burst; 5,000 rows are 80 KB each
_FEW = 8  # states that are counted one by one sooner than they are sorted
_MOST_GPUS = 8.0  # of one node, to bring CPU and GPUs to one scale


@dataclasses.dataclass(slots=True)
class _Losses:
    """What a pod of one size costs per row, and the row's version that this is of."""

    epoch: int
    loss: Floats
    version: NDArray[np.int64]


class Room:
    """Prices room in the cluster; `cost` is what the engine asks for."""

    def __init__(
        self,
        cluster: index.TopologyIndex,
        table_of: Callable[[Question], tables.Table],
        matches: counting.Matches,
        *,
        patient: bool = True,
    ) -> None:
        self._index = cluster
        self._table_of = table_of
        self.mix = Mix()
        self.classes: Classes = self.mix.classes()
        self.prices: Floats = np.zeros(0)
        self.room: Floats = np.zeros(0)  # U, GPUs per class over the whole cluster
        self.epoch = 0
        self._form = packing.Form()
        self._declared: tuple[config.DeclaredClass, ...] = ()
        self._counts = counts.Counts(table_of, self.size_of, matches, patient=patient)
        self._sizes: dict[Question, float] = {}  # unit ask → GPUs
        # (question, CPU, memory) → losses, the latest last
        self._losses: dict[tuple[Question, int, int], _Losses] = {}
        self._left: Floats = np.full(_FIRST_STATES, np.nan)  # state → free GPUs
        self._gpus_of: list[float] = []  # shape, as numbered by the states → its GPUs
        self._states: object = None
        self._asked: dict[Question, float] = {}  # demand → GPUs in all
        # state → its parts for the classes and states of `_known`
        self._few: dict[int, tuple[Floats, Floats]] = {}
        self._known: tuple[object, object] = (None, None)
        self._age = 0  # placements and pods since the prices were renewed
        self._stale = True

    @property
    def unfinished(self) -> bool:
        """Whether an allowance ran out before all room was counted."""
        return self._stale

    @property
    def priced(self) -> bool:
        """Whether anything is known to be scarce: some demand was seen and some room counted."""
        return bool(self.prices.any())

    def configure(self, settings: config.Packing, *, cpu_pods_scored: bool) -> None:
        """Take the constants of a policy; the mix learnt so far is kept."""
        self._form = packing.Form(
            blend=settings.cliff_share if cpu_pods_scored else min(settings.cliff_share, 0.35),
            steepness=settings.alpha,
            part=settings.part_credit,
        )
        self.mix.configure(horizon=settings.half_life_pods)
        self._declared = settings.reserve
        self._stale = True

    def learn(
        self,
        uid: str,
        question: Question,
        *,
        cpu: int,
        memory: int,
        together: str = "",
        members: int = 1,
    ) -> None:
        """Count a pod that the watch shows for the first time.

        A gang (`together` is its name) is one demand for as many of its `members` as one node can
        hold: room for them one by one, all over the cluster, is no room for the gang.
        """
        if not question:
            self._age += self.mix.learn(uid, None)
            return
        unit, count = single(question)
        size = self.size_of(unit)
        ask = unit if size > 0 else None
        many = 1
        if ask is not None and members > 1:
            many = max(1, min(members, int(_MOST_GPUS / (size * count))))
        told = self.mix.learn(
            f"gang {together}" if many > 1 else uid,
            ask,
            count=count * many,
            share=size,
            cpu=float(cpu * many),
            memory=float(memory * many),
        )
        if many > 1 and not told:
            told = self.mix.learn(uid, None)
        self._age += told

    def size_of(self, unit: Question) -> float:
        """GPUs that one unit takes; 0 where no machine here can serve it, or it takes no GPU."""
        size = self._sizes.get(unit, 0.0)
        if size == 0.0:
            size = units.size(self._table_of(unit), self._index)
            if size:
                self._sizes[unit] = size
        return size

    # ------------------------------------------------------------ prices

    def settle(self, changed: int) -> None:
        """Renew the prices when enough has happened; `changed` rows changed since the last call."""
        self._age += changed
        self._counts.allow()
        if not self._stale and self._age < self._refresh_after:
            return
        self._age, self._stale = 0, False
        self._reserve_declared()
        self.classes = self.mix.classes()
        rows = self._all_rows()
        if not len(rows) or not len(self.classes.weight):
            self.prices = self.room = np.zeros(len(self.classes.weight))
            return
        states = self._index.expected[rows]
        used = self._usable(states, self._index.cpu[rows], self._index.memory[rows])
        self._stale = self._counts.incomplete  # then the next call goes on counting
        self.room = np.nan_to_num(used).sum(axis=0)
        self.prices = prices.prices(self.classes, self.room, self._form)
        self.epoch += 1

    def _reserve_declared(self) -> None:
        """Give the policy's declared sizes their share, of each kind of whole GPU asked for."""
        if not self._declared:
            return
        asks = [ask for ask, size in self._sizes.items() if size == 1.0]
        for declared in self._declared:
            for ask in asks:
                self.mix.reserve(
                    ask,
                    count=declared.gpus,
                    share=1.0,
                    cpu=1000 * declared.cpu_per_gpu * declared.gpus,
                    memory=0.0,
                    weight=declared.share / len(asks),
                )

    @property
    def _refresh_after(self) -> int:
        return prices.refresh_every(_MOST_GPUS * len(self._index.rows))

    def cost(
        self, table: tables.Table, rows: NDArray[np.int32], *, cpu: int, memory: int
    ) -> Floats:
        """The priced loss of room, in GPUs, of placing such a pod on each row; 0 where it cannot.

        Worked out once per row, until the row or the prices change.
        """
        if not len(self.prices):
            return np.zeros(len(rows))
        known = self._loss_of(table, cpu, memory)
        stale = rows[known.version[rows] != self._index.version[rows]]
        if len(stale):
            stale = np.unique(stale) if len(stale) > 1 else stale
            known.loss[stale], sure = self._loss(table, stale, cpu=cpu, memory=memory)
            known.version[stale[sure]] = self._index.version[stale[sure]]
        return known.loss[rows]

    def _loss_of(self, table: tables.Table, cpu: int, memory: int) -> _Losses:
        key = (table.question, cpu, memory)
        known = self._losses.get(key)
        size = len(self._index.version)
        if known is None or known.epoch != self.epoch or len(known.version) != size:
            self._losses.pop(key, None)
            if len(self._losses) >= _MOST_LOSSES:
                del self._losses[next(iter(self._losses))]
            known = _Losses(self.epoch, np.zeros(size), np.full(size, -1, dtype=np.int64))
            self._losses[key] = known
        return known

    def _loss(
        self, table: tables.Table, rows: NDArray[np.int32], *, cpu: int, memory: int
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """The loss per row, and whether all of it was counted in the allowance."""
        fits, before, then = self._around(table, rows, cpu=cpu, memory=memory)
        loss = packing.cost(before, then, self.prices)
        found, sure = np.zeros(len(rows)), np.ones(len(rows), dtype=np.bool_)
        found[fits], sure[fits] = np.nan_to_num(loss), ~np.isnan(loss)
        return found, sure

    def losses(
        self, table: tables.Table, rows: NDArray[np.int32], *, cpu: int, memory: int
    ) -> Floats:
        """What `cost` adds up: the priced loss per row and class of the mix, in GPUs."""
        fits, before, then = self._around(table, rows, cpu=cpu, memory=memory)
        found = np.zeros((len(rows), len(self.prices)))
        found[fits] = np.nan_to_num((before - then) * self.prices)
        return found

    def _around(
        self, table: tables.Table, rows: NDArray[np.int32], *, cpu: int, memory: int
    ) -> tuple[NDArray[np.intp], Floats, Floats]:
        """Which rows fit such a pod, and what they give to each class before it and with it."""
        states = self._index.expected[rows]
        if table.question:
            table.fill(states)
            after = table.after[states]
        else:
            after = states
        fits = np.flatnonzero(after >= 0)
        rows = rows[fits]
        cpu_now, memory_now = self._index.cpu[rows], self._index.memory[rows]
        before = self._usable(states[fits], cpu_now, memory_now)
        then = self._usable(after[fits], cpu_now - cpu, memory_now - memory)
        return fits, before, then

    def tightness(self, rows: NDArray[np.int32], states: NDArray[np.int32], *, cpu: int) -> Floats:
        """BestFit's key, the second one: CPU and GPUs left on each node; the least is tightest."""
        return packing.tightness(
            self._index.cpu[rows] - cpu,
            self._gpus_left(states),
            most_cpu=float(self._index.cpu.max(initial=1.0)),
            most_gpus=_MOST_GPUS,
        )

    def _all_rows(self) -> NDArray[np.int64]:
        """The rows in use, in no particular order."""
        rows = self._index.rows
        return np.fromiter(rows.values(), dtype=np.int64, count=len(rows))

    def whole_sets(self, sizes: tuple[int, ...]) -> dict[int, float]:
        """GPUs that lie in whole free sets of each size on one node: what fragmentation leaves."""
        left = self._gpus_left(self._index.state[self._all_rows()])
        return {size: float((np.floor(left / size) * size).sum()) for size in sizes}

    def totals(self) -> tuple[float, float]:
        """Free GPUs, and GPUs, of all nodes."""
        states = self._index.state[self._all_rows()]
        return float(self._gpus_left(states).sum()), float(self.gpus(states).sum())

    def gpus(self, states: NDArray[np.int32]) -> Floats:
        """GPUs of each state's machine, taken or not; worked out once per shape."""
        self._forget_old_states()
        shapes = self._index.states.shapes
        for hardware in shapes[len(self._gpus_of) :]:
            self._gpus_of.append(units.gpus_of(hardware))
        return np.array(self._gpus_of)[self._index.states.shape_of[states]]

    def gpus_asked(self, question: Question) -> float:
        """GPUs that the demand takes in all."""
        found = self._asked.get(question, 0.0)
        if not found:
            unit, count = single(question)
            found = self.size_of(unit) * count
            if found and len(self._asked) < _MOST_LOSSES:
                self._asked[question] = found
        return found

    def fitting(
        self, question: Question, rows: NDArray[np.int32], states: NDArray[np.int32]
    ) -> Floats:
        """How many pods that ask this each row takes by its free GPUs, at least one; 0 unknown."""
        size = self.gpus_asked(question)
        if not size:
            return np.zeros(len(rows))
        return np.where(rows < 0, 0.0, np.maximum(np.floor(self._gpus_left(states) / size), 1.0))

    def _gpus_left(self, states: NDArray[np.int32]) -> Floats:
        """Free GPUs per state, counted once per state."""
        self._forget_old_states()
        while len(self._left) < len(self._index.states):
            self._left = np.concatenate([self._left, np.full(len(self._left), np.nan)])
        found = self._left[states]
        missing = states[np.isnan(found)]
        if not len(missing):
            return found
        for state in set(missing.tolist()):
            self._left[state] = units.gpus_left(*self._index.states[state])
        return self._left[states]

    def _forget_old_states(self) -> None:
        if self._index.states is not self._states:
            self._left = np.full(_FIRST_STATES, np.nan)
            self._gpus_of = []
            self._states = self._index.states

    def _usable(self, states: NDArray[np.int32], cpu: Floats, memory: Floats) -> Floats:
        if len(states) <= _FEW:
            parts = self._parts_of_few(states)
        else:
            distinct, place = np.unique(states, return_inverse=True)
            parts = self._parts(distinct).take(place)
        return packing.usable(parts, cpu, memory, self.classes, self._form)

    def _parts(self, states: NDArray[np.int32]) -> packing.Parts:
        free, chain = self._counts.device_part(self.classes.asks, states, self._index.states)
        return packing.parts(free, chain, self.classes, self._form)

    def _parts_of_few(self, states: NDArray[np.int32]) -> packing.Parts:
        """The same from memory: a few states come again and again between renewals of prices."""
        known = (self.classes, self._index.states)
        if known[0] is not self._known[0] or known[1] is not self._known[1]:
            self._known = known
            self._few.clear()
        numbers = states.tolist()
        for number in numbers:
            if number not in self._few:
                parts = self._parts(np.array([number], dtype=np.int32))
                if np.isnan(parts.count).any():
                    return self._parts(states)  # an allowance ran out: not worth remembering
                self._few[number] = (parts.cliff[0], parts.count[0])
        rows = [self._few[number] for number in numbers]
        shape = (len(rows), len(self.classes.weight))
        cliff = np.array([row[0] for row in rows]).reshape(shape)
        return packing.Parts(cliff=cliff, count=np.array([row[1] for row in rows]).reshape(shape))
