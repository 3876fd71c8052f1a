"""What a candidate policy in shadow adds to filter and prioritize: ratios of p50 and p99.

Pairs of services over the same synthetic cluster, each in a process of its own, one of a pair with
a candidate that prices by itself; several pairs, as two processes differ by themselves. One client
plays kube-scheduler: filter of a pod, prioritize of what passed, and the next pod at once or after
a gap. Blocks of pods go to one service and then to the other, in random order, so that what
disturbs one disturbs the other. Usage:

    python -m loadtests.performance.shadow [--nodes N] [--names N] [--pods N] [--rounds N]
    [--pairs N] [--gap SECONDS] [--cpu-percent P] [--out FILE]

The last line is JSON: milliseconds, and the ratios with the range of their bootstrap (95 %).
"""

from __future__ import annotations

import argparse
import http.client
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import msgspec
import numpy as np
import orjson

from extender.replay import snapshots
from loadtests.performance import coldstart
from loadtests.simulator import argument_checks, synthetic

GOALS = {"p50": 1.05, "p99": 1.10}
LONGEST_SECONDS = 280.0
PATIENCE_SECONDS = 120.0
CANDIDATE = {
    "profiles": [{"name": "default", "locality": {"weight": 2}}],
    "packing": {"machineReserve": 0.3},
}


class Service:
    """`railyard serve` over the snapshot, and a connection to each of its ports."""

    def __init__(self, snapshot: pathlib.Path, *options: str) -> None:
        self.port, self.admin = coldstart.free_port(), coldstart.free_port()
        command = (
            f"{sys.executable} -m extender serve --snapshot {snapshot} --log-level error"
            f" --bind 127.0.0.1:{self.port} --admin-bind 127.0.0.1:{self.admin}"
        )
        self.process = subprocess.Popen([*command.split(), *options])
        self.seconds: dict[str, list[float]] = {"filter": [], "prioritize": []}

    def ready(self) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while coldstart.readiness(self.admin) != 200:
            assert time.monotonic() < until, "the service is not ready"
            assert self.process.poll() is None, "the service has ended"
            time.sleep(0.1)
        self._calls = http.client.HTTPConnection("127.0.0.1", self.port)

    def ask(self, path: str) -> dict:
        asked = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=30)
        asked.request("GET", path)
        return orjson.loads(asked.getresponse().read())

    def call(self, verb: str, pod: bytes, names: list[str]) -> list:
        body = b'{"Pod":' + pod + b',"NodeNames":' + orjson.dumps(names) + b"}"
        headers = {"Content-Type": "application/json"}
        began = time.perf_counter()
        self._calls.request("POST", f"/{verb}", body, headers)
        found = self._calls.getresponse().read()
        self.seconds[verb].append(time.perf_counter() - began)
        return orjson.loads(found)


def decide(service: Service, number: int, names: list[str], gap: float) -> None:
    """One pod: filter, then prioritize of what passed."""
    pod = synthetic.pod(f"asked-{number}", "pair")
    fields = orjson.loads(msgspec.json.encode(pod))
    fields["metadata"]["uid"] = f"uid-{number}"
    text = orjson.dumps(fields)
    passing = service.call("filter", text, names)["NodeNames"]
    if len(passing) > 1:
        service.call("prioritize", text, passing)
    if gap:
        time.sleep(gap)


def measure(given: argparse.Namespace, services: dict[str, Service], names: list[str]) -> None:
    source, number = random.Random(given.seed), 0
    until = time.monotonic() + LONGEST_SECONDS
    for _ in range(given.rounds):
        order = list(services.values())
        source.shuffle(order)
        asked = source.sample(names, min(given.names, len(names)))
        for service in order:
            for turn in range(given.pods):
                decide(service, number + turn, asked, given.gap)
        number += given.pods
        if time.monotonic() > until:
            break


def report(pairs: list[dict[str, Service]]) -> dict[str, dict]:
    numbers = np.random.default_rng(1)
    found = {}
    for verb in ("filter", "prioritize"):
        plain, tried = (
            np.concatenate([np.array(services[name].seconds[verb]) for services in pairs])
            for name in ("plain", "shadow")
        )
        row: dict[str, object] = {"calls": len(plain)}
        for name, share in (("p50", 50), ("p99", 99)):
            ratios = [
                np.percentile(numbers.choice(tried, len(tried)), share)
                / np.percentile(numbers.choice(plain, len(plain)), share)
                for _ in range(400)
            ]
            before, after = np.percentile(plain, share), np.percentile(tried, share)
            single = [
                np.percentile(pair["shadow"].seconds[verb], share)
                / np.percentile(pair["plain"].seconds[verb], share)
                for pair in pairs
            ]
            row[name] = {
                "by_pair": [round(float(each), 3) for each in single],
                "plain_ms": round(float(before) * 1e3, 3),
                "shadow_ms": round(float(after) * 1e3, 3),
                "ratio": round(float(after / before), 3),
                "range": [round(float(edge), 3) for edge in np.percentile(ratios, [2.5, 97.5])],
                "goal": GOALS[name],
            }
        found[verb] = row
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=argument_checks.count, default=1000)
    parser.add_argument("--names", type=argument_checks.count, default=500)
    parser.add_argument("--pods", type=argument_checks.count, default=40, help="of a block")
    parser.add_argument("--rounds", type=argument_checks.count, default=30)
    parser.add_argument("--pairs", type=argument_checks.count, default=3)
    parser.add_argument("--gap", type=float, default=0.0, help="seconds between two pods")
    parser.add_argument("--cpu-percent", type=float, default=0.7, help="of a core, for the trial")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path, help="append the result to this file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        store = synthetic.cluster(given.nodes).store
        items = [(kind, item) for kind, found in store.contents() for item in found]
        snapshots.write(folder / "cluster.json", items)
        tried = {**CANDIDATE, "shadow": {"cpuPercent": given.cpu_percent}}
        (folder / "candidate.yaml").write_text(json.dumps(tried))
        pairs = [run(given, folder) for _ in range(given.pairs)]
    found = {
        "benchmark": "shadow",
        **{
            name: getattr(given, name) for name in ("nodes", "names", "gap", "pairs", "cpu_percent")
        },
        **report([services for services, _ in pairs]),
        "candidate": [reported for _, reported in pairs],
    }
    print(json.dumps(found))
    if given.out:
        with given.out.open("a") as file:
            file.write(json.dumps(found) + "\n")


def run(given: argparse.Namespace, folder: pathlib.Path) -> tuple[dict[str, Service], dict]:
    """One pair: the services with what their calls took, and the candidate's counts."""
    cluster = folder / "cluster.json"
    services = {
        "plain": Service(cluster),
        "shadow": Service(cluster, "--shadow-policy", str(folder / "candidate.yaml")),
    }
    try:
        for service in services.values():
            service.ready()
        until = time.monotonic() + PATIENCE_SECONDS
        while services["shadow"].ask("/v1/shadow").get("state") != "judges":
            assert time.monotonic() < until, "the candidate does not judge"
            time.sleep(0.2)
        names = synthetic.names(given.nodes)
        for service in services.values():
            for turn in range(20):
                decide(service, -turn - 1, names[: given.names], 0.0)
            service.seconds = {"filter": [], "prioritize": []}
        measure(given, services, names)
        reported = services["shadow"].ask("/v1/shadow")
    finally:
        for service in services.values():
            service.process.terminate()
        for service in services.values():
            service.process.wait(timeout=30)
    counted = ("judged", "skipped", "unfinished", "failed", "cpuSeconds", "agreement")
    return services, {name: reported[name] for name in counted}


if __name__ == "__main__":
    main()
