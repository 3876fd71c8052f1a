"""A generated cluster behind a fake API server, and what changes in it: a process of its own.

    python -m loadtests.traffic.cluster_process --scenario NAME [--nodes N]

It prints its port once all is there. The line `go SECONDS [EVENTS]` on its input starts the
scenario's changes for so long, with so many events a second instead of the scenario's; `reported`
waits for their end and prints what was sent since the start. It ends when its input does.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import itertools
import json
import random
import sys
import time
from collections.abc import Iterator

import msgspec
import uvloop

from extender.kube.watch import informers
from loadtests.simulator import large_objects, mixed_fleet
from loadtests.traffic import scenarios
from tests.kit import apiserver

NAMESPACE, CONFIG_MAP = "railyard", "railyard-policy"
_CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
_PATHS = {each.kind: each.at(each.versions[0]).path for each in informers.KINDS}
_VERSIONS = {each.kind: each.versions[0] for each in informers.KINDS}
_TICK_SECONDS = 0.002  # a few at a time, as an API server sends each event when it comes
# Pods of the churn that are there at a time; each holds one device, or CPU alone.
_ALIVE = 500
# Events that a watch may be behind: as etcd's history, it must end somewhere.
_HISTORY = 5000
_POLICY = """\
apiVersion: railyard.dev/v1alpha1
kind: PlacementPolicy
profiles:
  - name: default
    locality: {{weight: {weight}}}
