"""What the events of a placement cost: from the watch's line to the settled index.

Pods are bound one after the other on nodes that fill up, as kube-scheduler does it at full speed:
the pod appears, is decided (a soft reservation on its node), and its binding is seen; a pod with a
claim has five more events of its pod and claim. Only that path is timed, in processor time: no
request is answered. Usage:

    python -m loadtests.performance.events [--kind plugin|claims] [--nodes N] [--per-node N]
    [--output F]
"""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from extender.cluster.pods import reservations
from extender.decisions import engine
from extender.hardware import allocator_features
from extender.kube.api import decoding, interning
from extender.policy import config
from extender.service import assembly
from loadtests.simulator import argument_checks, large_objects

GPU, DRIVER = "nvidia.com/gpu", "gpu.nvidia.com"
FAR = 1e9  # deadline of reservations, on a clock that stands still
DEVICES = 16  # of a node with claims


class Bench:
    """An engine that takes lines; `spent` is the processor time of each step."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.spent: collections.Counter[str] = collections.Counter()  # step → seconds
        self.engine = engine_of_the_default_policy()
        share = interning.ObjectInterner()
        self._decoders = {
            name: decoding.Decoder(name, share)
            for name in ("Node", "Pod", "ResourceClaim", "ResourceSlice")
        }

    def event(self, kind: str, line: bytes) -> None:
        decoder = self._decoders[kind]
        change = self._timed("decode", lambda: decoder.change(line))
        self._timed("apply", lambda: self.engine.store.apply(kind, change.type, change.object))

    def settle(self) -> None:
        self._timed("settle", self.engine.index.settle)
        self.engine.settle()  # what is learnt from the pod is not this benchmark's affair

    def decide(self, uid: str, node: str) -> None:
        """What prioritize leaves behind."""
        detail = self.engine.index.detail(node)
        assert detail is not None
        held = tuple(1 for _ in detail.machine.shape.resources)
        found = reservations.Reservation(uid, node, FAR, cpu=8000, memory=1 << 35, held=held)
        index = self.engine.index
        self._timed("decide", lambda: index.mark_changed(index.reservations.assume(found)))

    def _timed(self, step: str, work: Callable[[], Any]) -> Any:
        began = time.process_time()
        found = work()
        self.spent[step] += time.process_time() - began
        return found


def engine_of_the_default_policy() -> engine.Engine:
    return assembly.assemble(
        policy=config.DEFAULT,
        features=allocator_features.AllocatorFeatures(),
        hardware=assembly.read_catalogue(),
        clock=lambda: 0.0,
    )


# ---------------------------------------------------------------- objects


def line(event: str, body: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"type": event, "object": body})


def nodes(kind: str, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield kind and line of all that the cluster has before the first pod."""
    rng = random.Random(1)
    for number in range(count):
        node = large_objects.node(number, rng)
        if kind == "claims":
            for sizes in (node["status"]["capacity"], node["status"]["allocatable"]):
                sizes.pop(GPU, None)
            slice_ = large_objects.resource_slice(number, rng)
            slice_["spec"]["devices"] = slice_["spec"]["devices"][:DEVICES]
            yield "ResourceSlice", line("ADDED", slice_)
        yield "Node", line("ADDED", node)


def pod(number: int, kind: str, node: str = "", *, version: int = 1) -> dict[str, Any]:
    """A pod of about 5 KB, its managed fields included."""
    name = f"trainer-{number:06}"
    sizes = {"cpu": "8", "memory": "32Gi"} | ({GPU: "1"} if kind == "plugin" else {})
    container = {
        "name": "main",
        "image": "registry.example/team/trainer:v1",
        "env": [{"name": f"VARIABLE_{n}", "value": f"value-{n}"} for n in range(20)],
        "resources": {"requests": sizes, "limits": sizes},
        "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets", "readOnly": True}],
    }
    fields = {f'k:{{"name":"VARIABLE_{n}"}}': {".": {}, "f:value": {}} for n in range(20)}
    spec: dict[str, Any] = {
        "containers": [container, {"name": "sidecar", "resources": {"requests": {"cpu": "100m"}}}],
        "schedulerName": "default-scheduler",
        "priority": 0,
    }
    status: dict[str, Any] = {"phase": "Pending"}
    if node:
        spec["nodeName"] = node
        status["conditions"] = [{"type": "PodScheduled", "status": "True"}]
    if kind == "claims":
        spec["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": "gpu"}]
        status["resourceClaimStatuses"] = [{"name": "gpu", "resourceClaimName": f"{name}-gpu"}]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{number}",
            "resourceVersion": f"{number}{version}",
            "creationTimestamp": "2026-11-26T10:00:00Z",
            "labels": {"app": "trainer", "job": f"job-{number // 8}"},
            "managedFields": [{"manager": "kube-controller", "fieldsV1": fields}],
        },
        "spec": spec,
        "status": status,
    }


