"""A hop between kube-scheduler and an extender that keeps what was asked and what was answered."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import aiohttp.web
import orjson

from tests.kit.controlplane import configuration, process
from tests.kit.controlplane.extenders import echo
from tests.kit.controlplane.plane import ControlPlane


@dataclasses.dataclass(frozen=True)
class Call:
    verb: str
    arguments: dict[str, Any]
    status: int
    answer: Any  # decoded; None when the extender could not be reached
    seconds: float  # from the last byte of the request here to the last of the answer
    at: float = dataclasses.field(default_factory=time.monotonic)  # when it was answered

    @property
    def pod(self) -> str:
        return self.arguments["Pod"]["metadata"]["name"]


class Recorder:
    """Forwards bytes unchanged, both ways; `calls` holds the exchanges, oldest first."""

    def __init__(self, target: configuration.Extender):
        self.calls: list[Call] = []
        self._target = target
        self._session: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def serving(self, plane: ControlPlane) -> AsyncIterator[configuration.Extender]:
        """Serve over mutual TLS; yield the target's entry with this hop's address."""
        server, client = plane.extender_pairs()
        port = process.free_port()
        application = aiohttp.web.Application(client_max_size=256 * 1024 * 1024)
        application.router.add_post("/{verb}", self._forward)
        tls = server.server_context(verify_clients=True)
        connector = aiohttp.TCPConnector(ssl=self._target.tls.client_context())
        async with (
            aiohttp.ClientSession(connector=connector) as self._session,
            echo.listening(application, port=port, tls=tls) as url,
        ):
            yield dataclasses.replace(self._target, url=url, tls=client)

    def of(self, verb: str, pod: str | None = None) -> list[Call]:
        """Return the calls of one verb, of one pod if named, oldest first."""
        return [call for call in self.calls if call.verb == verb and pod in {None, call.pod}]

    def best_nodes(self, pod: str) -> set[str]:
        """Return the nodes that the extender put first for a pod in its last attempt.

        Where its filter left one node, kube-scheduler asks for no scores: that node is the best.
        """
        filtered = self.of("filter", pod)[-1]
        passed = set(filtered.answer["NodeNames"])
        prioritized = self.of("prioritize", pod)
        if len(passed) == 1 or not prioritized[-1].answer:
            return passed  # no list is no opinion: all are as good
        scores = {score["Host"]: score["Score"] for score in prioritized[-1].answer}
        return {name for name, score in scores.items() if score == max(scores.values())}

    async def _forward(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        verb = request.match_info["verb"]
        body = await request.read()
        arguments, began = orjson.loads(body), time.monotonic()
        try:
            async with self._session.post(
                f"{self._target.url}/{verb}",
                data=body,
                headers={"Content-Type": "application/json"},
            ) as response:
                answer, status = await response.read(), response.status
        except aiohttp.ClientError as error:
            self.calls.append(Call(verb, arguments, 502, None, time.monotonic() - began))
            return aiohttp.web.Response(status=502, text=str(error))
        decoded = orjson.loads(answer) if status == 200 else answer
        self.calls.append(Call(verb, arguments, status, decoded, time.monotonic() - began))
        return aiohttp.web.Response(body=answer, status=status, content_type="application/json")
