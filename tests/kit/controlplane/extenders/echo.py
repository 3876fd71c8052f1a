"""An extender that only echoes: the least that one costs, and a record of what is asked.

python -m tests.kit.controlplane.extenders.echo --port 8443 [--authority F --certificate F --key F]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import pathlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp.web
import orjson
import uvloop

from tests.kit.controlplane import certificates

# kube-scheduler keeps an idle connection for 90 s; closing earlier loses the call that crosses it.
KEEP_ALIVE_SECONDS = 120


@dataclasses.dataclass
class Echo:
    """Lets every node through with the same score. Bodies are kept only if `recording`."""

    recording: bool = True
    calls: list[tuple[str, dict[str, Any]]] = dataclasses.field(default_factory=list)
    clients: set[str] = dataclasses.field(default_factory=set)  # common names seen

    def application(self) -> aiohttp.web.Application:
        application = aiohttp.web.Application(client_max_size=128 * 1024 * 1024)
        application.router.add_get("/readyz", _ready)
        application.router.add_post("/filter", self._filter)
        application.router.add_post("/prioritize", self._prioritize)
        return application

    def asked(self, verb: str) -> list[dict[str, Any]]:
        """Return the bodies of the calls of one verb, oldest first."""
        return [body for called, body in self.calls if called == verb]

    async def _filter(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        arguments = await self._read("filter", request)
        asked = {"NodeNames": arguments["NodeNames"], "Nodes": arguments.get("Nodes")}
        return _json({**asked, "FailedNodes": {}, "Error": ""})

    async def _prioritize(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        arguments = await self._read("prioritize", request)
        names = arguments["NodeNames"]
        if names is None:
            names = [node["metadata"]["name"] for node in arguments["Nodes"]["items"]]
        return _json([{"Host": name, "Score": 0} for name in names])

    async def _read(self, verb: str, request: aiohttp.web.Request) -> dict[str, Any]:
        arguments = orjson.loads(await request.read())
        if self.recording:
            self.calls.append((verb, arguments))
            certificate = request.transport.get_extra_info("peercert") or {}
            for ((key, value),) in certificate.get("subject", ()):
                if key == "commonName":
                    self.clients.add(value)
        return arguments


async def _ready(_request: aiohttp.web.Request) -> aiohttp.web.Response:
    return aiohttp.web.Response(text="ok")


def _json(answer: Any) -> aiohttp.web.Response:
    return aiohttp.web.Response(body=orjson.dumps(answer), content_type="application/json")


@contextlib.asynccontextmanager
async def listening(
    application: aiohttp.web.Application, *, port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve on a loopback port; yield the URL prefix for kube-scheduler."""
    runner = aiohttp.web.AppRunner(
        application, access_log=None, keepalive_timeout=KEEP_ALIVE_SECONDS
    )
    await runner.setup()
    try:
        await aiohttp.web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def _serve_for_ever(port: int, tls: ssl.SSLContext | None) -> None:
    async with listening(Echo(recording=False).application(), port=port, tls=tls):
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve an extender that only echoes.")
    parser.add_argument("--port", type=int, required=True)
    for name in ("--authority", "--certificate", "--key"):
        parser.add_argument(name, type=pathlib.Path)
    options = parser.parse_args()
    tls = None
    if options.certificate:
        pair = certificates.KeyPair(options.authority, options.certificate, options.key)
        tls = pair.server_context(verify_clients=True)
    uvloop.run(_serve_for_ever(options.port, tls))  # the faster loop, as Railyard's


if __name__ == "__main__":
    main()
