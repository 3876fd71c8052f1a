"""How soon, and how large, a client is that has read a whole cluster.

A fake API server in a process of its own serves 5,000 Nodes (18 KB each) and 5,000 ResourceSlices
(27 KB each, 48 devices) by WatchList. A second process reads them with the informers, into the
store, and says when all kinds were synchronised, how much memory it took, and the longest
turn of its event loop, in CPU time. With --service it is `railyard serve` that is started, and
asked when it is ready. Each run says whose processor time it was: ours, before we began to read,
and the fake server's. With --partitioned each machine has 8 GPUs with 25 MIG candidates each, and
8 NICs: 216 devices in 10 slices. Usage:

    python -m loadtests.performance.coldstart [--nodes N] [--runs N] [--pages] [--partitioned]
        [--service] [--json]
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
import urllib.error
import urllib.request

import msgspec
import uvloop

from extender.cluster import store
from extender.kube import client
from extender.kube.auth import endpoint
from extender.kube.watch import informers
from loadtests.simulator import argument_checks, large_objects
from tests.kit import apiserver, kubeconfigs

NODES = "/api/v1/nodes"
SLICES = "/apis/resource.k8s.io/v1/resourceslices"
LONGEST_SECONDS = 120.0
GOALS = {"seconds": 8.0, "peak_mb": 400.0}  # two cores, everything of the service included


# ---------------------------------------------------------------- processes


async def serve(count: int, pages: bool, partitioned: bool) -> None:
    """Serve the cluster, say the port, and go on until the parent closes our input."""
    server = apiserver.ApiServer()
    server.watch_lists = not pages
    server.pages_cached_lists = pages
    server.version = 10 * count + 1  # of the newest slice of partitioned machines
    server.add("/api/v1/pods", "Pod")
    server.add(NODES, "Node")
    server.add(SLICES, "ResourceSlice", "resource.k8s.io/v1")
    for wanted in informers.KINDS[3:6]:  # none of these, as on the day after installation
        server.add(wanted.at("resource.k8s.io/v1").path, wanted.kind, "resource.k8s.io/v1")
    rng = random.Random(1)
    sizes = {NODES: 0, SLICES: 0}
    for number in range(count):
        slices = large_objects.partitioned_slices if partitioned else one_slice
        for path, made in (
            (NODES, [large_objects.node(number, rng)]),
            (SLICES, slices(number, rng)),
        ):
            for item in made:
                body = msgspec.json.encode(item)
                sizes[path] += len(body)
                server.preload(path, item["metadata"]["name"], body)
    await server.start()
    each = {path: size // count for path, size in sizes.items()}
    print(json.dumps({"port": server.port, "bytes_each": each}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop()


def one_slice(number: int, rng: random.Random) -> list[dict]:
    return [large_objects.resource_slice(number, rng)]


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


def start_service(url: str, folder: pathlib.Path) -> dict:
    """Start `railyard serve` over the cluster, wait until it is ready, and stop it.

    `start_cpu_seconds` is what it took before it began to read: interpreter, imports, catalogue.
    """
    port = free_port()
    began = time.monotonic()
    service = subprocess.Popen(
        [
            *(sys.executable, "-m", "extender", "serve"),
            *("--kubeconfig", str(kubeconfig(url, folder))),
            *("--bind", "127.0.0.1:0", "--admin-bind", f"127.0.0.1:{port}"),
            *("--announce-seconds", "0", "--log-level", "error"),
        ],
        env=environment(folder),
    )
    start = 0.0
    try:
        while (status := readiness(port)) != 200:
            start = start or (cpu_seconds(service.pid) if status else 0.0)
            assert service.poll() is None, "the service has ended"
            assert time.monotonic() - began < LONGEST_SECONDS, "the service is not ready"
            time.sleep(0.02)
        return {
            "seconds": round(time.monotonic() - began, 2),
            "cpu_seconds": round(cpu_seconds(service.pid), 2),
            "start_cpu_seconds": round(start, 2),
            "rss_mb": memory_mb(service.pid, "VmRSS"),
            "peak_mb": memory_mb(service.pid, "VmHWM"),
        }
    finally:
        service.terminate()
        service.wait(30)


def environment(folder: pathlib.Path) -> dict[str, str]:
    """As installed by pip, which compiles: bytecode is kept, beside the tree."""
    ours = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**ours, "PYTHONPYCACHEPREFIX": str(folder)}


def compile_everything(url: str, folder: pathlib.Path) -> None:
    """Import all that the service does once, for the bytecode."""
    words = "import sys; from extender.cli import entry; from extender.kube.auth import kubeconfig"
    words += "; kubeconfig.read(sys.argv[1], '')"
    command = [sys.executable, "-c", words, str(kubeconfig(url, folder))]
    subprocess.run(command, check=True, env=environment(folder))


def kubeconfig(url: str, folder: pathlib.Path) -> pathlib.Path:
    path = folder / "kubeconfig"
    path.write_text(json.dumps(kubeconfigs.of(url)))
    return path


def readiness(port: int) -> int:
    """The status of /readyz, 0 where nothing listens yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


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
    command = [sys.executable, "-m", "loadtests.performance.coldstart", "--as-client", url]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def start_server(
    count: int, pages: bool, partitioned: bool = False
) -> tuple[subprocess.Popen[str], dict]:
    command = [
        sys.executable,
        "-m",
        "loadtests.performance.coldstart",
        "--as-server",
        "--nodes",
        str(count),
    ]
    server = subprocess.Popen(  # closing its input, as leaving its context does, ends it
        [
            *command,
            *(["--pages"] if pages else []),
            *(["--partitioned"] if partitioned else []),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    return server, json.loads(server.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=argument_checks.count, default=5000)
    parser.add_argument("--runs", type=argument_checks.count, default=3)
    parser.add_argument("--pages", action="store_true", help="serve no WatchList, only lists")
    parser.add_argument("--partitioned", action="store_true", help="216 devices a node, for 48")
    parser.add_argument("--service", action="store_true", help="start railyard serve")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--as-server", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--as-client", metavar="URL", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.as_server:
        uvloop.run(serve(given.nodes, given.pages, given.partitioned))
        return
    if given.as_client:
        uvloop.run(read(given.as_client))
        return
    measure(given)


def measure(given: argparse.Namespace) -> None:
    server, said = start_server(given.nodes, given.pages, given.partitioned)
    url = f"http://127.0.0.1:{said['port']}"
    about = f"{given.nodes} nodes and slices of {said['bytes_each']} bytes"
    print(about, file=sys.stderr, flush=True)
    runs = []
    with tempfile.TemporaryDirectory() as name, server:
        folder = pathlib.Path(name)
        if given.service:
            compile_everything(url, folder)
        for _ in range(given.runs):
            before = cpu_seconds(server.pid)
            run = start_service(url, folder) if given.service else start_client(url)
            run["server_cpu_seconds"] = round(cpu_seconds(server.pid) - before, 2)
            run["load"] = round(os.getloadavg()[0], 1)  # who else wanted the cores
            runs.append(run)
            print(json.dumps(run), file=sys.stderr, flush=True)
    if given.json:
        report = {
            "benchmark": "coldstart",
            "nodes": given.nodes,
            "devices": 216 if given.partitioned else 48,
            "served": "pages" if given.pages else "WatchList",
            "started": "railyard serve" if given.service else "informers",
            "runs": runs,
        }
        print(json.dumps(report))
        return
    for field in runs[0]:
        values = [run[field] for run in runs]
        goal = f"; goal of the whole service at 5,000: {GOALS[field]}" if field in GOALS else ""
        print(f"{field}: {min(values)} to {max(values)}, median {statistics.median(values)}{goal}")


if __name__ == "__main__":
    main()
