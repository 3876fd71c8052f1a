"""GPU allocation at saturation on the openb traces: `python -m loadtests.quality.packing --help`.

Pods arrive in the order of a published run until they ask for 1.3 times the cluster; a pod that
fits nowhere is dropped; nothing leaves. What kube-scheduler would see is modelled: its filters,
its in-tree resource scores where asked, and a random pick among equal totals.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
import time

import msgspec
import numpy as np

from extender.policy import config, ranking
from extender.pricing import formula as policy_packing
from extender.service import assembly
from loadtests.simulator import argument_checks, baselines, engine, oracle, simulated_cluster
from loadtests.simulator.traces import openb

LEVELS = (50, 80, 95, 100, 110, 120, 130)  # % of capacity asked, where allocation is reported
TOP = 10  # the extender API's documented maximum
IN_TREE_TOP = 100
POLICY_FILES = (".yaml", ".yml")


@dataclasses.dataclass(slots=True)
class Wire:
    """How the policy's scores reach the pick: `top` 0 means undivided (the best wins)."""

    ties: str = "random"
    intree: str = "none"
    cpu_pods: str = "ours"
    top: int = 0
    weight: int = 1
    kubernetes: str = baselines.NEWEST  # whose in-tree scores


@dataclasses.dataclass(slots=True)
class Tally:
    """Counts along a run; `levels[x]` are the allocations seen while x % had arrived."""

    capacity: int
    arrived: int = 0
    allocated: int = 0
    rejected: int = 0
    pods: int = 0
    large: int = 0  # pods of eight GPUs
    large_placed: int = 0
    levels: dict = dataclasses.field(default_factory=dict)

    def count(self, kind, placed):
        self.pods += 1
        self.arrived += kind.gpu
        self.allocated += kind.gpu * placed
        self.rejected += not placed
        self.large += kind.num == openb.SLOTS
        self.large_placed += placed and kind.num == openb.SLOTS
        level = round(self.arrived / self.capacity * 100)
        if level in LEVELS:
            self.levels.setdefault(level, []).append(self.allocated / self.capacity * 100)

    def report(self):
        return {
            "allocation": {
                str(level): round(sum(seen) / len(seen), 2) for level, seen in self.levels.items()
            },
            "pods": self.pods,
            "rejected": self.rejected,
            "large_accepted": round(100 * self.large_placed / self.large, 1)
            if self.large
            else None,
        }


def pick(cluster, kind, rows, policy, wire, order):
    """The node kube-scheduler takes; `order` breaks ties (the smallest wins)."""
    ours = wire.cpu_pods == "ours" or kind.num
    if ours and not wire.top and wire.intree == "none" and hasattr(policy, "best"):
        best = policy.best(cluster, kind, rows)
        return int(best[order[best].argmin()])
    if wire.cpu_pods == "intree" and kind.num == 0:
        total = baselines.in_tree(cluster, kind, rows, wire.kubernetes).astype(float)
    else:
        total = policy.scores(cluster, kind, rows)
        if wire.top:
            total = ranking.scores_of(-total, np.zeros(len(rows)), maximum=wire.top)
            total = total * (wire.weight * IN_TREE_TOP / TOP)
        if wire.intree == "default":
            total = total + baselines.in_tree(cluster, kind, rows, wire.kubernetes)
    best = rows[total == total.max()]
    return int(best[order[best].argmin()])


class Hooks:
    """What a policy wants to hear of; most want nothing."""

    def __init__(self, policy):
        names = ("arrived", "unseen", "clustered", "changed", "bound", "left")
        self.policy = {name: getattr(policy, name, None) for name in names}

    def arrived(self, uid, kind):
        self.tell("arrived", uid, kind)

    def unseen(self, uid, kind):
        """A pod arrives that the policy shall not learn from."""
        self.tell("unseen", uid, kind)

    def placed(self, cluster, uid, node, kind, slots):
        self.tell("clustered", node, kind, 1)
        self.tell("changed", cluster, node)
        self.tell("bound", uid, node, kind, slots)

    def gone(self, cluster, uid, node, kind):
        self.tell("clustered", node, kind, -1)
        self.tell("changed", cluster, node)
        self.tell("left", uid)

    def tell(self, name, *what):
        hook = self.policy[name]
        if hook is not None:
            hook(*what)


def run(trace, nodes, order, ranks, policy, *, wire, rng, progress=None):
    """Place the pods one after the other; returns the tally."""
    cluster = simulated_cluster.empty(nodes)
    tally = Tally(capacity=nodes.capacity)
    shown = Hooks(policy)
    for number, pod in enumerate(order):
        kind = trace.kinds[trace.pods[pod]]
        shown.arrived(str(number), kind)
        rows = np.flatnonzero(cluster.feasible(kind))
        if len(rows):
            keys = ranks if wire.ties == "rank" else rng.random(len(nodes.names))
            node = pick(cluster, kind, rows, policy, wire, keys)
            slots = policy.slots(cluster, node, kind)
            cluster.place(node, kind, slots)
            shown.placed(cluster, str(number), node, kind, slots)
        tally.count(kind, len(rows) > 0)
        if progress and number % 2000 == 0:
            progress(f"{number}/{len(order)} pods, {tally.allocated / nodes.capacity:.1%}")
    return tally


