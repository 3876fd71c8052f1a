"""The scarcity prices on the simulator's arrays: the fast model of the product's policy.

The formulas are extender.policy's own; only the device headroom of a state, which the product gets
from its allocator, is computed here from free thousandths.
"""

import numpy as np

from extender.policy import ranking
from extender.pricing import formula, prices
from extender.pricing.mix import demand_mix
from loadtests.simulator import simulated_cluster
from loadtests.simulator.traces import openb

MOST_CPU = 128000
MOST_GPU = 8.0
UNKNOWN = -1


class States:
    """Interned device states of nodes, and what each gives to each unit."""

    def __init__(self, models, *, ordered):
        self.models = models
        self.ordered = ordered  # the order of a node's GPUs matters (first-fit devices)
        self.numbers = {}  # (model, free thousandths) → state
        self.contents = []
        self.units = {}  # ask → column
        self.free = np.zeros((0, 0))
        self.chain = np.zeros((0, 0))
        self.after = {}  # (GPUs, thousandths) → array: state → state after such a pod

    def number(self, model, gpu):
        key = (model, tuple(gpu) if self.ordered else tuple(sorted(gpu)))
        state = self.numbers.get(key)
        if state is None:
            state = self.numbers[key] = len(self.contents)
            self.contents.append(key)
        return state

    def parts(self, classes, form, start=0):
        """The device headroom of the states from `start` on, for the current classes."""
        for unit in classes.units:
            self.units.setdefault(unit, len(self.units))
        self.grow()
        columns = [self.units[unit] for unit in classes.units]
        free, chain = self.free[start:, columns], self.chain[start:, columns]
        return formula.device_headroom(free, chain, classes, form)

    def grow(self):
        known_states, known_asks = self.free.shape
        if known_asks < len(self.units):
            known_states = 0
        if known_states < len(self.contents):
            free, chain = self.measured(self.contents[known_states:])
            if known_states:
                free = np.vstack([self.free, free])
                chain = np.vstack([self.chain, chain])
            self.free, self.chain = free, chain

    def measured(self, contents):
        gpu = np.array([slots for _, slots in contents])
        free, chain = [], []
        for milli, models in map(unit_demand, self.units):
            accepted = [not models or self.models[model] in models for model, _ in contents]
            headroom = np.where(np.array(accepted)[:, None] & (gpu >= milli), gpu, 0)
            free.append(headroom.sum(axis=1) / openb.GPU)
            chain.append((headroom // milli).sum(axis=1))
        shape = (len(self.units), len(contents))
        return np.reshape(free, shape).T.astype(float), np.reshape(chain, shape).T.astype(float)

    def afters(self, kind, states):
        """The states after a pod of this kind, for the states given."""
        if kind.num == 0:
            return states
        key = (kind.num, kind.milli)
        table = self.after.get(key)
        if table is None or len(table) < len(self.contents):
            grown = np.full(2 * len(self.contents), UNKNOWN)
            if table is not None:
                grown[: len(table)] = table
            table = self.after[key] = grown
        after = table[states]
        for state in set(states[after == UNKNOWN].tolist()):
            table[state] = self.step(kind, state)
        return table[states]

    def step(self, kind, state):
        model, slots = self.contents[state]
        gpu = np.array(slots)
        taken = self.taken(gpu, kind)
        return self.number(model, (gpu - taken * kind.milli).tolist())

    def taken(self, gpu, kind):
        if self.ordered:
            fits = gpu >= kind.milli
            return fits & (fits.cumsum() <= kind.num)
        return simulated_cluster.tightest(gpu[None, :], kind)[0]


class Prices:
    """Scores by scarcity prices; larger wins. `form` as in extender.pricing.formula.

    `every` is how many placements share one set of prices; `devices` the node's own rule:
    "tightest" or "first" fit; `reserve` the share kept for whole machines.
    """

    def __init__(
        self,
        nodes,
        *,
        form=None,
        every=20,
        devices="tightest",
        reserve=0.0,
        **mixing,
    ):
        self.policy_form = self.form = form or formula.Constants()
        self.every = every
        self.devices = devices
        self.mix = demand_mix.DemandMix(**mixing)
        self.states = States(nodes.models, ordered=devices == "first")
        self.nodes = nodes
        gpus, count = np.unique(nodes.gpus[nodes.gpus > 1], return_counts=True)
        parts = reserve * gpus * count / nodes.gpus.sum()
        self.mix.reserve_machines(dict(zip(gpus.tolist(), parts.tolist(), strict=True)))
        self.state = None
        self.changes = every
        self.epoch = 0
        self.tables = {}  # kind → (cost, tie-break, epoch, stamp) per node

    def arrived(self, uid, kind):
        unit = (kind.milli, kind.models) if kind.num else None
        self.mix.learn(
            uid,
            unit,
            count=kind.num,
            share=kind.milli / openb.GPU,
            cpu=kind.cpu,
            memory=kind.memory,
        )

    def changed(self, cluster, node):
        self.changes += 1
        if self.state is None:
            return  # the first pod that is scored reads them all
        self.state[node] = self.states.number(self.nodes.model[node], cluster.gpu[node].tolist())

    def scores(self, cluster, kind, rows):
        cost, tie = self.judged(cluster, kind, rows)
        return ranking.scores_of(cost, tie, maximum=len(rows)).astype(float)

    def best(self, cluster, kind, rows):
        """The rows that share the first rank."""
        cost, tie = self.judged(cluster, kind, rows)
        near = np.flatnonzero(steps(cost) == steps(cost.min()))
        tie = steps(tie[near])
        return rows[near[tie == tie.min()]]

    def judged(self, cluster, kind, rows):
        """Cost and second key of the rows, recomputed where a node or the prices changed."""
        if self.state is None:
            gpus = cluster.gpu.tolist()
            numbers = [
                self.states.number(m, g) for m, g in zip(self.nodes.model, gpus, strict=True)
            ]
            self.state = np.array(numbers)
        if self.changes >= self.every:
            self.refresh(cluster)
        size = len(cluster.cpu)
        if kind not in self.tables:
            empty = np.full(size, -1)
            self.tables[kind] = (np.zeros(size), np.zeros(size), empty, empty.copy())
        cost, tie, epoch, stamp = self.tables[kind]
        stale = rows[(epoch[rows] != self.epoch) | (stamp[rows] != cluster.stamp[rows])]
        if len(stale):
            cost[stale], tie[stale] = self.evaluated(cluster, kind, stale)
            epoch[stale], stamp[stale] = self.epoch, cluster.stamp[stale]
        return cost[rows], tie[rows]

    def evaluated(self, cluster, kind, rows):
        now = self.state[rows]
        then = self.states.afters(kind, now)
        cpu, memory = cluster.cpu[rows], cluster.memory[rows]
        parts = self.parts()
        before = self.headroom_now(cluster, rows, parts.take(now))
        after = formula.headroom(
            parts.take(then), cpu - kind.cpu, memory - kind.memory, self.classes, self.form
        )
        gpus = np.maximum(cluster.gpu[rows], 0).sum(axis=1) - kind.gpu
        tie = formula.tightness(
            cpu - kind.cpu, gpus / openb.GPU, most_cpu=MOST_CPU, most_gpus=MOST_GPU
        )
        return formula.cost(before, after, self.prices), tie

    def headroom_now(self, cluster, rows, parts):
        """The headroom of the rows now; recomputed where a row changed since the prices."""
        stale = self.headroom_stamp[rows] != cluster.stamp[rows]
        if stale.any():
            which = rows[stale]
            self.headroom[which] = formula.headroom(
                formula.DeviceHeadroom(parts.fits_now[stale], parts.count[stale]),
                cluster.cpu[which],
                cluster.memory[which],
                self.classes,
                self.form,
            )
            self.headroom_stamp[which] = cluster.stamp[which]
        return self.headroom[rows]

    def refresh(self, cluster):
        self.changes = 0
        self.epoch += 1
        self.form = formula.adapted_to_coverage(self.policy_form, self.coverage(cluster))
        self.classes = self.mix.classes()
        self.memo = None
        parts = self.parts().take(self.state)
        self.headroom = formula.headroom(
            parts, cluster.cpu, cluster.memory, self.classes, self.form
        )
        self.headroom_stamp = cluster.stamp.copy()
        headroom, pool = self.headroom.sum(axis=0), self.empty_headroom()
        self.prices = prices.prices(self.classes, headroom, self.form, pool=pool)

    def coverage(self, cluster):
        """Which part of the idle GPUs CPU and memory cover: every machine has GPUs here."""
        return formula.coverage_by(
            self.mix.mean_demand(),
            gpus=np.maximum(cluster.gpu, 0).sum() / openb.GPU,
            cpu=(cluster.cpu.sum(), 0.0),
            memory=(cluster.memory.sum(), 0.0),
        )

    def empty_headroom(self):
        """GPUs of the machines that each class may take at all."""
        given = []
        for _, models in map(unit_demand, self.classes.units):
            accepted = np.array([not models or m in models for m in self.nodes.models])
            given.append(float(self.nodes.gpus[accepted[self.nodes.model]].sum()))
        return np.array(given)[self.classes.unit]

    def parts(self):
        """The device headroom of all states; extended when a transition met a new state."""
        known = 0 if self.memo is None else len(self.memo.fits_now)
        if known < len(self.states.contents):
            added = self.states.parts(self.classes, self.form, known)
            self.memo = added if self.memo is None else joined(self.memo, added)
        return self.memo

    def slots(self, cluster, node, kind):
        if self.devices == "first" and kind.num:
            return simulated_cluster.first_slots(cluster, node, kind)
        return simulated_cluster.slots_of(cluster, node, kind)


def unit_demand(unit):
    """(thousandths, accepted models) of a unit."""
    return (openb.GPU, ()) if unit == demand_mix.WHOLE_GPU else unit


def joined(one, other):
    return formula.DeviceHeadroom(
        fits_now=np.vstack([one.fits_now, other.fits_now]),
        count=np.vstack([one.count, other.count]),
    )


def steps(values):
    """Values in the steps within which ranking takes them for equal."""
    return np.round(values / ranking.RESOLUTION)
