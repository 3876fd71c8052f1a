"""The two ports, opened together and closed in stages so that no call is lost.

Stopping: readiness goes down and answers say `Connection: close`, while new calls are still
taken, because endpoints take their time to leave; then the extender port stops listening, calls in
flight are finished and quiet connections closed; the admin port answers until the end.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import time
from collections.abc import Callable

from extender.kube import supervisor
from extender.server.admin import MANIFEST_BYTES, Admin, AdminHandler
from extender.server.calls import Calls
from extender.server.connections import Server
from extender.server.metrics import Metrics
from extender.server.tls import Certificates
from extender.server.verbs import Judge, Verbs
from extender.settings import Address, Settings

_BACKLOG = 128
# A connection without a call for this long is taken for idle when the service stops.
_QUIET_SECONDS = 0.5
_POLL_SECONDS = 0.02
_CUT_SECONDS = 0.1  # aiohttp takes 0 for no limit


class Sites:
    """The service on its two ports.

    `bound` and `admin_bound` are the addresses in use once started (port 0 takes a free one).
    """

    def __init__(
        self,
        judge: Judge,
        admin: Admin,
        metrics: Metrics,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.perf_counter,
        background: supervisor.Supervisor | None = None,
    ) -> None:
        self._settings = settings
        self._background = background or supervisor.Supervisor()
        self.closing = False
        verbs = Verbs(judge, metrics, clock=clock)
        limits = settings.limits
        self._calls = Calls(verbs, metrics, limits, clock=clock, closing=lambda: self.closing)
        self._admin = AdminHandler(admin, metrics, closing=lambda: self.closing)
        self._certificates = (
            Certificates(
                settings.tls, reloaded=lambda good: metrics.reload("certificate", good=good)
            )
            if settings.tls
            else None
        )
        self._servers: list[tuple[Server, asyncio.Server]] = []
        self._following: asyncio.Task[None] | None = None
        self.bound = settings.bind
        self.admin_bound = settings.admin_bind

    async def start(self) -> None:
        """Open the admin port, then the extender port. Raises OSError for an address in use."""
        settings = self._settings
        context = self._certificates.context if self._certificates else None
        try:
            small = dataclasses.replace(settings.limits, body_bytes=MANIFEST_BYTES)
            admin = Server(self._admin.handle, small)
            self.admin_bound = await self._listen(admin, settings.admin_bind, None)
            calls = Server(self._calls.handle, settings.limits, settings.tls)
            self.bound = await self._listen(calls, settings.bind, context)
        except OSError:
            await self.close()
            raise
        if self._certificates:
            followed = self._background.keep("certificate", self._certificates.follow)
            self._following = asyncio.create_task(followed)

    async def drain(self) -> None:
        """Say goodbye, finish what is in flight, and close both ports."""
        self.closing = True
        await asyncio.sleep(self._settings.drain.announce_seconds)
        calls, listener = self._servers[-1]
        listener.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.drain.finish_seconds
        while calls.open and loop.time() < deadline:
            calls.close_quiet(_QUIET_SECONDS)
            await asyncio.sleep(_POLL_SECONDS)
        await self.close()

    async def close(self) -> None:
        """Close both ports at once, cutting off what is in flight."""
        if self._following:
            self._following.cancel()
        for server, listener in self._servers:
            listener.close()
            await server.shutdown(_CUT_SECONDS)
        self._servers.clear()

    @property
    def open_connections(self) -> int:
        """How many connections the extender port holds."""
        return self._servers[-1][0].open if self._servers else 0

    async def _listen(
        self, server: Server, address: Address, context: ssl.SSLContext | None
    ) -> Address:
        handshake = self._settings.limits.head_seconds if context else None
        try:
            listener = await asyncio.get_running_loop().create_server(
                server,
                address.host,
                address.port,
                ssl=context,
                backlog=_BACKLOG,
                ssl_handshake_timeout=handshake,
            )
        except OSError as error:
            why = (error.strerror or str(error)).rpartition("): ")[2]  # asyncio names it too
            raise OSError(error.errno, f"{address}: {why}") from error
        self._servers.append((server, listener))
        return Address(address.host, listener.sockets[0].getsockname()[1])
