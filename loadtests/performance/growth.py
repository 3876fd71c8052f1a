"""How the cost of a pod grows: with names asked, nodes, distinct states, kinds of pods, events.

    python -m loadtests.performance.growth [--nodes 2000] [--pods 40] [--json]

In process and in thread CPU time, so that what it measures is the product's own work: filter,
prepare and prioritize of a pod, from bytes to bytes, after a warm-up. One axis moves at a time.
`--json` prints a line for each axis; `python -m loadtests.report.results` draws them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time

import orjson

from extender.server import metrics, verbs
from extender.service import served_engine, startup
from loadtests.performance import wire
from loadtests.simulator import mixed_fleet, synthetic

NAMES = (50, 100, 250, 500, 1000, 2000)
NODES = (125, 250, 500, 1000, 2000)
SHARES = (0.0, 0.02, 0.1, 0.4)  # of devices taken: more of them make more distinct states
KINDS = (1, 2, 4, 6)
EVENTS = (0, 1, 4, 16, 64)  # nodes that changed since the last pod
_WARM = 12
_ASKED = 125


class Bench:
    """Pods asked about one after the other, in windows of the node list."""

    def __init__(self, judging):
        self.judging = judging
        self._verbs = verbs.Verbs(
            served_engine.ServedEngine(judging),
            metrics.Metrics(metrics.ClusterFigures),
            clock=time.monotonic,
        )
        self._names = sorted(judging.index.rows)
        self._rng = random.Random(3)
        self._rng.shuffle(self._names)
        self._pods = 0
        startup.settled_memory()

    def cost(self, pods, *, asked=_ASKED, kinds=1, events=0):
        """Microseconds of CPU time of a pod: the lower fifth, as neighbours only add to it."""
        for _ in range(_WARM * kinds):
            self._pod(asked, kinds, events)
        found = [self._pod(asked, kinds, events) for _ in range(pods)]
        return round(statistics.quantiles(found, n=5)[0])

    def _pod(self, asked, kinds, events):
        start = self._rng.randrange(len(self._names))
        names = (self._names[start:] + self._names[:start])[:asked]
        # The kinds that every cluster here has come first.
        head = wire.head(self._pods % kinds)
        head = head.replace(b"uid-train-", b"uid-%d-" % self._pods)
        self._pods += 1
        for name in self._rng.sample(self._names, min(events, len(self._names))):
            self._taint(name)
        body = head + b'"Nodes":null,"NodeNames":' + orjson.dumps(names) + b"}"
        began = time.thread_time_ns()
        reported = self._verbs.filter(body)
        self._verbs.prepare()
        took = time.thread_time_ns() - began
        second = head + wire.passing(reported, whole=False)
        began = time.thread_time_ns()
        self._verbs.prioritize(second)
        took += time.thread_time_ns() - began
        for _ in range(200):
            if not self.judging.unsettled:
                break
            self.judging.settle()
            self.judging.ahead.step()
        return took / 1000

    def _taint(self, name):
        """An event of a node that dirties its row: what it holds is counted anew."""
        self.judging.store.marked.dirty.add(name)


def axes(nodes, pods):
    """Yield each axis: its title, and (value, microseconds) of its points."""
    bench = Bench(mixed_fleet.cluster(nodes))
    yield "names asked", [(n, bench.cost(pods, asked=n)) for n in NAMES if n <= nodes]
    yield "kinds of pods", [(n, bench.cost(pods, kinds=n)) for n in KINDS]
    yield "rows read anew between two pods", [(n, bench.cost(pods, events=n)) for n in EVENTS]
    del bench
    found = [(n, Bench(mixed_fleet.cluster(n)).cost(pods)) for n in NODES if n <= nodes]
    yield f"nodes, {_ASKED} names asked", found
    points = []
    for share in SHARES:
        judging = synthetic.cluster(nodes, share=share)
        judging.store.apply("ResourceClaimTemplate", "ADDED", synthetic.template("gpu", 1, 0))
        states = len(set(judging.index.state[judging.index.in_use()].tolist()))
        points.append((states, Bench(judging).cost(pods)))
    yield f"distinct states of {nodes} nodes", points


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=2000)
    parser.add_argument("--pods", type=int, default=40, help="of each point")
    parser.add_argument("--json", action="store_true", help="print a JSON line for each axis")
    given = parser.parse_args()
    for title, points in axes(given.nodes, given.pods):
        report = {
            "benchmark": "growth",
            "axis": title,
            "nodes": given.nodes,
            "points": points,
            "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        }
        reported = ", ".join(f"{value}: {took} us" for value, took in points)
        print(json.dumps(report) if given.json else f"{title}: {reported}", flush=True)


if __name__ == "__main__":
    main()