"""
_ENV = [{"name": f"VARIABLE_{number}", "value": f"value-{number}"} for number in range(20)]


class Cluster:
    """The objects of the scenario's cluster, served, and the changes it asks for."""

    def __init__(self, scenario: scenarios.Scenario, nodes: int) -> None:
        self.server = apiserver.ApiServer()
        self.sent: collections.Counter[str] = collections.Counter()  # what → how often
        self._scenario = scenario
        self._machines: list[str] = []  # with a device plug-in
        for kind, path in _PATHS.items():
            self.server.add(path, kind, _VERSIONS[kind])
        self.server.add(_CONFIG_MAPS, "ConfigMap")
        self.change_policy()
        for number, (kind, item) in enumerate(mixed_fleet.contents(nodes)):
            self._keep(kind, msgspec.to_builtins(item), number)
        self._events = self._lives()

    def _keep(self, kind: str, body: dict, number: int) -> None:
        """Take an object in as the API server has it."""
        meta = body["metadata"]
        self.server.version = max(self.server.version, number + 1)
        meta.setdefault("uid", f"uid-{kind}-{meta['name']}")
        meta["resourceVersion"] = str(number + 1)
        body |= {"kind": kind, "apiVersion": _VERSIONS[kind]}
        if kind == "Node":
            if "nvidia.com/gpu" in body["status"]["allocatable"]:
                self._machines.append(meta["name"])
            if self._scenario.whole_nodes:
                body = _as_large_as_real(body, number)
        collection = self.server.collections[_PATHS[kind]]
        if kind in {"Node", "ResourceSlice"}:
            self.server.preload(_PATHS[kind], meta["name"], msgspec.json.encode(body))
            return
        spaces = [meta.get("namespace", "")]
        if kind == "ResourceClaimTemplate":
            spaces = sorted({tenant.namespace for tenant in self._scenario.tenants} | set(spaces))
        for space in spaces:
            own = meta | ({"namespace": space} if space else {})
            collection.objects[space, meta["name"]] = {**body, "metadata": own}

    # ------------------------------------------------------------ changes

    async def change(self, seconds: float, events_per_second: int | None = None) -> None:
        """Do what the scenario asks for, for so long, or with so many events."""
        scenario = self._scenario
        rate = scenario.events_per_second if events_per_second is None else events_per_second
        steps = [
            (scenario.relist_every_seconds, self.forget_history),
            (scenario.policy_every_seconds, self.change_policy),
        ]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._churn(rate, seconds))
            for every, step in steps:
                if every is not None:
                    group.create_task(_repeat(step, every, seconds))

    def change_policy(self) -> None:
        """Write the policy's ConfigMap with another weight of locality than before."""
        self.sent["policies"] += 1
        text = _POLICY.format(weight=10.0 if self.sent["policies"] % 2 else 12.0)
        data = {"policy.yaml": text}
        self.server.put(_CONFIG_MAPS, CONFIG_MAP, namespace=NAMESPACE, data=data)

    def forget_history(self) -> None:
        """End all watches, from versions that are too old by then."""
        self.sent["relists"] += 1
        self.server.version += 1
        for path in _PATHS.values():
            self.server.compact(path)
            self.server.send(path, "reset")

    async def _churn(self, rate: int, seconds: float) -> None:
        """`rate` events in a second, a few at a time; what could not be sent in time is late."""
        began = time.monotonic()
        sent = 0
        while rate and (passed := time.monotonic() - began) < seconds:
            due = int(rate * passed) - sent
            for _ in itertools.islice(self._events, due):
                pass
            sent += due
            self._trim()
            await asyncio.sleep(_TICK_SECONDS)
        self.sent["events"] += sent

    def _lives(self) -> Iterator[None]:
        """Pods that appear, are bound and end, an event a step."""
        path = _PATHS["Pod"]
        machines = itertools.cycle(self._machines or [""])
        alive: collections.deque[str] = collections.deque()
        for number in itertools.count():
            name = f"churn-{number:07}"
            meta = {"creationTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
            gpu = {"nvidia.com/gpu": "1"} if number % 2 else {}
            body = _pod_body({"cpu": "1", "memory": "1Gi", **gpu})
            self.server.put(path, name, namespace="churn", metadata=meta, **body)
            yield
            bound = {**body, "spec": {**body["spec"], "nodeName": next(machines)}}
            self.server.put(path, name, namespace="churn", metadata=meta, **bound)
            yield
            alive.append(name)
            if len(alive) > _ALIVE:
                self.server.delete(path, alive.popleft(), namespace="churn")
                yield

    def _trim(self) -> None:
        collection = self.server.collections[_PATHS["Pod"]]
        if len(collection.log) > 2 * _HISTORY:
            collection.horizon = collection.log[-_HISTORY][0] - 1
            del collection.log[:-_HISTORY]


async def _repeat(step, every: float, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() + every < until:
        await asyncio.sleep(every)
        step()


def _as_large_as_real(body: dict, number: int) -> dict:
    """The node with the labels, images and managed fields that real ones have: 18 KB."""
    large = large_objects.node(number, random.Random(number))
    labels = large["metadata"]["labels"] | body["metadata"].get("labels", {})
    meta = large["metadata"] | body["metadata"] | {"labels": labels}
    status = large["status"] | body["status"]
    return large | body | {"metadata": meta, "status": status}


def _pod_body(amounts: dict[str, str]) -> dict:
    container = {
        "name": "main",
        "image": "registry.example.com/team/trainer:v1",
        "env": _ENV,
        "resources": {"requests": amounts, "limits": amounts},
    }
    spec = {"containers": [container], "schedulerName": "default-scheduler", "priority": 0}
    return {"spec": spec, "status": {"phase": "Pending"}}


async def serve(cluster: Cluster) -> None:
    loop = asyncio.get_running_loop()
    await cluster.server.start()
    print(json.dumps({"port": cluster.server.port}), flush=True)
    changing: asyncio.Task[None] | None = None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        word, *given = line.split()
        if word == "go":
            rate = int(given[1]) if given[1:] else None
            changing = asyncio.create_task(cluster.change(float(given[0]), rate))
        if word == "reported" and changing is not None:
            await changing
            pods = len(cluster.server.collections[_PATHS["Pod"]].objects)
            print(json.dumps({**cluster.sent, "pods": pods}), flush=True)
    if changing is not None:
        changing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await changing
    await cluster.server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", default="steady")
    parser.add_argument("--nodes", type=int, default=0, help="0: as many as the scenario says")
    given = parser.parse_args()
    scenario = scenarios.read(given.scenario)
    cluster = Cluster(scenario, given.nodes or scenario.nodes)
    uvloop.run(serve(cluster))


if __name__ == "__main__":
    main()
