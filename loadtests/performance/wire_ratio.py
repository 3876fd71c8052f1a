"""filter + prioritize over HTTP, as a ratio to a handler that only decodes and re-encodes.

    python -m loadtests.performance.wire_ratio [--names 500 5000] [--seconds 8] [--judge
    engine|table]

Both services run in processes of their own on loopback; the client sends the same bytes to each in
turn, in random order, so that what disturbs one disturbs the other. `--judge engine` is the product
on a synthetic cluster; `--judge table` is as cheap as a judge of real work can be (a look-up per
name, a tenth of them refused), so that its ratio is that of the wire alone. `plain` is a pod that
is none of our business: filter alone, in the handler.

The last line is JSON: medians in microseconds, and ratios with the range of their rounds; wall as
the client waits, and CPU time of the service, which neighbours on the machine disturb less.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import multiprocessing
import random
import socket
import statistics
import time
from multiprocessing.connection import Connection

import numpy as np
import orjson
import uvloop
from aiohttp import web

from extender.decisions.ticket import Ticket
from extender.decisions.verb_results import FilterResult, Victims
from extender.kube.api import objects
from extender.server import metrics
from extender.server.http import listeners
from extender.server.verbs import Verbs
from extender.service import served_engine, startup
from extender.settings import Address, Settings
from loadtests.simulator import synthetic

_LOOPBACK = "127.0.0.1"
_ROUNDS = 12
_LEAST_ROUNDS = 4
_PAIRS = 12  # pairs of calls per service and round
_REST_SECONDS = 0.003


class TableJudge:
    """Gathers by row, as the engine does; refuses one node in ten; scores the rest 0 to 10."""

    def __init__(self, names):
        numbers = np.random.default_rng(7)
        self._rows = {name: row for row, name in enumerate(names)}
        self._scores = numbers.integers(0, 11, len(names))
        self._refused = numbers.random(len(names)) < 0.1

    @property
    def engine(self):
        return self

    def waiting_for(self):
        return ()

    def concerns(self, pod: objects.Pod):
        return bool(pod.spec.resource_claims)

    def scores(self, pod: objects.Pod):
        return bool(pod.spec.resource_claims)

    def filter(self, pod, names):
        rows = self._rows_of(names)
        refused = self._refused[rows]
        failed = {names[place]: "no free GPU" for place in np.flatnonzero(refused).tolist()}
        kept = list(itertools.compress(names, (~refused).tolist()))
        seen = np.zeros(len(self._refused), dtype=bool)
        seen[rows] = True
        distinct = int(np.count_nonzero(seen)) == len(names)
        return FilterResult(failed, ticket=Ticket(pod, kept, rows[~refused]), distinct=distinct)

    def prioritize(self, _pod, names, ticket=None):
        known = ticket is not None and ticket.rows is not None
        return self._scores[ticket.rows if known else self._rows_of(names)]

    def prepare(self, ticket):
        return ticket

    def settle(self):
        pass

    def preempt(self, _pod, victims: dict[str, Victims]):
        return victims

    def _rows_of(self, names):
        return np.fromiter(map(self._rows.__getitem__, names), dtype=np.int32, count=len(names))


class NoQuestions:
    """Nobody asks the admin port here."""

    topology = verify = mismatches = moment = lambda _self: None
    picture = metrics.ClusterFigures
    routes = staticmethod(tuple)


def cluster(count):
    """Node names as a managed cluster has them: a pool, a hash, a suffix."""
    numbers = random.Random(1)
    return [
        f"gke-training-a3-highgpu-8g-{numbers.getrandbits(32):08x}-{index:04x}"
        for index in range(count)
    ]


def request_body(*, claims=True):
    """The request body of one pod, about 5 KB and the names, for any list of names."""
    container = {"name": "main", "image": "registry.example.com/ml/trainer:1", "resources": {}}
    container["env"] = [{"name": f"VARIABLE_{index}", "value": "x" * 40} for index in range(60)]
    spec = {"containers": [container]}
    if claims:
        spec["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]
    meta = {"name": "train-0", "namespace": "ml", "uid": "7d0f3c1e-5b0a-4c6e-9d1e-2f6a8b1c4d33"}
    head = orjson.dumps({"Pod": {"metadata": meta, "spec": spec, "status": {"phase": "Pending"}}})

    def body(asked):
        return head[:-1] + b',"Nodes":null,"NodeNames":' + orjson.dumps(asked) + b"}"

    return body


async def echoing(sock):
    """The floor on aiohttp: the same bytes decoded and encoded again by orjson, nothing else."""

    async def echo(request):
        body = orjson.dumps(orjson.loads(await request.read()))
        return web.Response(body=body, content_type="application/json")

    app = web.Application(client_max_size=2**28)
    app.add_routes([web.post("/filter", echo), web.post("/prioritize", echo)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    await asyncio.Event().wait()


def engine_judge(names):
    """The product's engine over eight GPUs and NICs a node, 40 % of them taken at random."""
    judging = synthetic.cluster(len(names), node_names=names)
    wanted = synthetic.template("one-gpu", 1, 1, aligned=False, namespace="ml")
    judging.store.apply("ResourceClaimTemplate", "ADDED", wanted)
    return served_engine.ServedEngine(judging)


