"""What a plain pod's filter waits while others press: admin clients, and hostile pods.

`railyard serve` runs over a fake API server. One client, as kube-scheduler does, calls filter
about a pod without devices at a steady pace. Legs take turns with idle calls before and after, so
that ratios compare what ran side by side; on few cores part of a ratio is the pressing clients' own
processor time, which comes last (nice). In the leg of hostile pods the same client asks about one
of them (filter, prioritize) before each call that is timed. It has a process of its own: beside the
API server a call would wait up to 5 ms for the interpreter, answered or not.

    python -m loadtests.performance.process.pressure [--nodes N] [--seconds S] [--rounds N] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import dataclasses
import datetime as dt
import json
import multiprocessing
import os
import pathlib
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection

import msgspec
import orjson
import uvloop

from loadtests.performance import admin_pressure
from loadtests.performance.clusters import hostile_pods
from loadtests.performance.process import running
from loadtests.simulator import argument_checks, synthetic

GOALS = {"p50": 1.1, "p99": 1.5}
HOSTILE = "hostile pods"
_MANIFEST = msgspec.json.encode(synthetic.pod("asked", "gpu"))
LEGS: dict[str, tuple[str, str, bytes]] = {  # leg → method, target, body
    "verify": ("GET", "/v1/verify", b""),
    "explain": ("POST", "/v1/explain", _MANIFEST),
    "topology": ("GET", "/v1/topology", b""),
    "metrics": ("GET", "/metrics", b""),
    "capacity": ("GET", "/v1/capacity?shape=nvidia.com/gpu=2,cpu=8", b""),
    "decisions": ("GET", "/v1/decisions", b""),
    "why": ("GET", "/v1/why?pod=default/asked", b""),
    "page": ("GET", "/", b""),
    "page of pods": ("GET", "/pods", b""),
    HOSTILE: ("", "", b""),
}
CASES = tuple(each for each in hostile_pods.cases() if each.asked)


@dataclasses.dataclass(frozen=True)
class Service:
    """What the client knows of the service, and how it has hostile pods shown and taken away."""

    names: list[str]
    verbs_port: int
    admin_port: int
    pipe: Connection

    def show(self, number: int, *, there: bool) -> None:
        """Have the objects of a case in the API server, or no longer."""
        self.pipe.send((number, there))


class Presser:
    """Eight clients in a process of their own, while a leg lasts."""

    def __init__(self, over: Service, given: argparse.Namespace) -> None:
        self._over = over
        self._given = given

    @contextlib.contextmanager
    def during(self, leg: str):
        """While it lasts they ask; then what they were answered."""
        ours, theirs = multiprocessing.Pipe(duplex=False)
        sent = admin_pressure.request(*LEGS[leg])
        address = (running.LOOPBACK, self._over.admin_port)
        work = (address, sent, self._given.clients, self._given.seconds + 1.0, theirs)
        clients = multiprocessing.get_context("spawn").Process(
            target=admin_pressure.hammering, args=work
        )
        clients.start()
        found: collections.Counter[str] = collections.Counter()
        try:
            time.sleep(1.0)  # they start and connect
            yield found
            found.update(ours.recv() if ours.poll(admin_pressure.PATIENCE_SECONDS + 10) else {})
        finally:
            clients.terminate()
            clients.join(10.0)


class HostileCaller:
    """One client that asks about hostile pods between the calls that are timed."""

    def __init__(self, caller: admin_pressure.Caller, over: Service) -> None:
        self._caller = caller
        self._names = over.names[: admin_pressure.NAMES]
        self._cases = CASES
        self._over = over
        self._number = 0

    def calls(self, seconds: float) -> list[float]:
        found, until = [], time.monotonic() + seconds
        while time.monotonic() < until:
            number = self._number % len(self._cases)
            case = self._cases[number]
            self._number += 1
            self._over.show(number, there=True)
            time.sleep(0.05)
            for _ in range(4):
                reported = self._caller.post("/filter", running.question(case.pod, self._names))
                passing = orjson.loads(reported)["NodeNames"] or self._names[:1]
                self._caller.post("/prioritize", running.question(case.pod, passing))
                time.sleep(admin_pressure.APART_SECONDS)
                found.append(self._caller.call())
            self._over.show(number, there=False)
        return found


def compare(over: Service, given: argparse.Namespace) -> None:
    """What the client's process does: it sends the legs when all are over."""
    over.pipe.send(legs_of(over, given))


