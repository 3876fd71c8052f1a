"""Connections under limits: slow and silent clients cost a little, and never keep others out.

aiohttp bounds idle time and header sizes. Added here: the head of a request must arrive within a
time of its first byte, and the number of connections is capped. At the cap the one that has been
without an answer longest gives way, so that no number of sockets locks kube-scheduler out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from extender.server import tls
from extender.settings import Limits, Tls

# Bytes buffered before the socket is left to wait; more saves turns of the loop on large bodies.
_READ_AHEAD = 1024 * 1024
# A refused body is read and dropped this long, so that the client gets to see why.
_LINGER_SECONDS = 2.0
_END_OF_HEAD = b"\r\n\r\n"

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(web.RequestHandler):
    """One client's connection; `busy` from the head of a request until its answer is ready."""

    def __init__(self, server: Server, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own options
        super().__init__(server, **options)
        self._server = server
        self._head_timer: asyncio.TimerHandle | None = None
        self.busy = False
        self.permitted = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client, if there is room for it."""
        super().connection_made(transport)
        self.permitted = tls.permitted(transport.get_extra_info("peercert"), self._server.tls)
        self._server.admit(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the client."""
        self._stop_timer()
        self._server.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Start the clock with the first byte of a head, unless all of it is here."""
        if not self.busy and self._head_timer is None and _END_OF_HEAD not in data:
            loop = asyncio.get_running_loop()
            self._head_timer = loop.call_later(self._server.limits.head_seconds, self.force_close)
        super().data_received(data)

    def begin(self) -> None:
        """A whole head was read."""
        self.busy = True
        self._stop_timer()

    def end(self) -> None:
        """The answer is ready to be written."""
        self.busy = False
        self._server.rested(self)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Server(web.Server):
    """Makes connections for one port and keeps them in the order of their last request."""

    def __init__(self, handler: Handler, limits: Limits, tls: Tls | None = None) -> None:
        super().__init__(
            handler,
            request_factory=self._request,
            keepalive_timeout=limits.idle_seconds,
            auto_decompress=False,  # a megabyte of gzip can be a gigabyte
            access_log=None,
            read_bufsize=_READ_AHEAD,
            lingering_time=_LINGER_SECONDS,
        )
        self.limits = limits
        self.tls = tls
        self._by_rest: dict[Connection, float] = {}  # → loop time of its last answer, oldest first

    def __call__(self) -> web.RequestHandler:
        """Make the protocol of a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def admit(self, connection: Connection) -> None:
        """Count a new connection; at the cap, close another one for it."""
        self._by_rest[connection] = self._loop.time()
        if len(self._by_rest) > self.limits.connections:
            others = [each for each in self._by_rest if each is not connection]
            victim = next((each for each in others if not each.busy), others[0])
            self.forget(victim)
            victim.force_close()

    def rested(self, connection: Connection) -> None:
        """Put a connection that got its answer at the end of the order."""
        if self._by_rest.pop(connection, None) is not None:
            self._by_rest[connection] = self._loop.time()

    def forget(self, connection: Connection) -> None:
        """Count a connection no longer."""
        self._by_rest.pop(connection, None)

    def close_quiet(self, seconds: float) -> None:
        """Close every connection that has asked nothing for so long."""
        before = self._loop.time() - seconds
        for connection, rested in list(self._by_rest.items()):
            if not connection.busy and rested <= before:
                connection.force_close()

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._by_rest)

    def _request(
        self,
        message: Any,  # noqa: ANN401 - aiohttp's own parts, handed on
        payload: Any,  # noqa: ANN401 - the same
        protocol: Any,  # noqa: ANN401 - the same
        writer: Any,  # noqa: ANN401 - the same
        task: Any,  # noqa: ANN401 - the same
    ) -> web.BaseRequest:
        limit = self.limits.body_bytes
        return web.BaseRequest(
            message, payload, protocol, writer, task, self._loop, client_max_size=limit
        )
