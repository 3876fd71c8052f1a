"""Packing under departures on openb's mixes: `python -m loadtests.quality.churn --help`.

Pods arrive one a time step, drawn from a pod list with replacement, and live for an exponential
time; a pod that fits nowhere is dropped. The load is arrivals x mean life x mean GPUs / capacity.
Reported after a warm-up: acceptance weighted by GPUs, mean allocation, acceptance of 8-GPU pods.
"""

import dataclasses
import heapq
import json
import sys
import time

import numpy as np

from loadtests.quality import packing
from loadtests.simulator import argument_checks, simulated_cluster
from loadtests.simulator.traces import openb

ARRIVALS = 26_000
WARM_UP = 1.4  # mean lives: three quarters of the offered load are there


@dataclasses.dataclass(slots=True)
class Tally:
    """Sums after the warm-up; GPUs in thousandths."""

    asked: int = 0
    accepted: int = 0
    pods: int = 0
    rejected: int = 0
    large: int = 0
    large_accepted: int = 0
    held: float = 0.0  # allocated share of the cluster, summed over arrivals

    def count(self, kind, accepted, held):
        self.pods += 1
        self.rejected += not accepted
        self.asked += kind.gpu
        self.accepted += kind.gpu * accepted
        self.large += kind.num == openb.SLOTS
        self.large_accepted += accepted and kind.num == openb.SLOTS
        self.held += held

    def report(self):
        return {
            "gpu_accepted": round(100 * self.accepted / self.asked, 2),
            "allocation": round(100 * self.held / self.pods, 2),
            "large_accepted": round(100 * self.large_accepted / max(self.large, 1), 1),
            "rejected": self.rejected,
            "pods": self.pods,
        }


def sizes_of(trace):
    """Thousandths of a GPU that each pod of the list asks for."""
    return np.array([kind.gpu for kind in trace.kinds])[trace.pods]


def life_of(trace, nodes, load):
    """Mean life in arrivals."""
    return load * nodes.capacity / sizes_of(trace).mean()


def stream_of(trace, nodes, *, load, arrivals, seed, shift=0):
    """Mean life, the demands in order of arrival and when each ends, equal for every policy.

    Pods of `shift` GPUs do not come before the count begins; till then the others make up the load.
    """
    stream, lives, others = (np.random.default_rng([seed, part]) for part in (0, 1, 3))
    sizes = sizes_of(trace)
    life = life_of(trace, nodes, load)
    pods = stream.integers(len(trace.pods), size=arrivals)
    lived = lives.exponential(life, size=arrivals)
    if shift:
        old = np.flatnonzero(np.array([kind.num for kind in trace.kinds])[trace.pods] != shift)
        before = np.arange(arrivals) < WARM_UP * life
        late = before & ~np.isin(pods, old)
        pods[late] = others.choice(old, size=int(late.sum()))
        lived[before] *= sizes.mean() / sizes[old].mean()
    return life, trace.pods[pods], np.arange(arrivals) + lived


def run(trace, nodes, policy, *, wire, load, arrivals, seed, unseen=0, shift=0, progress=None):
    """The stream of pods is `stream_of`'s; ties have one of their own.

    Pods of `unseen` GPUs are never learnt from: each of them is the first of its size.
    """
    ties = np.random.default_rng([seed, 2])
    cluster = simulated_cluster.empty(nodes)
    life, drawn, ends = stream_of(
        trace, nodes, load=load, arrivals=arrivals, seed=seed, shift=shift
    )
    running = []  # (end, number, node, kind, slots)
    reported = packing.Hooks(policy)
    tally, allocated = Tally(), 0
    for number in range(arrivals):
        while running and running[0][0] <= number:
            _, which, node, kind, slots = heapq.heappop(running)
            cluster.remove(node, kind, slots)
            allocated -= kind.gpu
            reported.gone(cluster, str(which), node, kind)
        kind = trace.kinds[drawn[number]]
        if unseen and kind.num == unseen:
            reported.unseen(str(number), kind)
        else:
            reported.arrived(str(number), kind)
        rows = np.flatnonzero(cluster.feasible(kind))
        if len(rows):
            node = packing.pick(cluster, kind, rows, policy, wire, ties.random(len(nodes.names)))
            slots = policy.slots(cluster, node, kind)
            cluster.place(node, kind, slots)
            allocated += kind.gpu
            heapq.heappush(running, (ends[number], number, node, kind, slots))
            reported.placed(cluster, str(number), node, kind, slots)
        if number >= WARM_UP * life:
            tally.count(kind, len(rows) > 0, allocated / nodes.capacity)
        if progress and number % 5000 == 0:
            progress(f"{number}/{arrivals} pods, {allocated / nodes.capacity:.1%}")
    return tally


def _parser():
    parse = packing.parser(__doc__)
    parse.add_argument("--load", type=argument_checks.positive, default=0.95)
    parse.add_argument("--arrivals", type=argument_checks.count, default=ARRIVALS)
    parse.add_argument("--unseen", type=int, default=0, help="GPUs of pods never learnt from")
    parse.add_argument("--shift", type=int, default=0, help="GPUs of pods that come after warm-up")
    return parse


def main(arguments=None):
    parse = _parser()
    options = parse.parse_args(arguments)
    nodes = openb.read_nodes(options.nodes)
    trace = openb.read_trace(options.pods)
    begin = WARM_UP * life_of(trace, nodes, options.load)
    if options.arrivals <= begin:
        parse.error(f"nothing is counted before arrival {begin:.0f}")
    wire = packing.wire_of(options)
    policy = packing.make_policy(options.policy, trace, nodes, options)
    began = time.monotonic()
    tally = run(
        trace,
        nodes,
        policy,
        wire=wire,
        load=options.load,
        arrivals=options.arrivals,
        seed=options.seed,
        unseen=options.unseen,
        shift=options.shift,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )
    report = {
        "benchmark": "churn",
        "trace": trace.name,
        "load": options.load,
        "unseen": options.unseen,
        "shift": options.shift,
        **packing.settings(options, wire),
        **tally.report(),
        "disagreed": getattr(policy, "disagreed", 0),
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(report) if options.json else _line(report, trace, options))


def _line(report, trace, options):
    """The report for people."""
    return (
        f"{trace.name} load {options.load} seed {options.seed} {options.policy}: "
        f"accepted {report['gpu_accepted']} % of GPUs, allocation {report['allocation']} %, "
        f"8-GPU {report['large_accepted']} %"
    )


if __name__ == "__main__":
    main()