async def judging(pipe: Connection, count, kind):
    free = Address(_LOOPBACK, 0)
    figures = metrics.Metrics(metrics.ClusterFigures)
    judge = {"table": TableJudge, "engine": engine_judge}[kind](cluster(count))
    sites = listeners.Listeners(judge, NoQuestions(), figures, Settings(bind=free, admin_bind=free))
    await sites.start()
    startup.settled_memory()  # as the service does once everything was read
    pipe.send(sites.bound.port)
    await asyncio.Event().wait()


def _echo_process(pipe: Connection):
    with socket.create_server((_LOOPBACK, 0)) as sock:
        pipe.send(sock.getsockname()[1])
        _run(echoing(sock))


def _judge_process(pipe: Connection, count, kind):
    _run(judging(pipe, count, kind))


def _run(work):
    uvloop.run(work)


class Client:
    """kube-scheduler's side: one kept connection, whole answers by Content-Length."""

    def __init__(self, port):
        self._socket = socket.create_connection((_LOOPBACK, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def post(self, path, body):
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: Go-http-client/1.1\r\n"
            f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n"
            "Accept-Encoding: gzip\r\n\r\n"
        )
        self._socket.sendall(head.encode() + body)
        status = self._file.readline()
        assert status.startswith(b"HTTP/1.1 200 "), status
        length = 0
        while (line := self._file.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return self._file.read(length)

    def close(self):
        self._file.close()
        self._socket.close()


class Service:
    """One of the two services in its process, and the only connection to it."""

    def __init__(self, target, *args):
        context = multiprocessing.get_context("spawn")
        near, far = context.Pipe()
        self._process = context.Process(target=target, args=(far, *args), daemon=True)
        self._process.start()
        self.client = Client(near.recv())
        # Linux's clock of another process's CPU time: what neighbours take is not in it.
        self._cpu_clock = (~self._process.pid << 3) | 2

    def pair(self, first, second):
        """(wall, CPU of the service) of one pod's two calls, in microseconds."""
        cpu, wall = time.clock_gettime(self._cpu_clock), time.perf_counter()
        self.client.post("/filter", first)
        self.client.post("/prioritize", second)
        wall = time.perf_counter() - wall
        # Until it rests, its clock stands; what it does after its answer is counted, too.
        time.sleep(_REST_SECONDS)
        cpu = time.clock_gettime(self._cpu_clock) - cpu
        return wall * 1e6, cpu * 1e6

    def stop(self):
        self.client.close()
        self._process.terminate()
        self._process.join()


def compare(count, seconds, kind):
    """Pairs against both services in turn, and the ratios of their medians, round by round."""
    names = cluster(count)
    services = {"echo": Service(_echo_process), "railyard": Service(_judge_process, count, kind)}
    try:
        rounds = list(measured(services, names, seconds))
    finally:
        for service in services.values():
            service.stop()
    report = {"names": count}
    for place, measure in enumerate(("wall", "cpu")):
        found = {name: [one[name][place] for one in rounds] for name in services}
        ratios = [
            mine / floor for mine, floor in zip(found["railyard"], found["echo"], strict=True)
        ]
        report[f"{measure}_us"] = {
            name: round(statistics.median(all_)) for name, all_ in found.items()
        }
        report[f"{measure}_ratio"] = round(statistics.median(ratios), 2)
        report[f"{measure}_range"] = [round(min(ratios), 2), round(max(ratios), 2)]
    return report


def measured(services, names, seconds):
    """Rounds of medians: service → (wall, CPU)."""
    numbers = random.Random(3)
    body = request_body()
    until = time.monotonic() + seconds
    for number in range(_ROUNDS):
        if number >= _LEAST_ROUNDS and time.monotonic() > until:
            return
        times = {name: [] for name in services}
        for _ in range(_PAIRS):
            # A window of the cluster starts elsewhere for each pod, as kube-scheduler's does.
            start = numbers.randrange(len(names))
            first = body(names[start:] + names[:start])
            answer = orjson.loads(services["railyard"].client.post("/filter", first))
            second = body(answer["NodeNames"])
            scored = orjson.loads(services["railyard"].client.post("/prioritize", second))
            # Of many nodes those without a score are left out; after a fault all are.
            assert scored, "a fault was let through"
            for name in numbers.sample(sorted(services), len(services)):
                times[name].append(services[name].pair(first, second))
        if number:  # the first round warms up
            yield {
                name: [statistics.median(t) for t in zip(*found, strict=True)]
                for name, found in times.items()
            }


def plain(count):
    """Handler time of filter for a pod that is none of our business, in microseconds."""
    names = cluster(count)
    verbs = Verbs(
        TableJudge(names), metrics.Metrics(metrics.ClusterFigures), clock=time.perf_counter
    )
    body = request_body(claims=False)(names)
    found = []
    for _ in range(50):
        started = time.perf_counter()
        verbs.filter(body)
        found.append((time.perf_counter() - started) * 1e6)
    return {"names": count, "handler_us": round(statistics.median(found))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--names", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--seconds", type=float, default=8.0, help="per number of names")
    parser.add_argument("--judge", choices=("engine", "table"), default="engine")
    chosen = parser.parse_args()
    report = {
        "pairs": [compare(count, chosen.seconds, chosen.judge) for count in chosen.names],
        "plain": [plain(count) for count in chosen.names],
    }
    for row in report["pairs"]:
        print(
            f"{row['names']:6d} names: {row['wall_ratio']:.2f}x of decode and re-encode"
            f" ({row['cpu_ratio']:.2f}x in CPU time of the service)"
        )
    print(json.dumps(report))


if __name__ == "__main__":
    main()
