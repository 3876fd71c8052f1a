"""Pods per second of the real kube-scheduler: alone, with an echo, with Railyard.

    python -m loadtests.realscheduler.throughput [--nodes 1000] [--rounds 3] [--loads plugin cpu]
    [--kubernetes 1.37.1] [--output throughput.jsonl]

Each leg finds the same pods waiting, starts its extender and then kube-scheduler, and measures from
the moment a tenth of the pods is bound until the last one is. The legs take turns within a round,
and a ratio compares legs of one round only, so that a slow minute of the machine hits both sides.
The pods of a load are identical, so that kube-scheduler may reuse for one what it found for the
last (opportunistic batching). It does not while PodTopologySpread has default constraints, which is
how it comes (`default`); all other legs run without them. `batching` then may, `unbatched` has that
switched off, and with any extender kube-scheduler does not do it either. What an extender itself
can lose or win is the distance to one that merely echoes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import pathlib
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import parser as metrics_text

from loadtests.realscheduler import pod_loads
from loadtests.simulator import argument_checks
from tests.kit.controlplane import api as kube_api
from tests.kit.controlplane import build, configuration, process, railyard
from tests.kit.controlplane.plane import REPOSITORY, ControlPlane

ECHO = (
    "{python} -m tests.kit.controlplane.extenders.echo --port {port}"
    " --certificate {certificate} --key {key} --authority {authority}"
)
# Larger than any other score, as the manuals recommend where placement shall follow the extender.
WEIGHT = 100
BATCHING = "OpportunisticBatching"
# No pod is batched while this plugin has constraints of its own, as it has by default.
NO_SPREADING = {
    "name": "PodTopologySpread",
    "args": {"defaultingType": "List", "defaultConstraints": []},
}


@dataclasses.dataclass(frozen=True)
class Leg:
    """A way to run kube-scheduler: without an extender if there is no command."""

    name: str
    command: str = ""  # with {placeholders}
    ready_port: str = "port"  # which of them answers /readyz
    gates: dict[str, bool] = dataclasses.field(default_factory=dict)  # of kube-scheduler
    as_it_comes: bool = False  # kube-scheduler with its default profile


class Bench:
    def __init__(self, plane: ControlPlane, client: kube_api.Api):
        self._plane, self._client = plane, client
        self._server, self._scheduler = plane.extender_pairs()

    async def set_up(self, load: pod_loads.Load) -> None:
        await self._client.create_all(load.objects())

    async def tear_down(self) -> None:
        await self._remove_pods()
        for kind, namespace in (
            ("ResourceClaimTemplate", "default"),
            ("ResourceSlice", None),
            ("DeviceClass", None),
            ("Node", None),
        ):
            await self._client.clear(kind, namespace)

    async def run(self, load: pod_loads.Load, leg: Leg) -> dict[str, Any]:
        """Bind the pods once; return pods per second, and the extender's processor time per pod."""
        await self._client.create_all(map(load.pod, range(load.pods)))
        if load.kind.claims:
            await self._client.wait("ResourceClaim", lambda claims: len(claims) == load.pods)
        try:
            return await self._measure(load, leg)
        finally:
            await self._remove_pods()

    async def _measure(self, load: pod_loads.Load, leg: Leg) -> dict[str, Any]:
        with self._extender(leg) as (extender, options):
            times = asyncio.create_task(self._bind_times(load.pods))
            before = extender.cpu_seconds() if extender else 0.0
            scheduling = configuration.Scheduling(
                extenders=options,
                feature_gates=leg.gates,
                plugin_config=() if leg.as_it_comes else (NO_SPREADING,),
            )
            await asyncio.to_thread(self._plane.start_scheduler, scheduling)
            try:
                bound = await times
                hints = await asyncio.to_thread(batched, self._plane)
            finally:
                times.cancel()
                await asyncio.to_thread(self._plane.stop_scheduler)
            used = extender.cpu_seconds() - before if extender else 0.0
        first = len(bound) // 10  # the scheduler's own warm-up is not what is measured
        rate = (len(bound) - 1 - first) / (bound[-1] - bound[first])
        return {
            "pods_per_second": round(rate, 1),
            "extender_cpu_ms_per_pod": round(1000 * used / load.pods, 2),
            "batched": round(hints / load.pods, 2),
        }

    async def _bind_times(self, count: int) -> list[float]:
        """Watch until `count` pods have a node; return the moment of each, in order."""
        bound: dict[str, float] = {}  # pod name → monotonic seconds
        async for _, pod in self._client.watch("Pod", seconds=60 + count):
            name = pod["metadata"]["name"]
            if kube_api.node_of(pod) and name not in bound:
                bound[name] = time.monotonic()
                if len(bound) == count:
                    return list(bound.values())
        raise TimeoutError(f"{len(bound)} of {count} pods were bound")

    @contextlib.contextmanager
    def _extender(self, leg: Leg) -> Iterator[tuple[process.Process | None, list[Any]]]:
        if not leg.command:
            yield None, []
            return
        ports = {"port": process.free_port(), "admin_port": process.free_port()}
        words = {
            "python": sys.executable,
            "kubeconfig": self._plane.kubeconfig("railyard"),
            "certificate": self._server.certificate,
            "key": self._server.key,
            "authority": self._server.authority,
            **ports,
        }
        command = [word.format(**words) for word in shlex.split(leg.command)]
        log = self._plane.folder / f"{leg.name}.log"
        extender = process.Process(leg.name, command, log, folder=REPOSITORY, ends_by_itself=False)
        extender.start()
        try:
            own = leg.ready_port == "port"
            tls = self._scheduler.client_context() if own else None
            extender.wait_until_answers("/readyz", port=ports[leg.ready_port], tls=tls)
            url = f"https://127.0.0.1:{ports['port']}"
            options = configuration.Extender(
                url, tls=self._scheduler, weight=WEIGHT, preempt_verb=""
            )
            yield extender, [options]
        finally:
            extender.stop()

    async def _remove_pods(self) -> None:
        await self._client.clear("Pod")
        await self._client.clear("ResourceClaim")


