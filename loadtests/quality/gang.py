"""Gangs on a cluster in racks, through the product's engine: `python -m loadtests.quality.gang`.

Jobs are drawn from the Philly log as Gavel published it (GPUs, steps, kind of job), arrive at
random at a given load, and run on nodes of eight GPUs, eight nodes a rack. A job is a gang of
one-GPU pods (of more where that would be over eight pods); all its pods are placed one after the
other, or none is, and the job waits; later jobs may go first. A job that lies on more nodes than it
must runs slower by the factor that Gavel measured on V100 between consolidated and unconsolidated
(at its size, at most 8 GPUs; factors below 1 are noise and count as 1).
"""

import argparse
import csv
import dataclasses
import gzip
import heapq
import itertools
import json
import pathlib
import re
import sys
import time

import msgspec
import numpy as np

from extender.policy import config
from loadtests.simulator import argument_checks, driver

DATA = pathlib.Path(__file__).parents[1] / "data" / "gavel"
NODE = 8  # GPUs
RACK = 8  # nodes
LABELS = {"rack": "fabric.topograph.run/tier-0", "spine": "fabric.topograph.run/tier-1"}
SPINE = 3  # racks
GROUP = "scheduling.x-k8s.io/pod-group"
LONGEST = 4 * 86400.0  # seconds; the few longer jobs would be the whole mean
LOOK_BACK = 20  # waiting jobs tried per event
POLICIES = ("railyard", "no-proximity", "random", "spread")


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """`seconds` where it lies on as few nodes as can be, `factor` times that where it does not."""

    gpus: int
    seconds: float
    factor: float

    @property
    def pods(self):
        """GPUs of each pod."""
        size = max(1, self.gpus // NODE)
        return [size] * (self.gpus // size)


class Throughputs:
    """Gavel's measured steps a second on V100."""

    def __init__(self, path=DATA / "simulation_throughputs.json.gz"):
        found = json.loads(gzip.decompress(path.read_bytes()))
        self.near = self.read(found["v100"])
        self.apart = self.read(found["v100_unconsolidated"])

    @staticmethod
    def read(table):
        """(kind of job, GPUs) → steps a second alone."""
        alone = {}
        for key, rates in table.items():
            match = re.fullmatch(r"\('(.*)', (\d+)\)", key)
            if match and float(rates["null"]) > 0:
                alone[match[1], int(match[2])] = float(rates["null"])
        return alone

    def seconds(self, kind, gpus, steps):
        """At the largest measured size, scaled in proportion beyond it."""
        known = [size for size in (8, 4, 2, 1) if size <= gpus and (kind, size) in self.near]
        return steps / self.near[kind, known[0]] * known[0] / gpus if known else None

    def factor(self, kind, gpus):
        known = [
            size
            for size in (8, 4, 2)
            if size <= gpus and (kind, size) in self.near and (kind, size) in self.apart
        ]
        if not known:
            return 1.0
        return max(1.0, self.near[kind, known[0]] / self.apart[kind, known[0]])


def read_jobs():
    """All jobs of the fifteen virtual clusters."""
    rates = Throughputs()
    jobs = []
    with gzip.open(DATA / "philly_vcs_seed0.csv.gz", "rt") as lines:
        for row in csv.DictReader(lines):
            kind, gpus = row["job_type"], int(row["gpus"])
            given = row["v100_duration_s"]
            seconds = (
                float(given) if given else rates.seconds(kind, gpus, float(row["total_steps"]))
            )
            if seconds:
                jobs.append(Job(gpus, min(seconds, LONGEST), rates.factor(kind, gpus)))
    return jobs


def drawn(jobs, count, *, load, gpus, seed):
    """(arrival, job), at that share of the cluster's GPU time."""
    rng = np.random.default_rng([seed, 0])
    chosen = [jobs[n] for n in rng.integers(len(jobs), size=count)]
    work = np.mean([job.seconds * job.gpus for job in chosen])
    arrivals = np.cumsum(rng.exponential(work / (load * gpus), size=count))
    return list(zip(arrivals.tolist(), chosen, strict=True))


def policy_of(name, weight):
    change = msgspec.structs.replace
    if name == "no-proximity":
        weight = 0.0
    if weight is None:
        return config.DEFAULT
    profiles = tuple(
        change(profile, proximity=change(profile.proximity, weight=weight))
        for profile in config.DEFAULT.profiles
    )
    return change(config.DEFAULT, profiles=profiles)


class Cluster:
    """Nodes in racks, and the gangs on them."""

    def __init__(self, nodes, policy, weight, seed):
        self.rng = np.random.default_rng([seed, 1])
        self.driving = driver.Driver(policy_of(policy, weight), self.rng)
        self.policy = policy
        self.rack = {}
        self.free = {}
        for number in range(nodes):
            name = f"node-{number:03}"
            rack = number // RACK
            self.rack[name], self.free[name] = rack, NODE
            labels = {LABELS["rack"]: f"rack-{rack}", LABELS["spine"]: f"spine-{rack // SPINE}"}
            self.driving.add_node(name, "h100", **labels)
        self.pods = {}  # job → [(uid, node, GPUs)]

    def start(self, number, job):
        """Place the gang; its nodes, and whether one could have had it; None where it must wait."""
        if sum(free // job.pods[0] for free in self.free.values()) < len(job.pods):
            return None
        uids = [f"{number}-{place}" for place in range(len(job.pods))]
        for uid, size in zip(uids, job.pods, strict=True):
            self.driving.arrive(uid, size, labels={GROUP: f"job-{number}"})
        placed = self.pods[number] = []
        one_had_room = max(self.free.values()) >= job.gpus
        for uid, size in zip(uids, job.pods, strict=True):
            found = self.driving.place(uid, choose=self.chooser())
            assert found is not None, "room was counted before"
            placed.append((uid, found.node, size))
            self.free[found.node] -= size
        return {node for _, node, _ in placed}, one_had_room

    def chooser(self):
        if self.policy == "random":
            return lambda names: names[int(self.rng.integers(len(names)))]
        if self.policy == "spread":  # kube-scheduler's LeastAllocated
            return lambda names: max(names, key=lambda n: (self.free[n], self.rng.random()))
        return None

    def end(self, number):
        for uid, node, size in self.pods.pop(number):
            self.driving.remove(uid)
            self.free[node] += size


def run(arrivals, cluster):
    """Play all jobs; sums and shares for the report."""
    order = itertools.count()
    events = [(at, next(order), number) for number, (at, _) in enumerate(arrivals)]
    heapq.heapify(events)
    waiting, running = [], {}
    split = needless = racks = gangs = 0
    completion, slowed, queued = [], [], []
    while events:
        now, _, number = heapq.heappop(events)
        if number in running:
            cluster.end(number)
            arrived, job = arrivals[number]
            completion.append(now - arrived)
            del running[number]
        else:
            waiting.append(number)
        for candidate in waiting[:LOOK_BACK]:
            arrived, job = arrivals[candidate]
            started = cluster.start(candidate, job)
            if started is None:
                continue
            nodes, one_had_room = started
            waiting.remove(candidate)
            apart = len(nodes) > -(-job.gpus // NODE)
            if job.gpus > 1:
                gangs += 1
                split += apart
                needless += apart and one_had_room
                racks += len({cluster.rack[node] for node in nodes}) > -(-job.gpus // (NODE * RACK))
                slowed.append(job.factor if apart else 1.0)
            queued.append(now - arrived)
            running[candidate] = now
            end = now + job.seconds * (job.factor if apart else 1.0)
            heapq.heappush(events, (end, next(order), candidate))
    assert not waiting
    return _report(split, needless, racks, gangs, completion, queued, slowed)


def _report(split, needless, racks, gangs, completion, queued, slowed):
    """Shares of the gangs in percent, times in hours."""
    return {
        "split_nodes": round(100 * split / gangs, 2),
        "split_needlessly": round(100 * needless / gangs, 2),
        "split_racks": round(100 * racks / gangs, 2),
        "jct_hours": round(float(np.mean(completion)) / 3600, 3),
        "queue_hours": round(float(np.mean(queued)) / 3600, 3),
        "slow_down": round(float(np.mean(slowed)), 4),
        "gangs": gangs,
    }


def main(arguments=None):
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--nodes", type=argument_checks.count, default=48)
    parse.add_argument("--jobs", type=argument_checks.count, default=600)
    parse.add_argument("--load", type=argument_checks.positive, default=0.8)
    parse.add_argument("--seeds", type=argument_checks.count, default=3)
    parse.add_argument("--policy", choices=POLICIES, action="append")
    parse.add_argument("--weight", type=float, help="of proximity, for railyard")
    parse.add_argument("--json", action="store_true")
    options = parse.parse_args(arguments)
    jobs = read_jobs()
    for seed in range(options.seeds):
        for policy in options.policy or POLICIES:
            began = time.monotonic()
            arrivals = drawn(
                jobs, options.jobs, load=options.load, gpus=NODE * options.nodes, seed=seed
            )
            weight = options.weight if policy == "railyard" else None
            found = run(arrivals, Cluster(options.nodes, policy, weight, seed))
            asked = {key: getattr(options, key) for key in ("nodes", "jobs", "load")}
            report = {"benchmark": "gang", "policy": policy, "proximity_weight": weight,
                "seed": seed, **asked, **found}  # fmt: skip
            report["seconds"] = round(time.monotonic() - began, 1)
            words = ", ".join(f"{key} {value}" for key, value in found.items())
            print(f"seed {seed} {policy}: {words}, {report['seconds']} s", file=sys.stderr)
            if options.json:
                print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