def legs_of(over: Service, given: argparse.Namespace) -> dict[str, dict]:
    """Each leg beside the idle calls before and after it."""
    names = over.names[: admin_pressure.NAMES]
    caller = admin_pressure.Caller((running.LOOPBACK, over.verbs_port), names)
    hostile, presser = HostileCaller(caller, over), Presser(over, given)
    caller.calls(1.0)
    idle: dict[str, list[float]] = collections.defaultdict(list)
    loaded: dict[str, list[float]] = collections.defaultdict(list)
    answers: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    legs = [leg for leg in LEGS if given.only in leg]
    for number in range(given.rounds):
        for leg in legs:
            idle[leg] += caller.calls(given.seconds / 2)
            if leg == HOSTILE:
                loaded[leg] += hostile.calls(given.seconds)
                time.sleep(1.0)
            else:
                with presser.during(leg) as found:
                    loaded[leg] += caller.calls(given.seconds)
                answers[leg] += found
            idle[leg] += caller.calls(given.seconds / 2)
            print(f"round {number + 1}: {leg} {dict(answers[leg])}", file=sys.stderr, flush=True)
    return {
        leg: {
            "idle_us": admin_pressure.figures(idle[leg]),
            "loaded_us": admin_pressure.figures(loaded[leg]),
            "p50": round(statistics.median(loaded[leg]) / statistics.median(idle[leg]), 3),
            "p99": round(
                admin_pressure.percentile(loaded[leg], 0.99)
                / admin_pressure.percentile(idle[leg], 0.99),
                3,
            ),
            "calls": len(loaded[leg]),
            "answers": dict(answers[leg]),
        }
        for leg in legs
    }


async def compared(over: running.Running, given: argparse.Namespace) -> dict[str, dict]:
    """Run the client, and do in the API server what it asks for."""
    loop = asyncio.get_running_loop()
    report: asyncio.Future[dict[str, dict]] = loop.create_future()
    ours, theirs = multiprocessing.Pipe()

    def heard() -> None:
        try:
            reported = ours.recv()
        except EOFError as error:
            loop.remove_reader(ours.fileno())
            if not report.done():
                report.set_exception(error)
            return
        if isinstance(reported, dict):
            report.set_result(reported)
            return
        number, there = reported
        made = CASES[number].objects
        for kind, item in made if there else reversed(made):
            (over.show if there else over.remove)(kind, item)

    service = Service(over.names, over.verbs_port, over.admin_port, theirs)
    client = multiprocessing.get_context("spawn").Process(target=compare, args=(service, given))
    client.start()
    theirs.close()
    loop.add_reader(ours.fileno(), heard)
    try:
        return await report
    finally:
        loop.remove_reader(ours.fileno())
        client.terminate()
        await asyncio.to_thread(client.join, 10.0)


async def measure(given: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        async with running.running(given.nodes, pathlib.Path(folder)) as over:
            over.show("Pod", synthetic.pod("asked", "gpu"))
            await over.until_idle()
            legs = await compared(over, given)
    return {
        "benchmark": "pressure",
        "nodes": given.nodes,
        "clients": given.clients,
        "legs": legs,
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=argument_checks.count, default=5000)
    parser.add_argument("--clients", type=argument_checks.count, default=8)
    parser.add_argument("--seconds", type=argument_checks.positive, default=2.0, help="of one leg")
    parser.add_argument("--rounds", type=argument_checks.count, default=3)
    parser.add_argument("--only", default="", help="only legs with this in their name")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    given.seconds = min(given.seconds, 30.0)
    report = uvloop.run(measure(given))
    if given.json:
        print(json.dumps(report))
        return
    print(f"{given.nodes} nodes, {given.clients} clients, {report['machine']}; goals {GOALS}")
    for leg, found in report["legs"].items():
        print(
            f"{leg:14} p50 x{found['p50']:.2f} p99 x{found['p99']:.2f}  idle "
            f"{found['idle_us']['p50']:.0f}/{found['idle_us']['p99']:.0f} us, loaded "
            f"{found['loaded_us']['p50']:.0f}/{found['loaded_us']['p99']:.0f} us, "
            f"{found['calls']} calls, {found['answers']}"
        )


if __name__ == "__main__":
    main()
