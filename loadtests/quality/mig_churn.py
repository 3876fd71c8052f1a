"""MIG instances coming and going on 13 nodes of 8 GPUs: `python -m loadtests.quality.mig_churn
--help`.

One instance arrives a time step, its life is exponential; it is dropped where no node takes it.
The driver of a node chooses the GPU and the start: first-fit as announced, or last-fit or random
while the scores still predict first-fit. Reported: acceptance weighted by memory slices.
"""

import argparse
import dataclasses
import heapq
import json
import sys
import time

import numpy as np

from extender.cluster.names import name_order
from extender.policy import config, ranking
from extender.pricing import formula, prices
from extender.pricing.mig import placements
from extender.pricing.mix import demand_mix
from loadtests.quality import packing as openb_packing
from loadtests.simulator import argument_checks, mig_engine, mig_streams

NODES, GPUS = 13, 8
ARRIVALS, WARM_UP = 6000, 2000  # a third warms up
# Seed 0 is numpy's default_rng(1000): so are the streams on which this benchmark's goals were set.
# The ceilings of its first ten tell that they are the same: see
# tests/loadtests/simulator/test_mig_streams.py.
FIRST_SEED = 1000
MIXES = {  # shares in mig.PROFILES order
    "uniform": (1 / 6,) * 6,
    "skew-small": (0.40, 0.20, 0.20, 0.10, 0.05, 0.05),
    "skew-big": (0.05, 0.05, 0.10, 0.20, 0.20, 0.40),
    "bimodal": (0.35, 0.10, 0.05, 0.05, 0.10, 0.35),
    "small-only": (0.40, 0.25, 0.25, 0.10, 0.0, 0.0),
}
KINDS = len(mig_streams.PROFILES)
ROWS = np.arange(NODES)
ORDER = np.array([name_order.order_of(name) for name in mig_engine.names_of(NODES)])
EVEN = np.ones(KINDS)  # a price of 1 for every placement
WINDOWS = mig_streams.LEGAL.sum(axis=2).astype(float)  # [mask, profile]
LOST = WINDOWS[:, None] - WINDOWS[mig_streams.AFTER]  # [mask, profile made, profile]


@dataclasses.dataclass(slots=True)
class View:
    """The cluster as a score sees it: masks per node and GPU, and the learnt mix."""

    masks: np.ndarray
    classes: demand_mix.DemandClasses  # each asks for a profile, by its number

    @property
    def learnt(self):
        """Profile → share of recent instances; they add up to 1."""
        weight = self.classes.weight
        return self.by_profile(weight / weight.sum())

    def by_profile(self, values):
        """Values of the classes in profile order, 0 for a profile that was never seen."""
        found = np.zeros(KINDS)
        found[list(self.classes.units)] = values
        return found

    def prices(self):
        """What one legal placement of each profile is worth, in GPUs: all count as room."""
        share, together = self.classes.share, np.ones(len(self.classes.units), dtype=bool)
        room = WINDOWS[self.masks].sum(axis=(0, 1))[list(self.classes.units)] * share
        room = prices.shared_headroom(room, self.classes.weight, together)
        return self.by_profile(prices.prices(self.classes, room, formula.Constants()) * share)


class Outcome:
    """What first-fit would take on each node, before or after a placement."""

    def __init__(self, masks, worth):
        """`worth[mask, profile]`: what the placement costs there; inf where it has no room."""
        fits = mig_streams.FIRST[masks] != mig_streams.NONE
        self.masks = masks
        self.gpu = fits.argmax(axis=1)  # [node, profile]
        self.loss = worth[masks[ROWS[:, None], self.gpu], np.arange(KINDS)]  # [node, profile]

    def after(self, profile):
        """The masks of every node after a first-fit instance of this profile."""
        masks, gpu = self.masks.copy(), self.gpu[:, profile]
        masks[ROWS, gpu] = mig_streams.AFTER[masks[ROWS, gpu], profile]
        return masks


def least(view, profile, rows):  # noqa: ARG001 - the shape of a score
    return -mig_streams.FREE[view.masks[rows]].sum(axis=1).astype(float)


