"""How soon, and how large, a client is that has read a whole cluster.

A fake API server in a process of its own serves 5,000 Nodes (18 KB each) and 5,000 ResourceSlices
(27 KB each, 48 devices) by WatchList. A second process reads them with the informers, into the
store, and says when all kinds were synchronised, how much memory it took, and the longest
turn of its event loop, in CPU time. With --service it is `railyard serve` that is started, and
asked when it is ready. Usage:

    python -m loadtests.coldstart [--nodes N] [--runs N] [--pages] [--service]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pathlib
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import msgspec
import uvloop

from extender.cluster import store
from extender.kube import client, endpoint, informers
from tests import apiserver

NODES = "/api/v1/nodes"
SLICES = "/apis/resource.k8s.io/v1/resourceslices"
LONGEST_SECONDS = 120.0
GOALS = {"seconds": 8.0, "peak_mb": 400.0}  # two cores, everything of the service included


# ---------------------------------------------------------------- the cluster


def node(number: int, rng: random.Random) -> dict:
    """A Node of about 18 KB: labels of feature discovery, images, conditions, managed fields."""
    name = f"gpu-node-{number:05}"
    labels = {f"feature.node.kubernetes.io/cpu-cpuid.FEATURE{n}": "true" for n in range(70)}
    labels |= {
        "kubernetes.io/hostname": name,
        "topology.kubernetes.io/zone": f"zone-{number % 3}",
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/gpu.count": "8",
    }
    conditions = [
        {
            "type": kind,
            "status": "True" if kind == "Ready" else "False",
            "reason": f"Kubelet{kind}",
            "message": f"kubelet reports on {kind.lower()} as it does every ten seconds",
            "lastHeartbeatTime": "2026-11-21T10:00:00Z",
            "lastTransitionTime": "2026-11-20T10:00:00Z",
        }
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    ]
    sizes = {
        "cpu": "192",
        "memory": "2113463412Ki",
        "pods": "110",
        "ephemeral-storage": "3748905484Ki",
        "nvidia.com/gpu": "8",
        "hugepages-2Mi": "0",
    }
    images = [
        {
            "names": [f"registry.example/team/image-{n}@sha256:{n:064x}", f"team/image-{n}:v{n}"],
            "sizeBytes": 1_000_000 * n,
        }
        for n in range(40)
    ]
    fields = {f'k:{{"type":"Condition{n}"}}': {".": {}, "f:status": {}} for n in range(30)}
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "uid": f"{rng.getrandbits(128):032x}",
            "resourceVersion": str(number + 1),
            "labels": labels,
            "annotations": {
                "node.alpha.kubernetes.io/ttl": "0",
                "csi.volume.kubernetes.io/nodeid": json.dumps({"csi.example": name}),
                "nfd.node.kubernetes.io/feature-labels": ",".join(labels),
            },
            "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": fields}}],
        },
        "spec": {"podCIDR": f"10.{number >> 8}.{number & 255}.0/24", "providerID": f"x://{name}"},
        "status": {
            "capacity": sizes,
            "allocatable": sizes,
            "conditions": conditions,
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "images": images,
            "nodeInfo": {"kernelVersion": "6.8.0", "machineID": f"{rng.getrandbits(128):032x}"},
        },
    }


def resource_slice(number: int, rng: random.Random) -> dict:
    """A ResourceSlice of about 27 KB: 48 devices as a GPU driver publishes them."""
    name = f"gpu-node-{number:05}"
    return {
        "kind": "ResourceSlice",
        "apiVersion": "resource.k8s.io/v1",
        "metadata": {
            "name": f"{name}-gpu.nvidia.com-x7k2p",
            "uid": f"{rng.getrandbits(128):032x}",
            "resourceVersion": str(number + 1),
            "ownerReferences": [{"kind": "Node", "name": name, "controller": True}],
        },
        "spec": {
            "driver": "gpu.nvidia.com",
            "nodeName": name,
            "pool": {"name": name, "generation": 1, "resourceSliceCount": 1},
            "devices": [device(index, rng) for index in range(48)],
        },
    }


def device(index: int, rng: random.Random) -> dict:
    return {
        "name": f"gpu-{index}",
        "attributes": {
            "addressingMode": {"string": "HMM"},
            "architecture": {"string": "Hopper"},
            "brand": {"string": "Nvidia"},
            "cudaComputeCapability": {"version": "9.0.0"},
            "cudaDriverVersion": {"version": "12.8.0"},
            "driverVersion": {"version": "570.86.15"},
            "index": {"int": index},
            "numaNode": {"int": index // 24},
            "productName": {"string": "NVIDIA H100 80GB HBM3"},
            "resource.kubernetes.io/pciBusID": {"string": f"0000:{index:02x}:00.0"},
            "resource.kubernetes.io/pcieRoot": {"string": f"pci0000:{index // 6:02x}"},
            "type": {"string": "gpu"},
            "uuid": {"string": f"GPU-{rng.getrandbits(128):032x}"},
        },
        "capacity": {"memory": {"value": "81559Mi"}},
    }


# ---------------------------------------------------------------- processes


async def serve(count: int, pages: bool) -> None:
    """Serve the cluster, say the port, and go on until the parent closes our input."""
    server = apiserver.ApiServer()
    server.watch_lists = not pages
    server.pages_cached_lists = pages
    server.version = count + 1
    server.add("/api/v1/pods", "Pod")
    server.add(NODES, "Node")
    server.add(SLICES, "ResourceSlice", "resource.k8s.io/v1")
    for wanted in informers.KINDS[3:6]:  # none of these, as on the day after installation
        server.add(wanted.at("resource.k8s.io/v1").path, wanted.kind, "resource.k8s.io/v1")
    rng = random.Random(1)
    sizes = {NODES: 0, SLICES: 0}
    for number in range(count):
        for path, make in ((NODES, node), (SLICES, resource_slice)):
            body = msgspec.json.encode(make(number, rng))
            sizes[path] += len(body)
            server.preload(path, f"{number}", body)
    await server.start()
    each = {path: size // count for path, size in sizes.items()}
    print(json.dumps({"port": server.port, "bytes_each": each}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop()


async def read(url: str) -> None:
    """Read the cluster and print what it took."""
    pid = os.getpid()
    before = memory_mb(pid, "VmRSS")
    turns: list[float] = []
    ticking = asyncio.create_task(tick(turns))
    kept = store.ClusterStore()
    began = time.monotonic()
    async with client.Client(endpoint.Server(url=url)) as api:
        made = informers.Informers(api, kept)
        running = asyncio.create_task(made.run())
        while made.waiting_for():  # noqa: ASYNC110 - readiness is a state, asked by probes
            await asyncio.sleep(0.005)  # finer than what is measured
        seconds = time.monotonic() - began
        found = {
            "seconds": round(seconds, 2),
            "cpu_seconds": round(time.process_time(), 2),
            "import_mb": before,
            "rss_mb": memory_mb(pid, "VmRSS"),
            "peak_mb": memory_mb(pid, "VmHWM"),
            "turn_ms": round(1000 * max(turns), 1),
            "turn_p999_ms": round(1000 * sorted(turns)[int(len(turns) * 0.999)], 1),
            "nodes": len(kept.nodes),
            "slices": len(kept.slices),
        }
        running.cancel()
        ticking.cancel()
        await asyncio.gather(running, ticking, return_exceptions=True)
    print(json.dumps(found), flush=True)


async def tick(turns: list[float]) -> None:
    while True:
        # In CPU time, as other processes hold a loop up too.
        began = time.thread_time()
        await asyncio.sleep(0.001)
        turns.append(time.thread_time() - began)


def start_service(url: str) -> dict:
    """Start `railyard serve` over the cluster, wait until it is ready, and stop it."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = pathlib.Path(folder, "kubeconfig")
        kubeconfig.write_text(json.dumps(kubeconfig_of(url)))
        began = time.monotonic()
        service = subprocess.Popen(
            [
                *(sys.executable, "-m", "extender", "serve", "--kubeconfig", str(kubeconfig)),
                *("--bind", "127.0.0.1:0", "--admin-bind", f"127.0.0.1:{port}"),
                *("--announce-seconds", "0", "--log-level", "error"),
            ]
        )
        try:
            while not is_ready(port):
                assert service.poll() is None, "the service has ended"
                assert time.monotonic() - began < LONGEST_SECONDS, "the service is not ready"
                time.sleep(0.02)
            seconds = time.monotonic() - began
            time.sleep(1)  # it puts its memory in order once ready
            return {
                "seconds": round(seconds, 2),
                "cpu_seconds": round(cpu_seconds(service.pid), 2),
                "rss_mb": memory_mb(service.pid, "VmRSS"),
                "peak_mb": memory_mb(service.pid, "VmHWM"),
            }
        finally:
            service.terminate()
            service.wait(30)


