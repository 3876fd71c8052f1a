"""What a pod's two calls take while the watch shows events, beside what they take without.

`railyard serve` runs over a fake API server in a process of its own. One client sends pairs, filter
and then prioritize about what passed, pods of all kinds in turn. Legs take turns: idle, and so many
events of pods a second (a pod appears, is bound, ends); each is compared with the idle legs before
and after it. A pair is timed twice: by the clock, and in processor time that the service took until
its last answer, whatever for, in which neighbours on the machine do not count. With --apart the
service and its caller have one core, the API server the other, so that a ratio is what events cost
the service and not what making them takes of its core.

    python -m loadtests.performance.process.event_pressure [--nodes N] [--events 1000 5000]
    [--rounds N] [--seconds S] [--gap MS] [--apart] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime as dt
import itertools
import json
import os
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import orjson

from loadtests.performance import admin_pressure, coldstart, wire, wire_ratio
from loadtests.simulator import argument_checks
from loadtests.traffic import requests, run, scenarios
from tests.kit.controlplane import process

GOALS = {1000: 1.25, 5000: 2.0}  # events a second → p90 over p90 of the idle legs
ASKED = 500  # of 5,000 nodes kube-scheduler asks about as many
_PATIENCE_SECONDS = 180.0
_WINDOWS = 200
_MOST_PAIRS = 400  # a second
_WARM_SECONDS = 3.0
_REST_SECONDS = 0.5  # until what the last events left to do is done
_LEAD_SECONDS = 0.2  # that events come before the first pair beside them
Pair = tuple[float, float]  # seconds by the clock, and of the service's processor time


class Running:
    """The API server's process and the service's."""

    def __init__(self, cluster: subprocess.Popen[str], service: process.Process, port: int) -> None:
        self.cluster, self.service, self.port = cluster, service, port
        # Linux's clock of another process's CPU time.
        self._cpu_clock = (~(service.pid or 0) << 3) | 2

    def cpu(self) -> float:
        """Seconds of processor time that the service has taken."""
        return time.clock_gettime(self._cpu_clock)

    def tell(self, line: str) -> None:
        assert self.cluster.stdin is not None
        self.cluster.stdin.write(f"{line}\n")
        self.cluster.stdin.flush()

    def events(self) -> int:
        """How many events were sent since the start, once those under way are."""
        self.tell("reported")
        return int(run.reported_by(self.cluster)["events"])


class Scheduler:
    """One client, as kube-scheduler is one: distinct pods, windows of names, calls in sequence.

    What it sends is made beforehand: on few cores making it would be part of what is timed.
    """

    def __init__(self, over: Running, names: list[str]) -> None:
        self._client, self._cpu = wire_ratio.Client(over.port), over.cpu
        random.Random(3).shuffle(names)
        windows = itertools.islice(requests.Windows(names, ASKED), _WINDOWS)
        self._windows = itertools.cycle(
            [b'"Nodes":null,"NodeNames":%b}' % orjson.dumps(window) for window in windows]
        )
        manifests = {name: body for name, body in scenarios.manifests().items() if name != "cpu"}
        pods = iter(requests.Pods(scenarios.read("steady"), manifests, caller="pairs"))
        self._heads = (b'{"Pod":%b,' % orjson.dumps(pod) for pod in pods)
        self._made: list[bytes] = []

    def make(self, count: int) -> None:
        """Have the heads of so many pods at hand."""
        self._made = list(itertools.islice(self._heads, count))

    def pairs(self, seconds: float, gap: float) -> list[Pair]:
        """Pairs with a pause after each, until the time is over."""
        found, until = [], time.monotonic() + seconds
        while time.monotonic() < until:
            found.append(self._pair())
            time.sleep(gap)
        return found

    def _pair(self) -> Pair:
        """What the two calls about the next pod take."""
        head = self._made.pop()
        reported, wall, cpu = self._timed("/filter", head + next(self._windows))
        second = head + wire.passing(reported, whole=False)
        _, more_wall, more_cpu = self._timed("/prioritize", second)
        return wall + more_wall, cpu + more_cpu

    def _timed(self, path: str, body: bytes) -> tuple[bytes, float, float]:
        cpu, began = self._cpu(), time.perf_counter()
        reported = self._client.post(path, body)
        return reported, time.perf_counter() - began, self._cpu() - cpu


@contextlib.contextmanager
def running(given: argparse.Namespace, folder: pathlib.Path) -> Iterator[Running]:
    """Start both; ready and idle on entry, ended on exit."""
    with contextlib.ExitStack() as stack:
        cluster = run.start_cluster(given)
        stack.enter_context(cluster)
        stack.callback(run.end_cluster, cluster)
        url = f"http://127.0.0.1:{run.reported_by(cluster)['port']}"
        verbs, admin = process.free_port(), process.free_port()
        command = [
            *(sys.executable, "-m", "extender", "serve", "--log-level", "warning"),
            *("--kubeconfig", str(coldstart.kubeconfig(url, folder)), "--announce-seconds", "0"),
            *("--bind", f"127.0.0.1:{verbs}", "--admin-bind", f"127.0.0.1:{admin}"),
        ]
        service = process.Process(
            "railyard", command, folder / "railyard.log", folder=given.tree, ends_by_itself=False
        )
        stack.callback(service.stop)
        service.start()
        if given.apart and service.pid:
            os.sched_setaffinity(service.pid, {0})
            os.sched_setaffinity(0, {0})
            os.sched_setaffinity(cluster.pid, {1})
        service.wait_until_answers("/readyz", port=admin, patience=_PATIENCE_SECONDS)
        run.rest(service)
        yield Running(cluster, service, verbs)


def figures(pairs: list[Pair], place: int) -> dict[str, float]:
    values = [pair[place] for pair in pairs]
    return {
        "p50": round(statistics.median(values) * 1e6),
        "p90": round(admin_pressure.percentile(values, 0.9) * 1e6),
    }


@dataclasses.dataclass
class Leg:
    """Pairs beside so many events a second, and the idle ones around them."""

    rate: int
    rounds: list[tuple[list[Pair], list[Pair]]] = dataclasses.field(default_factory=list)
    cpu: float = 0.0
    seconds: float = 0.0
    sent: int = 0

    def round(self, over: Running, scheduler: Scheduler, given: argparse.Namespace) -> None:
        """Once more: half of the idle pairs, those beside events, the other half."""
        gap = given.gap / 1000
        scheduler.make(int(_MOST_PAIRS * 2 * given.seconds))
        idle = scheduler.pairs(given.seconds / 2, gap)
        before = over.events()
        over.tell(f"go {_LEAD_SECONDS + given.seconds} {self.rate}")
        time.sleep(_LEAD_SECONDS)
        cpu, began = over.cpu(), time.monotonic()
        loaded = scheduler.pairs(given.seconds, gap)
        self.cpu += over.cpu() - cpu
        self.seconds += time.monotonic() - began
        self.sent += over.events() - before
        time.sleep(_REST_SECONDS)
        idle += scheduler.pairs(given.seconds / 2, gap)
        self.rounds.append((idle, loaded))

    def ratio(self, measure: str, place: int) -> list[float]:
        """By round: of the pairs beside events over the idle ones."""
        return [
            round(figures(loaded, place)[measure] / figures(idle, place)[measure], 3)
            for idle, loaded in self.rounds
        ]

    def report(self) -> dict:
        idle, loaded = (
            [pair for pairs in each for pair in pairs] for each in zip(*self.rounds, strict=True)
        )
        found: dict = {
            title: {
                "idle_us": figures(idle, place),
                "loaded_us": figures(loaded, place),
                "p50": statistics.median(self.ratio("p50", place)),
                "p90": statistics.median(self.ratio("p90", place)),
                "p90_by_round": self.ratio("p90", place),
            }
            for place, title in enumerate(("wall", "cpu"))
        }
        return found | {
            "pairs": len(loaded),
            "events_a_second": round(self.sent / (self.seconds + _LEAD_SECONDS * len(self.rounds))),
            "core": round(self.cpu / self.seconds, 3),
        }


def legs(over: Running, scheduler: Scheduler, given: argparse.Namespace) -> dict[str, dict]:
    """Events a second → its pairs beside the idle ones around it."""
    found = [Leg(rate) for rate in given.events]
    over.tell("go 2 1000")  # from here on as many pods of the events live as later
    scheduler.make(int(_MOST_PAIRS * _WARM_SECONDS))
    scheduler.pairs(_WARM_SECONDS, given.gap / 1000)
    for number in range(given.rounds):
        for leg in found:
            leg.round(over, scheduler, given)
            reported = ", ".join(
                f"{title} x{leg.ratio('p90', place)[-1]:.2f}"
                for place, title in enumerate(("wall", "cpu"))
            )
            print(f"round {number + 1}: {leg.rate} p90 {reported}", file=sys.stderr, flush=True)
    return {str(leg.rate): leg.report() for leg in found}


def measure(given: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory() as folder, running(given, pathlib.Path(folder)) as over:
        names = [f"n{number:05}" for number in range(given.nodes)]
        found = legs(over, Scheduler(over, names), given)
    return {
        "benchmark": "event_pressure",
        "nodes": given.nodes,
        "names": ASKED,
        "gap_ms": given.gap,
        "apart": given.apart,
        "legs": found,
        "python": f"{platform.python_version()} ({platform.python_build()[1]})",
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=argument_checks.count, default=5000)
    parser.add_argument("--events", type=argument_checks.count, nargs="+", default=[1000, 5000])
    parser.add_argument("--rounds", type=argument_checks.count, default=4)
    parser.add_argument("--seconds", type=argument_checks.positive, default=4.0, help="of a leg")
    parser.add_argument("--gap", type=float, default=3.0, help="ms between two pods")
    parser.add_argument("--apart", action="store_true", help="service and API server on own cores")
    parser.add_argument("--tree", type=pathlib.Path, default=wire.TREE, help="the service's code")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    given.scenario = "steady"
    given.tree = given.tree.absolute()
    given.apart = given.apart and (os.cpu_count() or 1) > 1
    report = measure(given)
    if given.json:
        print(json.dumps(report))
        return
    print(f"{given.nodes} nodes, {report['machine']}; goals {GOALS}")
    for rate, reported in report["legs"].items():
        for title in ("wall", "cpu"):
            each = reported[title]
            print(
                f"{rate} events/s, {title}: p50 x{each['p50']:.2f} p90 x{each['p90']:.2f},"
                f" idle {each['idle_us']['p50']}/{each['idle_us']['p90']} us,"
                f" loaded {each['loaded_us']['p50']}/{each['loaded_us']['p90']} us"
            )
        print(
            f"    {reported['events_a_second']} events/s came, {reported['core']:.2f} of a core,"
            f" {reported['pairs']} pairs"
        )


if __name__ == "__main__":
    main()
