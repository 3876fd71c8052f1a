"""The openb trace through the real kube-scheduler, without an extender and with Railyard.

    python -m loadtests.realscheduler.realtrace --mode plugin|dra [--pods default] [--seed 42]
    [--with railyard]

The 1,213 machines are Node objects, the pods arrive in the published order, one that fits nowhere
is dropped, nothing leaves. `plugin` knows whole GPUs only, so a share of a GPU becomes a whole one;
`dra` has one device per GPU whose thousandths claims may share. `--nodes` takes every so many-th
machine, and pods for those. The report holds what the simulator says of the same pods with and
without Railyard, with kube-scheduler's own choice of devices: the lowest number that fits.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from extender.server import metrics
from loadtests.quality import packing
from loadtests.simulator import argument_checks, baselines, engine, simulated_cluster
from loadtests.simulator.traces import openb
from tests.kit.controlplane import api as kube_api
from tests.kit.controlplane import build, configuration, features, fleet, railyard
from tests.kit.controlplane.plane import ControlPlane

PRODUCT = "nvidia.com/gpu.product"
SHARES = "milli"  # the capacity that claims share, 1000 to a GPU
# Far above what in-tree scores add up to, so that the extender decides (1,200 at most).
WEIGHT = 100
# Pods waiting at a time: enough to keep the scheduler busy, few enough to keep their order.
WINDOW = 50
NO_PREEMPTION = {"postFilter": {"disabled": [{"name": "DefaultPreemption"}]}}


class Plugin:
    """Whole GPUs as a device plug-in counts them."""

    name = "plugin"

    def kind(self, kind: openb.Kind) -> openb.Kind:
        """Return what a pod asks for where there are no shares."""
        return dataclasses.replace(kind, milli=openb.GPU) if kind.num else kind

    def classes(self) -> list[fleet.Object]:
        return []

    def machine(self, name: str, nodes: openb.Nodes, row: int) -> Iterator[fleet.Object]:
        resources = {fleet.GPU_RESOURCE: str(nodes.gpus[row])}
        labels = {
            PRODUCT: nodes.models[nodes.model[row]],
            "nvidia.com/gpu.count": str(nodes.gpus[row]),
        }
        yield fleet.node(name, resources=room(nodes, row) | resources, labels=labels)

    def pod(self, name: str, kind: openb.Kind) -> Iterator[fleet.Object]:
        resources = {"cpu": f"{kind.cpu}m", "memory": f"{kind.memory}Mi"}
        if kind.num:
            resources[fleet.GPU_RESOURCE] = str(kind.num)
        selection = models_affinity(kind.models) if kind.models else {}
        yield fleet.pod(name, resources=resources, **selection)


class Dra:
    """One device per GPU, whose thousandths claims consume."""

    name = "dra"

    def kind(self, kind: openb.Kind) -> openb.Kind:
        return kind

    def classes(self) -> list[fleet.Object]:
        return [fleet.gpu_class()]

    def machine(self, name: str, nodes: openb.Nodes, row: int) -> Iterator[fleet.Object]:
        model = nodes.models[nodes.model[row]]
        yield fleet.node(name, resources=room(nodes, row), labels={PRODUCT: model})
        devices = [
            fleet.device(
                f"gpu-{number}",
                attributes={"type": "gpu", "productName": model, "index": number},
                allowMultipleAllocations=True,
                capacity={SHARES: {"value": str(openb.GPU)}},
            )
            for number in range(nodes.gpus[row])
        ]
        yield fleet.resource_slice(name, fleet.GPU_DRIVER, devices)

    def pod(self, name: str, kind: openb.Kind) -> Iterator[fleet.Object]:
        resources = {"cpu": f"{kind.cpu}m", "memory": f"{kind.memory}Mi"}
        if not kind.num:
            yield fleet.pod(name, resources=resources)
            return
        product = f"device.attributes['{fleet.GPU_DRIVER}'].productName"
        chosen = [f"{product} in {json.dumps(sorted(set(kind.models)))}"] if kind.models else []
        request = fleet.request(
            "gpu",
            fleet.GPU_DRIVER,
            *chosen,
            count=kind.num,
            capacity={"requests": {SHARES: str(kind.milli)}},
        )
        # A device may serve one claim several times; each GPU of a pod is to be another one.
        distinct = [{"requests": ["gpu"], "distinctAttribute": f"{fleet.GPU_DRIVER}/index"}]
        yield fleet.claim_template(name, [request], constraints=distinct if kind.num > 1 else [])
        yield fleet.pod(name, resources=resources, claim_templates=[name])


MODES = {mode.name: mode for mode in (Plugin(), Dra())}


def room(nodes: openb.Nodes, row: int) -> dict[str, str]:
    # The trace has no limit of pods per node.
    return {"cpu": f"{nodes.cpu[row]}m", "memory": f"{nodes.memory[row]}Mi", "pods": "10000"}


def models_affinity(models: tuple[str, ...]) -> dict[str, Any]:
    term = {"key": PRODUCT, "operator": "In", "values": sorted(set(models))}
    selector = {"nodeSelectorTerms": [{"matchExpressions": [term]}]}
    return {
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": selector}}
    }


def arrivals(mode: Plugin | Dra, trace: openb.Trace, order: np.ndarray, limit: float):
    """Return the trace in this mode's kinds, and the order up to `limit` GPU thousandths."""
    kinds = tuple(map(mode.kind, trace.kinds))
    asked = np.cumsum([kinds[trace.pods[pod]].gpu for pod in order])
    return dataclasses.replace(trace, kinds=kinds), order[: int(np.searchsorted(asked, limit)) + 1]