def make_policy(name, trace, nodes, options):
    """A policy by name.

    `railyard`, or a policy file: the product's engine. `prices`: the same formulas on the
    simulator's arrays. Else a baseline.
    """
    if name == "railyard" or pathlib.Path(name).suffix in POLICY_FILES:
        chosen = config.DEFAULT
        if name != "railyard":
            chosen = assembly.read_policy(pathlib.Path(name))
        elif options.cpu_pods == "intree":
            chosen = msgspec.structs.replace(chosen, cpu_pods="Ignore")
        return engine.Railyard(nodes, policy=chosen)
    if name != "prices":
        return baselines.named(name, trace, nodes)
    plain, scored = config.ClusterPacking(), options.cpu_pods == "ours"
    return oracle.Prices(
        nodes,
        form=policy_packing.constants_of(plain, cpu_pods_scored=scored),
        every=options.refresh,
        devices=options.devices,
        reserve=plain.machine_reserve,
    )


def policy_name(name):
    """The name of a policy there is, or a policy file."""
    if pathlib.Path(name).suffix in POLICY_FILES:
        return argument_checks.file(name)
    if name not in {"railyard", "prices", *baselines.NAMES, *baselines.FGD_NAMES}:
        raise argparse.ArgumentTypeError(f"there is no policy {name}")
    return name


def parser(description):
    parse = argparse.ArgumentParser(description=description)
    parse.add_argument("--nodes", type=argument_checks.file, default=str(openb.NODES))
    parse.add_argument(
        "--pods",
        type=argument_checks.pod_list,
        default="default",
        help="a pod list, or its short name",
    )
    parse.add_argument(
        "--order", type=argument_checks.file, help="by default the published run of --seed"
    )
    parse.add_argument("--ties", choices=("random", "rank"), default="random")
    parse.add_argument("--seed", type=int, default=42)
    parse.add_argument(
        "--policy",
        type=policy_name,
        default="prices",
        help="railyard, a policy file, prices, FGD, BestFit, …",
    )
    parse.add_argument("--intree", choices=("none", "default"), default="none")
    parse.add_argument("--cpu-pods", choices=("ours", "intree"), default="ours")
    parse.add_argument("--wire", type=int, default=0, help="largest score; 0: undivided")
    parse.add_argument("--weight", type=int, default=1, help="of the extender, with --wire")
    parse.add_argument(
        "--kubernetes",
        choices=baselines.BALANCES,
        default=baselines.NEWEST,
        help="whose in-tree scores: 1.35 and before, 1.36 and later",
    )
    parse.add_argument(
        "--refresh", type=argument_checks.count, default=20, help="placements a price"
    )
    parse.add_argument("--devices", choices=("tightest", "first"), default="tightest")
    parse.add_argument("--json", action="store_true")
    return parse


def wire_of(options):
    return Wire(
        ties=options.ties,
        intree=options.intree,
        cpu_pods=options.cpu_pods,
        top=options.wire,
        weight=options.weight,
        kubernetes=options.kubernetes,
    )


def settings(options, wire):
    """What was asked for, for the report."""
    kept = ("seed", "policy", "refresh", "devices")
    return {key: getattr(options, key) for key in kept} | dataclasses.asdict(wire)


def main(arguments=None):
    options = parser(__doc__).parse_args(arguments)
    nodes = openb.read_nodes(options.nodes)
    trace = openb.read_trace(options.pods)
    rng = np.random.default_rng(options.seed)
    if options.order:
        order, ranks = openb.read_order(options.order)
    else:
        order, ranks = openb.published_order(trace, nodes, options.seed)
    wire = wire_of(options)
    policy = make_policy(options.policy, trace, nodes, options)
    began = time.monotonic()
    tally = run(
        trace,
        nodes,
        order,
        ranks,
        policy,
        wire=wire,
        rng=rng,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )
    report = {
        "benchmark": "packing",
        "trace": trace.name,
        **settings(options, wire),
        **tally.report(),
        "disagreed": getattr(policy, "disagreed", 0),
        "seconds": round(time.monotonic() - began, 1),
    }
    if options.json:
        print(json.dumps(report))
    else:
        levels = "  ".join(f"{level} %: {value}" for level, value in report["allocation"].items())
        print(f"{trace.name} seed {options.seed} {options.policy}: {levels}")
        print(f"rejected {tally.rejected} of {tally.pods}, 8-GPU {report['large_accepted']} %")


if __name__ == "__main__":
    main()
