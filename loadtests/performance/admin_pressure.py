"""What a plain pod's filter waits while clients ask the admin port as fast as they can.

The service runs over a synthetic cluster (14,000 states of 5,000 nodes: the worst case), in a
process of its own. One client calls filter about a pod without devices, at a steady pace, with and
without others that hammer the admin port. Legs take turns, idle before and after each, so that the
ratios compare what ran side by side; on a machine with few cores part of a ratio is the hammering
clients' own processor time. The longest turn of the service's loop is CPU time, from a run of its
own, as watching it keeps the loop busy. Usage:

    python -m loadtests.performance.admin_pressure [--nodes N] [--clients N] [--seconds S]
    [--rounds N] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import multiprocessing
import os
import socket
import statistics
import sys
import time
from collections import Counter
from multiprocessing.connection import Connection

import msgspec
import orjson
import uvloop

from extender.server import metrics
from extender.server.http import listeners
from extender.service import served_engine, startup
from extender.settings import Address, Settings
from loadtests.performance import coldstart
from loadtests.simulator import argument_checks, synthetic

GOALS = {"p50": 1.1, "p99": 1.5}
LONGEST_SECONDS = 180.0
NAMES = 500  # of 5,000 nodes kube-scheduler asks about as many
APART_SECONDS = 0.004
PATIENCE_SECONDS = 20.0  # of a client with its answer
POD = synthetic.pod("asked", "pair")
MANIFEST = msgspec.json.encode(POD)
QUESTIONS: dict[str, tuple[str, str, bytes]] = {  # leg → method, target, body
    "verify": ("GET", "/v1/verify", b""),
    "topology": ("GET", "/v1/topology", b""),
    "explain": ("GET", "/v1/explain?pod=default/seen-1", b""),
    "explain a manifest": ("POST", "/v1/explain", MANIFEST),
    "explain on a node": ("POST", "/v1/explain?node=gpu-h100-r000-n000", MANIFEST),
    "metrics": ("GET", "/metrics", b""),
    "mismatches": ("GET", "/v1/mismatches", b""),
    "livez": ("GET", "/livez", b""),
    "readyz": ("GET", "/readyz?verbose", b""),
}


def request(method: str, target: str, body: bytes) -> bytes:
    kind = "Content-Type: application/json"
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


async def hammer(address: tuple[str, int], sent: bytes, until: float) -> Counter[str]:
    """Ask again as soon as the answer is read, on one connection, until the time is over."""
    answers: Counter[str] = Counter()
    while time.monotonic() < until:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            reader, writer = await asyncio.open_connection(*address)
            try:
                while time.monotonic() < until:
                    writer.write(sent)
                    async with asyncio.timeout_at(
                        asyncio.get_running_loop().time() + PATIENCE_SECONDS
                    ):
                        answers[await read_answer(reader)] += 1
            finally:
                writer.close()
    return answers


async def read_answer(reader: asyncio.StreamReader) -> str:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    await reader.readexactly(length)
    return head.split(b" ", 2)[1].decode()


def hammering(address, sent, clients, seconds, pipe) -> None:
    """A process of its own: so many clients for so long."""

    async def all_of_them() -> Counter[str]:
        until = time.monotonic() + seconds
        found = await asyncio.gather(*(hammer(address, sent, until) for _ in range(clients)))
        return sum(found, Counter())

    os.nice(5)  # the clients' own work shall not be what filter waits for
    pipe.send(dict(asyncio.run(all_of_them())))


@dataclasses.dataclass
class Service:
    """The service's process, the way to talk to it, and its admin port."""

    process: multiprocessing.Process
    pipe: Connection
    admin: tuple[str, int]