class Replay:
    """Sends the pods to the API server and follows what becomes of each."""

    def __init__(self, client: kube_api.Api, mode: Plugin | Dra):
        self._client, self._mode = client, mode
        self._outcomes: dict[str, bool] = {}  # pod name → placed?
        self._window = asyncio.Semaphore(WINDOW)

    async def run(self, kinds: list[openb.Kind], until: float) -> list[bool]:
        """Return for each pod, in order, whether it was placed; stop at monotonic time `until`."""
        watching = asyncio.create_task(self._follow(until - time.monotonic()))
        sent = 0
        try:
            for number, kind in enumerate(kinds):
                async with asyncio.timeout_at(self._loop_time(until)):
                    await self._window.acquire()
                for item in self._mode.pod(pod_name(number), kind):
                    await self._client.create(item)
                sent += 1
                if number % 500 == 0:
                    placed = sum(self._outcomes.values())
                    progress(f"{number} of {len(kinds)} pods sent, {placed} placed")
            async with asyncio.timeout_at(self._loop_time(until)):
                for _ in range(WINDOW):  # the whole window is free when no pod waits
                    await self._window.acquire()
        except TimeoutError:
            progress(f"out of time after {len(self._outcomes)} pods")
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        outcomes = [self._outcomes.get(pod_name(number)) for number in range(sent)]
        judged = outcomes.index(None) if None in outcomes else sent
        return [bool(outcome) for outcome in outcomes[:judged]]

    async def _follow(self, seconds: float) -> None:
        async for _, pod in self._client.watch("Pod", seconds=max(seconds, 1)):
            name = pod["metadata"]["name"]
            if name in self._outcomes:
                continue
            if kube_api.node_of(pod):
                self._outcomes[name] = True
                self._window.release()
            elif "nodes are available" in kube_api.scheduling_failure(pod):
                self._outcomes[name] = False
                self._window.release()
                await self._client.delete("Pod", name)

    @staticmethod
    def _loop_time(until: float) -> float:
        return asyncio.get_running_loop().time() + until - time.monotonic()


def pod_name(number: int) -> str:
    return f"pod-{number:05}"


def tally(placed: list[bool], kinds: list[openb.Kind], capacity: int) -> dict[str, Any]:
    counted = packing.Tally(capacity=capacity)
    for kind, outcome in zip(kinds, placed, strict=False):
        counted.count(kind, outcome)
    return counted.report()


