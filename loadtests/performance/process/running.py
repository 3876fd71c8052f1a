"""A generated cluster, `railyard serve` over it, and the two connections of a kube-scheduler."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pathlib
import sys
from collections.abc import AsyncIterator

import msgspec
import orjson

from loadtests.performance import coldstart
from loadtests.traffic import cluster_process, scenarios
from tests.kit import apiserver
from tests.kit.controlplane import process

ROOT = pathlib.Path(__file__).resolve().parents[3]
LOOPBACK = "127.0.0.1"
_READY_SECONDS = 240.0
_ANSWER_SECONDS = 60.0
_IDLE_SECONDS, _IDLE_SHARE = 2.0, 0.1  # no more than that of a core for so long
PODS, CLAIMS = "/api/v1/pods", "/apis/resource.k8s.io/v1/resourceclaims"


class Connection:
    """One kept connection; calls wait for their answer, one after the other."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(
        self, path: str, body: bytes = b"", *, method: str = "POST"
    ) -> tuple[int, bytes]:
        """The status and the body of the answer; (0, b"") where the connection was closed."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._call(path, body, method)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self.close()
            return 0, b""

    async def _call(self, path: str, body: bytes, method: str) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(LOOPBACK, self._port, limit=1 << 20)
        reader, writer = self._streams
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        reported = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(reported.partition(b"content-length: ")[2].split(b"\r\n")[0])
        found = await reader.readexactly(length)
        if b"connection: close" in reported:
            self.close()
        return int(reported.split(b" ", 2)[1]), found

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Running:
    """The cluster, the service's process, and a client for each of its ports."""

    def __init__(
        self, cluster: cluster_process.Cluster, service: process.Process, ports: tuple[int, int]
    ) -> None:
        self.cluster = cluster
        self.server = cluster.server
        self.service = service
        self.verbs_port, self.admin_port = ports
        self.verbs = Connection(self.verbs_port)
        self.admin = Connection(self.admin_port)
        self._scraper = Connection(self.admin_port)

    @property
    def names(self) -> list[str]:
        return sorted(name for _, name in self.server.collections["/api/v1/nodes"].objects)

    def memory_mb(self, field: str = "VmRSS") -> float:
        """MB that the service's process takes now; "VmHWM": at its largest."""
        pid = self.service.pid
        assert pid is not None, f"the service has ended: {self.service.tail()}"
        return coldstart.memory_mb(pid, field)

    async def until_idle(self) -> None:
        """Wait until the service has done what it does ahead after its start."""
        async with asyncio.timeout(_READY_SECONDS):
            while True:
                before = self.service.cpu_seconds()
                await asyncio.sleep(_IDLE_SECONDS)
                if self.service.cpu_seconds() - before < _IDLE_SHARE * _IDLE_SECONDS:
                    return

    def show(self, kind: str, item: msgspec.Struct | dict) -> None:
        """Create or change an object, as kubectl would."""
        body = item if isinstance(item, dict) else msgspec.to_builtins(item)
        meta = dict(body["metadata"])
        name, namespace = meta.pop("name"), meta.pop("namespace", "")
        fields = {key: body[key] for key in body.keys() - {"kind", "apiVersion", "metadata"}}
        path = PODS if kind == "Pod" else CLAIMS
        self.server.put(path, name, namespace=namespace, metadata=meta, **fields)

    def remove(self, kind: str, item: msgspec.Struct | dict) -> None:
        body = item if isinstance(item, dict) else msgspec.to_builtins(item)
        meta = body["metadata"]
        path = PODS if kind == "Pod" else CLAIMS
        self.server.delete(path, meta["name"], namespace=meta.get("namespace", ""))

    def forget_history(self) -> None:
        """What watches have read needs no memory of ours."""
        for path in (PODS, CLAIMS):
            collection = self.server.collections[path]
            del collection.log[:-1000]
            collection.horizon = collection.log[0][0] - 1 if collection.log else 0
        self.server.requests.clear()

    async def metrics(self) -> str:
        _, text = await self._scraper.call("/metrics", method="GET")
        return text.decode()


def question(pod: msgspec.Struct | dict, names: list[str]) -> bytes:
    """ExtenderArgs as kube-scheduler writes them, by names."""
    body = pod if isinstance(pod, dict) else msgspec.to_builtins(pod)
    return orjson.dumps({"Pod": body, "Nodes": None, "NodeNames": names})


@contextlib.asynccontextmanager
async def running(
    nodes: int,
    folder: pathlib.Path,
    *flags: str,
    broken: dict[str, apiserver.Fault] | None = None,
    descriptors: int = 0,
    program: str = "extender",
) -> AsyncIterator[Running]:
    """Start both; ready on entry, stopped on exit.

    `broken`: the fault of every request to a path. `descriptors`: how many the service may have.
    `program`: the module that has its command line.
    """
    cluster = cluster_process.Cluster(scenarios.read("steady"), nodes)
    cluster.server.broken |= broken or {}
    await cluster.server.start()
    ports = process.free_port(), process.free_port()
    url = cluster.server.url
    command = [
        *(sys.executable, "-m", program, "serve", "--log-level", "warning"),
        *("--kubeconfig", str(coldstart.kubeconfig(url, folder)), "--announce-seconds", "0"),
        *("--bind", f"{LOOPBACK}:{ports[0]}", "--admin-bind", f"{LOOPBACK}:{ports[1]}", *flags),
    ]
    if descriptors:
        command = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
    service = process.Process(
        "railyard",
        command,
        folder / "railyard.log",
        folder=ROOT,
        ends_by_itself=False,
    )
    service.start()
    try:
        found = Running(cluster, service, ports)
        await _ready(found)
        yield found
    finally:
        await asyncio.to_thread(service.stop)
        await cluster.server.stop()


async def _ready(found: Running) -> None:
    async with asyncio.timeout(_READY_SECONDS):
        while True:
            status, body = await found.admin.call("/readyz", method="GET")
            if status == 200 and json.loads(body)["ready"]:
                return
            assert found.service.alive, found.service.tail()
            await asyncio.sleep(0.1)