class Caller:
    """kube-scheduler's part: one kept connection, one call after the other."""

    def __init__(self, address: tuple[str, int], names: list[str]) -> None:
        self._socket = socket.create_connection(address, 10.0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pod = {"metadata": {"name": "plain"}, "spec": {"containers": [{"name": "main"}]}}
        body = orjson.dumps({"Pod": pod, "Nodes": None, "NodeNames": names})
        self._sent = request("POST", "/filter", body)

    def call(self) -> float:
        began = time.perf_counter()
        self._socket.sendall(self._sent)
        self._answer()
        return time.perf_counter() - began

    def post(self, path: str, body: bytes) -> bytes:
        """What a call is answered, untimed."""
        self._socket.sendall(request("POST", path, body))
        return self._answer()

    def _answer(self) -> bytes:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        parts = [body]
        while (missing := length - sum(map(len, parts))) > 0:
            parts.append(self._more())
            assert len(parts[-1]) <= missing, "more than was asked for"
        return b"".join(parts)

    def _more(self) -> bytes:
        data = self._socket.recv(1 << 18)
        assert data, "the connection was closed"
        return data

    def calls(self, seconds: float) -> list[float]:
        found, until = [], time.monotonic() + seconds
        while time.monotonic() < until:
            found.append(self.call())
            time.sleep(APART_SECONDS)
        return found


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def measure(given, caller: Caller, service: Service) -> dict[str, dict]:
    """Each leg beside the idle calls before and after it; the longest turns come after them."""
    idle: dict[str, list[float]] = {leg: [] for leg in QUESTIONS}
    loaded: dict[str, list[float]] = {leg: [] for leg in QUESTIONS}
    answers: dict[str, Counter[str]] = {leg: Counter() for leg in QUESTIONS}
    turns: dict[str, float] = {}
    rss: dict[str, float] = {}
    for number in range(given.rounds):
        for leg in QUESTIONS:
            idle[leg] += caller.calls(given.seconds / 2)
            with hammered(service.admin, leg, given) as found:
                loaded[leg] += caller.calls(given.seconds)
            answers[leg] += found
            idle[leg] += caller.calls(given.seconds / 2)
            rss[leg] = max(rss.get(leg, 0.0), coldstart.memory_mb(service.process.pid, "VmRSS"))
            print(f"round {number + 1}: {leg} {dict(found)}", file=sys.stderr, flush=True)
    for leg in QUESTIONS:
        service.pipe.send("watch")
        with hammered(service.admin, leg, given):
            caller.calls(given.seconds)
        service.pipe.send("stop")
        turns[leg] = round(service.pipe.recv()[-1] * 1e3, 2)
    return {
        leg: {
            "idle_us": figures(idle[leg]),
            "loaded_us": figures(loaded[leg]),
            "p50": round(statistics.median(loaded[leg]) / statistics.median(idle[leg]), 3),
            "p99": round(percentile(loaded[leg], 0.99) / percentile(idle[leg], 0.99), 3),
            "longest_turn_cpu_ms": turns[leg],
            "calls": len(loaded[leg]),
            "answers": dict(answers[leg]),
            "rss_mb": rss[leg],
        }
        for leg in QUESTIONS
    }


@contextlib.contextmanager
def hammered(admin: tuple[str, int], leg: str, given):
    """While it lasts, clients in a process of their own ask; then how they were answered."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    sent = request(*QUESTIONS[leg])
    work = (admin, sent, given.clients, given.seconds + 1.0, theirs)
    clients = multiprocessing.Process(target=hammering, args=work)
    clients.start()
    found: Counter[str] = Counter()
    try:
        time.sleep(0.5)  # they connect
        yield found
        found.update(ours.recv() if ours.poll(PATIENCE_SECONDS + 10.0) else {})
    finally:
        clients.terminate()
        clients.join(10.0)


def figures(values: list[float]) -> dict[str, float]:
    return {
        "p50": round(statistics.median(values) * 1e6, 1),
        "p99": round(percentile(values, 0.99) * 1e6, 1),
    }


# ---------------------------------------------------------------- the service


async def serve(pipe: Connection, nodes: int) -> None:
    """Serve a synthetic cluster on free ports; on request tell the longest turn of the loop."""
    judging = synthetic.cluster(nodes)
    front = served_engine.ServedEngine(judging)
    free = Address("127.0.0.1", 0)
    chosen = Settings(bind=free, admin_bind=free)
    sites = listeners.Listeners(front, front, metrics.Metrics(front.picture), chosen)
    await sites.start()
    startup.settled_memory()  # as the service does once everything was read
    pipe.send((sites.bound.port, sites.admin_bound.port))
    longest: list[float] = []
    ticking: asyncio.Task[None] | None = None

    def heard() -> None:
        nonlocal ticking
        if pipe.recv() == "watch":
            longest.clear()
            ticking = asyncio.create_task(tick(longest))
        elif ticking is not None:
            ticking.cancel()
            pipe.send(sorted(longest)[-20:])

    asyncio.get_running_loop().add_reader(pipe.fileno(), heard)
    await asyncio.Event().wait()


async def tick(turns: list[float]) -> None:
    """Note how long each turn of the loop takes, in CPU time: what others run does not count."""
    while True:
        began = time.thread_time()
        await asyncio.sleep(0)
        turns.append(time.thread_time() - began)


def serving(pipe: Connection, nodes: int) -> None:
    uvloop.run(serve(pipe, nodes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=argument_checks.count, default=5000)
    parser.add_argument("--clients", type=argument_checks.count, default=8)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one leg, at most 30")
    parser.add_argument("--rounds", type=argument_checks.count, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    given.seconds = min(given.seconds, 30.0)
    pipe, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serving, args=(theirs, given.nodes))
    process.start()
    try:
        assert pipe.poll(LONGEST_SECONDS), "the service did not start"
        verbs, admin = (("127.0.0.1", port) for port in pipe.recv())
        caller = Caller(verbs, synthetic.names(given.nodes)[:NAMES])
        caller.calls(1.0)
        report = measure(given, caller, Service(process, pipe, admin))
    finally:
        process.terminate()
        process.join(10.0)
    load = round(os.getloadavg()[0], 1)
    if given.json:
        print(json.dumps({"benchmark": "admin_pressure", "load": load, "legs": report}))
        return
    print(f"{given.nodes} nodes, {given.clients} clients, load {load}; goals {GOALS}")
    for leg, found in report.items():
        print(
            f"{leg:18} p50 x{found['p50']:.2f} p99 x{found['p99']:.2f}  idle "
            f"{found['idle_us']['p50']:.0f}/{found['idle_us']['p99']:.0f} us, loaded "
            f"{found['loaded_us']['p50']:.0f}/{found['loaded_us']['p99']:.0f} us, "
            f"longest turn {found['longest_turn_cpu_ms']} ms CPU, "
            f"{found['answers']}, {found['rss_mb']} MB"
        )


if __name__ == "__main__":
    main()