def batched(plane: ControlPlane) -> float:
    """Return how many pods kube-scheduler placed by what it had found for the one before."""
    return sum(
        sample.value
        for family in metrics_text.text_string_to_metric_families(plane.scheduler_metrics())
        for sample in family.samples
        if sample.name == "scheduler_batch_attempts_total"
        and sample.labels.get("result") == "hint_used"
    )


async def run(options: argparse.Namespace, legs: list[Leg], plane: ControlPlane) -> dict[str, Any]:
    deadline = time.monotonic() + options.time_limit
    loads = [pod_loads.Load(name, options.nodes, options.pods) for name in options.loads]
    report: dict[str, Any] = {
        "benchmark": "throughput",
        "date": time.strftime("%Y-%m"),
        "kubernetes": options.kubernetes,
        "nodes": options.nodes,
        "cores": os.cpu_count(),
        "loads": {},
    }
    async with plane.api() as client:
        bench = Bench(plane, client)
        for number, load in enumerate(loads):
            # Each load has its share of the time, however slow the ones before it were.
            until = deadline - options.time_limit / len(loads) * (len(loads) - 1 - number)
            await bench.set_up(load)
            rounds = await run_rounds(bench, load, legs, count=options.rounds, until=until)
            await bench.tear_down()
            report["loads"][load.name] = summary(load, rounds)
    return report


async def run_rounds(
    bench: Bench, load: pod_loads.Load, legs: list[Leg], *, count: int, until: float
) -> list[dict[str, dict[str, Any]]]:
    rounds: list[dict[str, dict[str, Any]]] = []  # leg name → result, per round
    for number in range(count):
        results: dict[str, dict[str, Any]] = {}
        turn = number % len(legs)  # nobody always goes first
        for leg in legs[turn:] + legs[:turn]:
            if time.monotonic() > until:
                progress(f"{load.name}: out of time in round {number + 1}")
                return [*rounds, results] if "echo" in results else rounds
            results[leg.name] = await bench.run(load, leg)
            rate, used, hinted = results[leg.name].values()
            progress(
                f"{load.name} round {number + 1}/{count} {leg.name:9} {rate:7.1f} pods/s"
                f"  {used:6.2f} ms of its CPU per pod, {hinted:4.0%} batched"
            )
        rounds.append(results)
    return rounds


def summary(load: pod_loads.Load, rounds: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return medians per leg, and the ratio of each leg to the echo of the same round."""
    if not rounds:
        return {"pods": load.pods, "rounds": []}
    legs = dict.fromkeys(leg for results in rounds for leg in results)
    rates = {
        leg: [results[leg]["pods_per_second"] for results in rounds if leg in results]
        for leg in legs
    }
    ratios = {
        leg: [
            results[leg]["pods_per_second"] / results["echo"]["pods_per_second"]
            for results in rounds
            if leg in results
        ]
        for leg in legs
    }
    hints = {leg: [one[leg]["batched"] for one in rounds if leg in one] for leg in legs}
    return {
        "pods": load.pods,
        "rounds": rounds,
        "pods_per_second": {leg: round(statistics.median(rates[leg]), 1) for leg in legs},
        "batched": {leg: round(statistics.median(hints[leg]), 2) for leg in legs},
        "to_echo": {
            leg: {
                "median": round(statistics.median(values), 3),
                "range": [round(min(values), 3), round(max(values), 3)],
            }
            for leg, values in ratios.items()
        },
    }


def progress(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure kube-scheduler with and without us.")
    parser.add_argument("--kubernetes", default=build.default_version())
    parser.add_argument("--nodes", type=argument_checks.count, default=1000)
    parser.add_argument(
        "--loads", nargs="+", choices=pod_loads.KINDS, default=list(pod_loads.KINDS), metavar="LOAD"
    )
    parser.add_argument("--pods", type=int, default=0, help="of each load; 0: as each load has it")
    parser.add_argument("--rounds", type=argument_checks.count, default=3)
    parser.add_argument("--time-limit", type=float, default=900, help="seconds for all legs")
    parser.add_argument(
        "--railyard", default=railyard.COMMAND, help="its command line; empty: no such leg"
    )
    parser.add_argument("--output", type=pathlib.Path, help="also add the JSON there, in a line")
    return parser.parse_args()


def legs_of(options: argparse.Namespace) -> list[Leg]:
    legs = [
        Leg("default", as_it_comes=True),
        Leg("batching"),
        Leg("unbatched", gates={BATCHING: False}),
        Leg("echo", ECHO),
    ]
    if options.railyard:
        return [*legs, Leg("railyard", options.railyard, "admin_port")]
    progress("no command line for Railyard: its leg is left out")
    return legs


def main() -> None:
    options = parse()
    if reason := build.why_not(options.kubernetes):
        sys.exit(reason)
    with (
        tempfile.TemporaryDirectory() as folder,
        ControlPlane(build.binary(options.kubernetes), pathlib.Path(folder)) as plane,
    ):
        report = asyncio.run(run(options, legs_of(options), plane))
    print(json.dumps(report, indent=2))
    if options.output:
        with options.output.open("a") as out:
            out.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
