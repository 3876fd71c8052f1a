"""Pods per second of the real kube-scheduler: alone, with an echo, with Railyard.

    python -m loadtests.realscheduler.throughput [--nodes 1000] [--rounds 3] [--output
    throughput.json]

Each leg finds the same pods waiting, starts its extender and then kube-scheduler, and measures from
the moment a tenth of the pods is bound until the last one is. The legs take turns within a round,
and a ratio compares legs of one round only, so that a slow minute of the machine hits both sides.
The extender interface itself costs about a third; what an extender can lose or win is the distance
to one that merely echoes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import pathlib
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from loadtests.simulator import argument_checks
from tests.kit.controlplane import api as kube_api
from tests.kit.controlplane import build, configuration, fleet, process, railyard
from tests.kit.controlplane.plane import REPOSITORY, ControlPlane

ECHO = (
    "{python} -m tests.kit.controlplane.echo --port {port}"
    " --certificate {certificate} --key {key} --authority {authority}"
)
# Larger than any other score, as the manuals recommend where placement shall follow the extender.
WEIGHT = 100
GPUS_WANTED = (1, 1, 2, 1, 4, 1, 2, 8)  # of device-plugin pods, in turn


@dataclasses.dataclass(frozen=True)
class Load:
    """One kind of pods: what the nodes carry, the pods, and how many of them a leg binds."""

    name: str
    pods: int
    nodes: int

    def objects(self) -> Iterator[fleet.Object]:
        """Yield what the cluster holds before the first leg."""
        if self.name == "claims":
            yield from (fleet.gpu_class(), fleet.nic_class(), fleet.gpu_with_near_nic())
        for number in range(self.nodes):
            name = f"node-{number:05}"
            if self.name == "plugin":
                yield fleet.node(name, resources={fleet.GPU_RESOURCE: "8"})
                continue
            yield fleet.node(name)
            roots = [f"pci{number:04x}:00" for number in range(8)]
            yield fleet.resource_slice(name, fleet.GPU_DRIVER, fleet.gpus(roots))
            yield fleet.resource_slice(name, fleet.NIC_DRIVER, fleet.nics(roots))

    def pod(self, number: int) -> fleet.Object:
        name = f"pod-{number:05}"
        if self.name == "claims":
            return fleet.pod(name, claim_templates=["gpu-near-nic"])
        wanted = GPUS_WANTED[number % len(GPUS_WANTED)]
        return fleet.pod(name, resources={fleet.GPU_RESOURCE: str(wanted)})


@dataclasses.dataclass(frozen=True)
class Leg:
    """A way to run kube-scheduler: without an extender if there is no command."""

    name: str
    command: str = ""  # with {placeholders}
    ready_port: str = "port"  # which of them answers /readyz


class Bench:
    def __init__(self, plane: ControlPlane, client: kube_api.Api):
        self._plane, self._client = plane, client
        self._server, self._scheduler = plane.extender_pairs()

    async def set_up(self, load: Load) -> None:
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

    async def run(self, load: Load, leg: Leg) -> dict[str, Any]:
        """Bind the pods once; return pods per second, and the extender's processor time per pod."""
        await self._client.create_all(map(load.pod, range(load.pods)))
        if load.name == "claims":
            await self._client.wait("ResourceClaim", lambda claims: len(claims) == load.pods)
        try:
            return await self._measure(load, leg)
        finally:
            await self._remove_pods()

    async def _measure(self, load: Load, leg: Leg) -> dict[str, Any]:
        with self._extender(leg) as (extender, options):
            times = asyncio.create_task(self._bind_times(load.pods))
            before = extender.cpu_seconds() if extender else 0.0
            scheduling = configuration.Scheduling(extenders=options)
            await asyncio.to_thread(self._plane.start_scheduler, scheduling)
            try:
                bound = await times
            finally:
                times.cancel()
                await asyncio.to_thread(self._plane.stop_scheduler)
            used = extender.cpu_seconds() - before if extender else 0.0
        first = len(bound) // 10  # the scheduler's own warm-up is not what is measured
        rate = (len(bound) - 1 - first) / (bound[-1] - bound[first])
        return {
            "pods_per_second": round(rate, 1),
            "extender_cpu_ms_per_pod": round(1000 * used / load.pods, 2),
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


async def run(options: argparse.Namespace, legs: list[Leg], plane: ControlPlane) -> dict[str, Any]:
    deadline = time.monotonic() + options.time_limit
    loads = [
        Load("plugin", options.plugin_pods, options.nodes),
        Load("claims", options.claim_pods, options.nodes),
    ]
    report: dict[str, Any] = {"kubernetes": options.kubernetes, "nodes": options.nodes}
    async with plane.api() as client:
        bench = Bench(plane, client)
        for number, load in enumerate(loads):
            if load.pods == 0:
                continue
            # Half of the time is the second load's, however slow the first one was.
            until = deadline - options.time_limit / 2 * (len(loads) - 1 - number)
            await bench.set_up(load)
            rounds = await run_rounds(bench, load, legs, count=options.rounds, until=until)
            await bench.tear_down()
            report[load.name] = summary(load, rounds)
    return report


async def run_rounds(
    bench: Bench, load: Load, legs: list[Leg], *, count: int, until: float
) -> list[dict[str, dict[str, Any]]]:
    rounds: list[dict[str, dict[str, Any]]] = []  # leg name → result, per round
    for number in range(count):
        results: dict[str, dict[str, Any]] = {}
        turn = number % len(legs)  # nobody always goes first
        for leg in legs[turn:] + legs[:turn]:
            if time.monotonic() > until:
                progress(f"{load.name}: out of time in round {number + 1}")
                return rounds
            results[leg.name] = await bench.run(load, leg)
            rate, used = results[leg.name].values()
            progress(
                f"{load.name} round {number + 1}/{count} {leg.name:9} {rate:7.1f} pods/s"
                f"  {used:6.2f} ms of its CPU per pod"
            )
        rounds.append(results)
    return rounds


def summary(load: Load, rounds: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return medians per leg, and the ratio of each leg to the echo of the same round."""
    if not rounds:
        return {"pods": load.pods, "rounds": []}
    ratios = {
        leg: [
            results[leg]["pods_per_second"] / results["echo"]["pods_per_second"]
            for results in rounds
        ]
        for leg in rounds[0]
    }
    return {
        "pods": load.pods,
        "rounds": rounds,
        "pods_per_second": {
            leg: round(statistics.median(r[leg]["pods_per_second"] for r in rounds), 1)
            for leg in rounds[0]
        },
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
    parser.add_argument("--plugin-pods", type=int, default=1000, help="0 leaves this load out")
    parser.add_argument("--claim-pods", type=int, default=80, help="0 leaves this load out")
    parser.add_argument("--rounds", type=argument_checks.count, default=3)
    parser.add_argument("--time-limit", type=float, default=900, help="seconds for all legs")
    parser.add_argument(
        "--railyard", default=railyard.COMMAND, help="its command line; empty: no such leg"
    )
    parser.add_argument("--output", type=pathlib.Path, help="also write the JSON here")
    return parser.parse_args()


def legs_of(options: argparse.Namespace) -> list[Leg]:
    legs = [Leg("alone"), Leg("echo", ECHO)]
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
        report = json.dumps(asyncio.run(run(options, legs_of(options), plane)), indent=2)
    print(report)
    if options.output:
        options.output.write_text(report + "\n")


if __name__ == "__main__":
    main()
