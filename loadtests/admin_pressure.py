"""What a plain pod's filter waits while clients ask the admin port as fast as they can.

`railyard serve` reads a cluster from a fake API server; then one client calls filter about a pod
without devices, at a steady pace, with and without others that hammer the admin port. Legs take
turns, idle before and after each, so that the ratios compare what ran side by side; on a machine
with few cores part of a ratio is the hammering clients' own processor time. Usage:

    python -m loadtests.admin_pressure [--nodes N] [--clients N] [--seconds S] [--rounds N] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter

import orjson

from loadtests import checked, coldstart

GOALS = {"p50": 1.1, "p99": 1.5}
LONGEST_SECONDS = 180.0
NAMES = 500  # of 5,000 nodes kube-scheduler asks about as many
APART_SECONDS = 0.004
GPU_POD = {
    "metadata": {"name": "asked", "namespace": "ml", "uid": "u-1"},
    "spec": {
        "containers": [{"name": "main", "resources": {"limits": {"nvidia.com/gpu": "1"}}}],
    },
}
MANIFEST = orjson.dumps(GPU_POD)
QUESTIONS: dict[str, tuple[str, str, bytes]] = {  # leg → method, target, body
    "verify": ("GET", "/v1/verify", b""),
    "topology": ("GET", "/v1/topology", b""),
    "explain": ("POST", "/v1/explain", MANIFEST),
    "explain on a node": ("POST", "/v1/explain?node=gpu-node-00001", MANIFEST),
    "metrics": ("GET", "/metrics", b""),
    "mismatches": ("GET", "/v1/mismatches", b""),
    "livez": ("GET", "/livez", b""),
    "readyz": ("GET", "/readyz?verbose", b""),
}


def request(method: str, target: str, body: bytes) -> bytes:
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def hammer(address: tuple[str, int], sent: bytes, until: float) -> Counter[str]:
    """Ask again as soon as the answer is read, on one connection, until the time is over."""
    answers: Counter[str] = Counter()
    while time.monotonic() < until:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            reader, writer = await asyncio.open_connection(*address)
            try:
                while time.monotonic() < until:
                    writer.write(sent)
                    async with asyncio.timeout_at(asyncio.get_running_loop().time() + 20.0):
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
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        missing = length - len(body)
        while missing > 0:
            missing -= len(self._more())
        return time.perf_counter() - began

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


def measure(given, caller: Caller, admin: tuple[str, int], pid: int) -> dict[str, dict]:
    """Each leg beside the idle calls before and after it."""
    idle: dict[str, list[float]] = {leg: [] for leg in QUESTIONS}
    loaded: dict[str, list[float]] = {leg: [] for leg in QUESTIONS}
    answers: dict[str, Counter[str]] = {leg: Counter() for leg in QUESTIONS}
    peak: dict[str, float] = {}
    for number in range(given.rounds):
        for leg, (method, target, body) in QUESTIONS.items():
            idle[leg] += caller.calls(given.seconds / 2)
            ours, theirs = multiprocessing.Pipe(duplex=False)
            sent = request(method, target, body)
            work = (admin, sent, given.clients, given.seconds + 1.0, theirs)
            clients = multiprocessing.Process(target=hammering, args=work)
            clients.start()
            time.sleep(0.5)  # they connect
            loaded[leg] += caller.calls(given.seconds)
            answers[leg] += Counter(ours.recv() if ours.poll(30.0) else {})
            clients.join(30.0)
            idle[leg] += caller.calls(given.seconds / 2)
            peak[leg] = max(peak.get(leg, 0.0), coldstart.memory_mb(pid, "VmRSS"))
            print(f"round {number + 1}: {leg} {dict(answers[leg])}", file=sys.stderr, flush=True)
    return {
        leg: {
            "idle_us": figures(idle[leg]),
            "loaded_us": figures(loaded[leg]),
            "p50": round(statistics.median(loaded[leg]) / statistics.median(idle[leg]), 3),
            "p99": round(percentile(loaded[leg], 0.99) / percentile(idle[leg], 0.99), 3),
            "calls": len(loaded[leg]),
            "answers": dict(answers[leg]),
            "rss_mb": peak[leg],
        }
        for leg in QUESTIONS
    }


def figures(values: list[float]) -> dict[str, float]:
    return {
        "p50": round(statistics.median(values) * 1e6, 1),
        "p99": round(percentile(values, 0.99) * 1e6, 1),
    }


@contextlib.contextmanager
def service(url: str, folder: pathlib.Path):
    """`railyard serve` over the fake API server, once it is ready: its process and both ports."""
    verbs, admin = coldstart.free_port(), coldstart.free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "extender", "serve"),
            *("--kubeconfig", str(coldstart.kubeconfig(url, folder))),
            *("--bind", f"127.0.0.1:{verbs}", "--admin-bind", f"127.0.0.1:{admin}"),
            *("--announce-seconds", "0", "--log-level", "error"),
        ],
        env=coldstart.environment(folder),
    )
    began = time.monotonic()
    try:
        while coldstart.readiness(admin) != 200:
            assert process.poll() is None, "the service has ended"
            assert time.monotonic() - began < LONGEST_SECONDS, "the service is not ready"
            time.sleep(0.05)
        yield process, ("127.0.0.1", verbs), ("127.0.0.1", admin)
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=checked.count, default=5000)
    parser.add_argument("--clients", type=checked.count, default=8)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one leg, at most 30")
    parser.add_argument("--rounds", type=checked.count, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    given.seconds = min(given.seconds, 30.0)
    server, said = coldstart.start_server(given.nodes, False)
    with tempfile.TemporaryDirectory() as name, server:
        folder = pathlib.Path(name)
        with service(f"http://127.0.0.1:{said['port']}", folder) as (process, verbs, admin):
            caller = Caller(verbs, [f"gpu-node-{number:05}" for number in range(NAMES)])
            caller.calls(1.0)
            report = measure(given, caller, admin, process.pid)
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
            f"{found['answers']}, {found['rss_mb']} MB"
        )


if __name__ == "__main__":
    main()