def most(view, profile, rows):  # noqa: ARG001
    return mig_streams.FREE[view.masks[rows]].sum(axis=1).astype(float)


def anywhere(view, profile, rows):  # noqa: ARG001
    return np.zeros(len(rows))


def kept(view, profile, rows):
    """Legal placements lost (CC)."""
    return Outcome(view.masks, mig_streams.LOSS).loss[rows, profile]


def ahead(view, profile, rows):
    """Legal placements lost, and the expected loss of the next instance, all weighing alike."""
    return looking_ahead(view, profile, EVEN)[0][rows]


def priced(view, profile, rows):
    """Scarcity prices with profiles as classes: room is the legal placements, as in the product."""
    return Outcome(view.masks, worth(view.prices())).loss[rows, profile]


def fast(view, profile, rows):
    """The engine's answer by its formulas, on masks: prices, one partition ahead, the wire.

    tests/loadtests/simulator/test_mig_streams.py holds it against the engine, pod by pod.
    """
    cost, now = looking_ahead(view, profile, view.prices())
    position, maximum = now.gpu[rows, profile].astype(float), config.DEFAULT.scores.maximum
    return -ranking.scores_of(cost[rows], position, maximum=maximum, order=ORDER[rows])


def looking_ahead(view, profile, price):
    """What the placement costs per node, the next one included, and what first-fit would do."""
    table = worth(price)
    now = Outcome(view.masks, table)
    then = Outcome(now.after(profile), table)
    nowhere = placements.COST_OF_NO_FIT * float(WINDOWS[0] @ price)
    following = placements.next_loss(now.loss, ROWS, then.loss, view.learnt, nowhere)
    return now.loss[:, profile] + following.sum(axis=1), now


def worth(price):
    """`[mask, profile]`: the price of the legal placements that a first-fit instance closes."""
    return np.where(mig_streams.FIRST == mig_streams.NONE, np.inf, LOST @ price)


SCORES = {
    "least": least,
    "most": most,
    "random": anywhere,
    "placements": kept,
    "ahead": ahead,
    "prices": priced,
    "railyard-fast": fast,
}


def driven(masks, profile, driver, rng):
    """The (GPU, start) a node's driver chooses."""
    options = mig_streams.LEGAL[masks, profile]
    if driver == "random":
        gpus, starts = np.nonzero(options)
        choice = rng.integers(len(gpus))
        return int(gpus[choice]), int(starts[choice])
    able = np.flatnonzero(options.any(axis=1))
    gpu = int(able[0] if driver == "first" else able[-1])
    table = mig_streams.FIRST if driver == "first" else mig_streams.LAST
    return gpu, int(table[masks[gpu], profile])


def stream_of(shares, *, load, arrivals, seed):
    """The profiles in order of arrival and when each instance ends, equal for every policy."""
    stream = np.random.default_rng(FIRST_SEED + seed)
    shares = np.array(shares) / sum(shares)
    life = load * NODES * GPUS * mig_streams.SLICES / float(shares @ mig_streams.SIZES)
    drawn = stream.choice(KINDS, size=arrivals, p=shares)
    return drawn, np.arange(arrivals) + stream.exponential(life, size=arrivals)


class Instances:
    """The GPUs and what lives on them; `reported` hears of what comes, goes and is made."""

    def __init__(self, reported):
        self.masks = np.zeros((NODES, GPUS), dtype=np.int64)
        self.live = np.zeros(KINDS, dtype=np.int64)  # per profile
        self.reported = reported
        self._running = []  # (end, number, profile, (node, GPU), slices taken)

    def leave(self, now):
        """Take away what has ended."""
        while self._running and self._running[0][0] <= now:
            _, number, profile, place, taken = heapq.heappop(self._running)
            self.reported.tell("left", str(number))
            self.live[profile] -= 1
            if place is not None:
                self.masks[place] &= ~taken

    def fits_repacked(self, profile):
        """Whether one more fits if all may move."""
        return mig_streams.fits_repacked(self.live + (np.arange(KINDS) == profile), NODES * GPUS)

    def make(self, number, profile, node, where, *, end):
        """Make an instance at (GPU, start) of a node."""
        gpu, start = where
        taken = mig_streams.window(mig_streams.PROFILES[profile][1], start)
        self.masks[node, gpu] |= taken
        self.reported.tell("bound", str(number), node, profile, where)
        self.keep(number, profile, end=end, place=(node, gpu), taken=taken)

    def keep(self, number, profile, *, end, place=None, taken=0):
        """Remember when it ends; without a place it may move."""
        self.live[profile] += 1
        heapq.heappush(self._running, (end, number, profile, place, taken))