def claim(number: int, node: str = "", *, device: int = 0, reserved: bool = False) -> dict:
    name = f"trainer-{number:06}"
    request = {"name": "gpu", "exactly": {"deviceClassName": "gpu.nvidia.com", "count": 1}}
    status: dict[str, Any] = {}
    if node:
        result = {"request": "gpu", "driver": DRIVER, "pool": node, "device": f"gpu-{device}"}
        field = {"key": "metadata.name", "operator": "In", "values": [node]}
        terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
        status["allocation"] = {"devices": {"results": [result]}, "nodeSelector": terms}
    if reserved:
        status["reservedFor"] = [{"resource": "pods", "name": name, "uid": f"uid-{number}"}]
    return {
        "kind": "ResourceClaim",
        "apiVersion": "resource.k8s.io/v1",
        "metadata": {"name": f"{name}-gpu", "namespace": "default", "uid": f"claim-{number}"},
        "spec": {"devices": {"requests": [request]}},
        "status": status,
    }


# ---------------------------------------------------------------- a placement


def place(bench: Bench, number: int, node: str, device: int) -> None:
    """Bind one pod, each event followed by the request that settles it."""
    bench.event("Pod", line("ADDED", pod(number, bench.kind)))
    if bench.kind == "claims":
        bench.event("ResourceClaim", line("ADDED", claim(number)))
        bench.event("Pod", line("MODIFIED", pod(number, bench.kind, version=2)))
    bench.settle()
    bench.decide(f"uid-{number}", node)
    bench.settle()
    if bench.kind == "claims":
        for reserved in (False, True):
            body = claim(number, node, device=device, reserved=reserved)
            bench.event("ResourceClaim", line("MODIFIED", body))
            bench.settle()
    bench.event("Pod", line("MODIFIED", pod(number, bench.kind, node, version=3)))
    bench.settle()


def run(kind: str, count: int, per_node: int) -> dict[str, Any]:
    bench = Bench(kind)
    for each, text in nodes(kind, count):
        bench.event(each, text)
    bench.settle()
    bench.spent.clear()
    names = sorted(bench.engine.index.rows)
    rng = random.Random(2)
    number = 0
    for device in range(per_node):
        for name in rng.sample(names, len(names)):
            place(bench, number, name, device)
            number += 1
    problems = bench.engine.index.verify()
    assert not problems, problems[:3]
    each = {step: round(1e6 * seconds / number, 1) for step, seconds in bench.spent.items()}
    return {
        "benchmark": "events",
        "kind": kind,
        "nodes": count,
        "pods": number,
        "per_node": per_node,
        "microseconds_per_pod": each,
        "all": round(sum(each.values()), 1),
        "states": len(bench.engine.index.states),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=("plugin", "claims"), default="plugin")
    parser.add_argument("--nodes", type=argument_checks.count, default=1000)
    parser.add_argument(
        "--per-node", type=argument_checks.count, default=8, help="pods of each node"
    )
    parser.add_argument("--output", type=pathlib.Path, help="also write the JSON here")
    given = parser.parse_args()
    report = json.dumps(run(given.kind, given.nodes, given.per_node))
    print(report)
    if given.output:
        given.output.write_text(report + "\n")


if __name__ == "__main__":
    main()