async def replayed(
    plane: ControlPlane, options: argparse.Namespace, nodes: openb.Nodes, kinds: list[openb.Kind]
) -> dict[str, Any]:
    """Run the trace once through the plane's scheduler, with the extender asked for."""
    mode = MODES[options.mode]
    async with plane.api() as client:
        await client.create_all(mode.classes())
        machines = (mode.machine(name, nodes, row) for row, name in enumerate(nodes.names))
        await client.create_all(item for machine in machines for item in machine)
        with contextlib.ExitStack() as stack:
            service = None
            if options.with_ == "railyard":
                service = stack.enter_context(railyard.Railyard(plane, command=options.railyard))
            scheduler = stack.enter_context(
                plane.scheduling(
                    configuration.Scheduling(
                        extenders=[service.extender(weight=WEIGHT)] if service else [],
                        percentage_of_nodes_to_score=options.percentage,
                        plugins=NO_PREEMPTION,
                    )
                )
            )
            began = time.monotonic()
            placed = await Replay(client, mode).run(kinds, began + options.time_limit)
            report = tally(placed, kinds, nodes.capacity)
            report["seconds"] = round(time.monotonic() - began, 1)
            report["scheduler_cpu_seconds"] = round(scheduler.cpu_seconds(), 1)
            if service:
                report["railyard"] = spent(service)
    return report


def spent(service: railyard.Railyard) -> dict[str, Any]:
    """Return what the service says of its predictions, and its processor time."""
    name = "railyard_predictions_total"
    predictions = {
        result: int(service.metric(name, {"result": result})) for result in metrics.RESULTS
    }
    return {
        "predictions": predictions,
        "fail_open": int(service.metric("railyard_fail_open_total")),
        "cpu_seconds": round(service.process.cpu_seconds(), 1),
    }


class Alone(baselines.KubeDefault):
    """kube-scheduler's own scores, and its own devices."""

    slots = staticmethod(simulated_cluster.first_slots)


def simulated(
    options: argparse.Namespace, trace: openb.Trace, nodes: openb.Nodes, order: np.ndarray, ranks
) -> dict[str, Any]:
    """Return what the simulator says of the same pods, with Railyard at the same weight and alone.

    All nodes that fit are scored, as with --percentage 100.
    """
    policies = {
        "railyard": (
            engine.Railyard(nodes),
            packing.Wire(top=packing.TOP, weight=WEIGHT, intree="default"),
        ),
        "none": (Alone(), packing.Wire()),
    }
    found = {}
    for name, (policy, wire) in policies.items():
        began, rng = time.monotonic(), np.random.default_rng(options.seed)
        found[name] = packing.run(trace, nodes, order, ranks, policy, wire=wire, rng=rng).report()
        progress(f"simulated with {name} in {time.monotonic() - began:.0f} s")
    return found


def progress(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run an openb trace through kube-scheduler.")
    parser.add_argument("--mode", choices=MODES, required=True)
    parser.add_argument("--with", dest="with_", choices=("none", "railyard"), default="railyard")
    parser.add_argument(
        "--pods",
        type=argument_checks.pod_list,
        default="default",
        help="a pod list, or its short name",
    )
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument(
        "--load",
        type=argument_checks.positive,
        default=1.3,
        help="of the cluster's GPUs, then stop",
    )
    parser.add_argument("--nodes", type=int, default=0, help="so many of them, evenly chosen")
    parser.add_argument("--percentage", type=int, default=100, help="percentageOfNodesToScore")
    parser.add_argument("--kubernetes", default=build.default_version())
    parser.add_argument("--railyard", default=railyard.COMMAND, help="its command line")
    parser.add_argument("--time-limit", type=float, default=1800, help="seconds")
    parser.add_argument("--no-simulation", action="store_true")
    return parser.parse_args()


def main() -> None:
    options = parse()
    version = options.kubernetes
    if reason := build.why_not(version):
        sys.exit(reason)
    every, trace = openb.read_nodes(), openb.read_trace(options.pods)
    order, ranks = openb.published_order(trace, every, options.seed)
    nodes = openb.every_nth(every, options.nodes)
    trace, order = arrivals(MODES[options.mode], trace, order, options.load * nodes.capacity)
    kinds = [trace.kinds[trace.pods[pod]] for pod in order]
    report: dict[str, Any] = {
        "benchmark": "realtrace",
        "trace": trace.name,
        "mode": options.mode,
        "extender": options.with_,
        "kubernetes": version,
        "seed": options.seed,
        "nodes": len(nodes.names),
        "percentage": options.percentage,
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        ControlPlane(
            build.binary(version),
            pathlib.Path(folder),
            feature_gates=features.gates(version),
            runtime_config=features.runtime_config(version),
        ) as plane,
    ):
        report |= asyncio.run(replayed(plane, options, nodes, kinds))
    if not options.no_simulation:
        report["simulated"] = simulated(options, trace, nodes, order, ranks)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