def run(shares, score, *, driver, load, seed, arrivals=ARRIVALS, warm_up=WARM_UP):
    """Acceptance of slices and instances after the warm-up, in %; without a score all may move."""
    ties = np.random.default_rng([seed, 2])
    drawn, ends = stream_of(shares, load=load, arrivals=arrivals, seed=seed)
    learner = demand_mix.DemandMix()
    there = Instances(openb_packing.Hooks(score))
    slices, counts = np.zeros(2), np.zeros(2)
    for number, profile in enumerate(drawn.tolist()):
        there.leave(number)
        size = mig_streams.SIZES[profile]
        learner.learn(str(number), profile, count=1, share=size / mig_streams.SLICES)
        there.reported.tell("arrived", str(number), profile)
        if score is None:
            accepted = there.fits_repacked(profile)
            if accepted:
                there.keep(number, profile, end=ends[number])
        else:
            rows = np.flatnonzero(
                (mig_streams.FIRST[there.masks, profile] != mig_streams.NONE).any(axis=1)
            )
            accepted = len(rows) > 0
            if accepted:
                view = View(there.masks, learner.classes())
                node = picked(score(view, profile, rows), rows, ties)
                where = driven(there.masks[node], profile, driver, ties)
                there.make(number, profile, node, where, end=ends[number])
        if number >= warm_up:
            slices += (size * accepted, size)
            counts += (accepted, 1)
    return 100 * slices[0] / slices[1], 100 * counts[0] / counts[1]


def picked(costs, rows, ties):
    """One of the rows of the smallest cost."""
    best = rows[costs <= costs.min() + 1e-9]
    return int(best[ties.integers(len(best))])


def summary(found):
    """The means over the seeds and the error of the first."""
    means, spread = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(len(found))
    return {
        "slices": round(float(means[0]), 2),
        "instances": round(float(means[1]), 2),
        "error": round(float(spread[0]), 2),
    }


def measured(options, name, seed):
    """One run of a mix."""
    score = SCORES.get(options.policy)
    if options.policy == "railyard":
        score = mig_engine.MigRailyard(NODES, GPUS)
    return run(
        MIXES[name],
        score,
        driver=options.driver,
        load=options.load,
        seed=seed,
        arrivals=options.arrivals,
        warm_up=options.arrivals // 3,
    )


def main(arguments=None):
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--mix", choices=tuple(MIXES), action="append")
    parse.add_argument("--policy", choices=(*SCORES, "railyard", "repack"), default="ahead")
    parse.add_argument("--driver", choices=("first", "last", "random"), default="first")
    parse.add_argument("--load", type=argument_checks.positive, default=1.0)
    parse.add_argument("--seeds", type=argument_checks.count, default=20)
    parse.add_argument("--arrivals", type=argument_checks.count, default=ARRIVALS)
    parse.add_argument("--json", action="store_true")
    options = parse.parse_args(arguments)
    report = {"benchmark": "mig_churn", "mixes": {}}
    report |= {
        key: getattr(options, key) for key in ("policy", "driver", "load", "seeds", "arrivals")
    }
    began = time.monotonic()
    for name in options.mix or MIXES:
        found = []
        for seed in range(options.seeds):
            found.append(measured(options, name, seed))
            print(f"{name} seed {seed}: {found[-1][0]:.2f} %", file=sys.stderr, flush=True)
        report["mixes"][name] = summary(found)
    report["seconds"] = round(time.monotonic() - began, 1)
    if options.json:
        print(json.dumps(report))
    else:
        for name, row in report["mixes"].items():
            print(f"{name}: {row['slices']} % of slices, {row['instances']} % of instances")


if __name__ == "__main__":
    main()
