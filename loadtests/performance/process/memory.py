"""How large the service grows: 5,000 nodes, 20,000 distinct pods, and hostile bodies among them.

`railyard serve` runs over a fake API server. Every pod is shown by the watch with its claims, asked
about (filter, prioritize, some preempt), and goes again; some are bound for a while. Every so often
comes a body that no kube-scheduler sends, one as large as bodies may be, and somebody asks the
admin port. The process's RSS is read all the while.

    python -m loadtests.performance.process.memory [--nodes N] [--pods N] [--seconds S] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import dataclasses
import datetime as dt
import json
import os
import pathlib
import random
import sys
import tempfile
import time

import msgspec
import orjson
import uvloop

from extender.settings import Limits
from loadtests.performance.clusters import hostile_pods
from loadtests.performance.process import pods, running
from loadtests.simulator import argument_checks

GOAL_MB = 400.0
ASKED = 500  # names a call, as kube-scheduler has it for 5,000 nodes
_AHEAD = 8  # pods shown before they are asked about: the watch takes a moment
_KEPT = 400  # pods that are there at a time, and as many claims
_HOSTILE_EVERY, _CASE_EVERY, _ADMIN_EVERY = 25, 150, 50
_SAMPLE_SECONDS = 0.05
_QUESTIONS = (
    *(
        "/metrics",
        "/v1/topology",
        "/v1/verify",
        "/v1/capacity?shape=nvidia.com/gpu=2,cpu=8",
        "/v1/decisions",
        "/readyz?verbose",
    ),
    *("/", "/pools", "/pods"),
)


@dataclasses.dataclass
class Seen:
    """What the run has seen so far."""

    sizes: list[tuple[int, float]] = dataclasses.field(default_factory=list)  # (pods, MB)
    peak: float = 0.0
    answers: collections.Counter = dataclasses.field(default_factory=collections.Counter)


class Run:
    """The stream of pods, and what comes between them."""

    def __init__(self, over: running.Running, given: argparse.Namespace) -> None:
        self._over = over
        self._given = given
        self._names = over.names
        self._rng = random.Random(given.seed)
        self._there: collections.deque = collections.deque()  # cases to take away later
        self._bodies = pods.hostile_bodies(self._names, self._rng)
        self._cases = list(hostile_pods.cases())
        self._asking: asyncio.Task[None] | None = None
        self.seen = Seen()

    async def go(self) -> None:
        sampling = asyncio.create_task(self._sample())
        began, number = time.monotonic(), 0
        try:
            for number in range(self._given.pods):
                if time.monotonic() - began > self._given.seconds:
                    break
                await self._step(number)
                if number % max(self._given.pods // 20, 1) == 0:
                    self._note(number)
                    if self._given.gauges:
                        await self._print_gauges()
        finally:
            sampling.cancel()
        self._note(number + 1)

    def _note(self, number: int) -> None:
        self.seen.sizes.append((number, self._over.memory_mb()))
        print(f"{number} pods: {self.seen.sizes[-1][1]} MB", file=sys.stderr, flush=True)

    async def _sample(self) -> None:
        while True:
            self.seen.peak = max(self.seen.peak, self._over.memory_mb())
            await asyncio.sleep(_SAMPLE_SECONDS)

    async def _step(self, number: int) -> None:
        case = pods.distinct(number)
        for kind, item in case.objects:
            self._over.show(kind, item)
        self._there.append(case)
        if len(self._there) > _AHEAD:
            await self._ask(number, self._there[-1 - _AHEAD])
        if len(self._there) > _KEPT:
            self._take_away(self._there.popleft())
        if number % _HOSTILE_EVERY == 0:
            self._count("hostile", await self._over.verbs.call(*next(self._bodies)))
        if number % _CASE_EVERY == 0:
            await self._hostile_pod(self._cases[number // _CASE_EVERY % len(self._cases)])
        if number % self._given.largest_every == self._given.largest_every - 1:
            largest = b'{"Pod":{},"Nodes":{"items":[' + b" " * (Limits().body_bytes - 100) + b"]}}"
            self._count("largest", await self._over.verbs.call("/filter", largest))
        if number % _ADMIN_EVERY == 0:
            if self._asking is None or self._asking.done():
                path = _QUESTIONS[number // _ADMIN_EVERY % len(_QUESTIONS)]
                self._asking = asyncio.create_task(self._question(path))
            self._over.forget_history()

    async def _question(self, path: str) -> None:
        """Somebody asks the admin port, and waits as long as it takes; pods go on meanwhile."""
        self._count(f"admin {path}", await self._over.admin.call(path, method="GET"))

    async def _ask(self, number: int, case: hostile_pods.Case) -> None:
        start = self._rng.randrange(len(self._names))
        asked = (self._names[start:] + self._names[:start])[:ASKED]
        pod = msgspec.to_builtins(case.pod)
        found = await self._over.verbs.call("/filter", running.question(pod, asked))
        self._count("filter", found)
        passing = orjson.loads(found[1])["NodeNames"] if found[0] == 200 else None
        if passing:
            reported = await self._over.verbs.call("/prioritize", running.question(pod, passing))
            self._count("prioritize", reported)
            if number % 3 == 0 and not case.pod.spec.resource_claims:
                spec = {**pod["spec"], "nodeName": passing[0]}
                self._over.show("Pod", {**pod, "spec": spec, "status": {"phase": "Running"}})
        else:
            victims = {name: {"Pods": [{"UID": f"uid-{name}-0"}]} for name in asked[:20]}
            offered = {"Pod": pod, "NodeNameToMetaVictims": victims}
            self._count("preempt", await self._over.verbs.call("/preempt", orjson.dumps(offered)))

    async def _hostile_pod(self, case: hostile_pods.Case) -> None:
        for kind, item in case.objects:
            self._over.show(kind, item)
        await asyncio.sleep(0.05)
        body = running.question(case.pod, self._names)
        for _ in range(3):
            self._count("hostile pod", await self._over.verbs.call("/filter", body))
        for kind, item in reversed(case.objects):
            self._over.remove(kind, item)

    def _take_away(self, case: hostile_pods.Case) -> None:
        for kind, item in reversed(case.objects):
            self._over.remove(kind, item)

    def _count(self, what: str, answer: tuple[int, bytes]) -> None:
        self.seen.answers[f"{what} {answer[0]}"] += 1

    async def _print_gauges(self) -> None:
        text = await self._over.metrics()
        used, bound = _by_cache(text, "used"), _by_cache(text, "limit")
        full = sorted(used, key=lambda cache: -used[cache] / max(bound[cache], 1))
        reported = ", ".join(f"{c} {used[c]:.0f}/{bound[c]:.0f}" for c in full if used[c])
        print(f"   {reported}", file=sys.stderr, flush=True)


def _by_cache(text: str, what: str) -> dict[str, float]:
    found = {}
    for line in text.splitlines():
        if line.startswith(f"railyard_cache_{what}{{"):
            cache = line.partition('cache="')[2].partition('"')[0]
            found[cache] = float(line.rpartition(" ")[2])
    return found


async def measure(given: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory() as name:
        async with running.running(given.nodes, pathlib.Path(name), *given.flag) as over:
            idle = over.memory_mb()
            run = Run(over, given)
            await run.go()
            await asyncio.sleep(2.0)
            counters = await over.metrics()
            seen = run.seen
            return {
                "benchmark": "memory",
                "nodes": given.nodes,
                "pods": seen.sizes[-1][0],
                "seed": given.seed,
                "ready_mb": idle,
                "sizes": seen.sizes,
                "rest_mb": over.memory_mb(),
                "sampled_peak_mb": seen.peak,
                "peak_mb": over.memory_mb("VmHWM"),
                "answers": dict(seen.answers),
                "fail_open": sum(
                    float(line.rpartition(" ")[2])
                    for line in counters.splitlines()
                    if line.startswith("railyard_fail_open_total")
                ),
                "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
                "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=argument_checks.count, default=5000)
    parser.add_argument("--pods", type=argument_checks.count, default=20_000)
    parser.add_argument("--seconds", type=argument_checks.positive, default=1500.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--largest-every", type=argument_checks.count, default=2500, help="pods between such bodies"
    )
    parser.add_argument("--gauges", action="store_true", help="print how full the caches are")
    parser.add_argument("--flag", action="append", default=[], help="of railyard serve; repeatable")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    report = uvloop.run(measure(given))
    if given.json:
        print(json.dumps(report))
        return
    print(
        f"{report['nodes']} nodes: {report['ready_mb']} MB; after {report['pods']} pods "
        f"{report['rest_mb']} MB, peak {report['peak_mb']} MB; goal {GOAL_MB:.0f} MB; "
        f"{report['answers']}, {report['fail_open']:g} failed open"
    )


if __name__ == "__main__":
    main()