def kubeconfig_of(url: str) -> dict:
    return {
        "current-context": "fake",
        "contexts": [{"name": "fake", "context": {"cluster": "fake"}}],
        "clusters": [{"name": "fake", "cluster": {"server": url}}],
        "users": [],
    }


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status == 200
    except OSError:  # not listening yet, or 503
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int, field: str) -> float:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def start_client(url: str) -> dict:
    command = [sys.executable, "-m", "loadtests.coldstart", "--as-client", url]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def start_server(count: int, pages: bool) -> tuple[subprocess.Popen[str], dict]:
    command = [sys.executable, "-m", "loadtests.coldstart", "--as-server", "--nodes", str(count)]
    server = subprocess.Popen(
        [*command, *(["--pages"] if pages else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    return server, json.loads(server.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--pages", action="store_true", help="serve no WatchList, only lists")
    parser.add_argument("--service", action="store_true", help="start railyard serve")
    parser.add_argument("--as-server", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--as-client", metavar="URL", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.as_server:
        uvloop.run(serve(given.nodes, given.pages))
        return
    if given.as_client:
        uvloop.run(read(given.as_client))
        return
    server, said = start_server(given.nodes, given.pages)
    print(f"{given.nodes} nodes and slices of {said['bytes_each']} bytes")
    runs = []
    try:
        for _ in range(given.runs):
            url = f"http://127.0.0.1:{said['port']}"
            before = cpu_seconds(server.pid)
            run = start_service(url) if given.service else start_client(url)
            run["server_cpu_seconds"] = round(cpu_seconds(server.pid) - before, 2)
            runs.append(run)
            print(json.dumps(run), flush=True)
    finally:
        server.communicate()  # closing its input ends it
    for field, goal in GOALS.items():
        values = [run[field] for run in runs]
        print(
            f"{field}: {min(values)} to {max(values)}, median {statistics.median(values)}; "
            f"goal of the whole service at 5,000: {goal}"
        )


if __name__ == "__main__":
    main()
