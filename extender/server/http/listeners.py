"""The two ports, opened together and closed in stages so that no call is lost.

Stopping: readiness goes down and answers say `Connection: close`, while new calls are still
taken, because endpoints take their time to leave; then the extender port stops listening, calls in
flight are finished and quiet connections closed; the admin port answers until the end.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable

from extender.kube.watch import supervisor
from extender.server.access import gate, reviews
from extender.server.admin import Admin, AdminHandler
from extender.server.admin_turns import TurnRunner
from extender.server.handler import VerbHandler
from extender.server.http import descriptors
from extender.server.http.ports import Port
from extender.server.http.tls import Certificates
from extender.server.metrics import Metrics
from extender.server.verbs import Judge, Verbs
from extender.settings import Limits, Settings, Tls

_ADMIN_CONNECTIONS = 64  # probes, a scraper or two, people
# Rested between two answers on admin connections that stay, or two pieces of one: an answer takes
# about 0.3 ms of the loop, so all together have a twentieth of it while calls come, however fast
# they ask. Whoever opens a connection for each question is not held: its place is wanted for the
# next probe.
_REST_SECONDS, _QUIET_REST_SECONDS = 0.006, 0.002
# A connection without a call for this long is taken for idle when the service stops.
_QUIET_SECONDS = 0.5
_POLL_SECONDS = 0.02


class Listeners:
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
        api: reviews.ReviewApi | None = None,
    ) -> None:
        self._settings = settings
        self._background = background or supervisor.Supervisor()
        self.closing = False
        verbs = Verbs(judge, metrics, clock=clock)
        self._calls = VerbHandler(verbs, metrics, settings.limits, clock=clock)
        turn_runner = TurnRunner(quiet=lambda: self._calls.quiet, clock=clock)
        self._metrics = metrics
        metrics.watch("railyard_held_bytes", "answers", lambda: turn_runner.held)
        self._admin = AdminHandler(
            admin,
            metrics,
            turn_runner,
            closing=lambda: self.closing,
            gate=gate.opened(settings.admin, api),
        )
        self._certificates = self._followed(settings.tls)
        self._admin_certificates = self._followed(settings.admin.tls)
        self._ports: list[Port] = []  # admin, then verbs
        self._following: list[asyncio.Task[None]] = []
        self.bound = settings.bind
        self.admin_bound = settings.admin_bind

    async def start(self) -> None:
        """Open the admin port, then the extender port. Raises OSError for an address in use."""
        settings = self._settings
        limits, fewer = self._limits()
        admin = Port(
            self._admin,
            fewer,
            tls=settings.admin.tls,
            context=self._admin_certificates.context if self._admin_certificates else None,
            rest_seconds=lambda: _QUIET_REST_SECONDS if self._calls.quiet else _REST_SECONDS,
            prefers_newcomers=True,
        )
        context = self._certificates.context if self._certificates else None
        calls = Port(self._calls, limits, tls=settings.tls, context=context)
        watch = self._metrics.watch
        watch("railyard_held_bytes", "bodies", lambda: calls.bodies.held)
        watch("railyard_connections", "calls", lambda: calls.open)
        watch("railyard_connections", "questions", lambda: admin.open)
        try:
            self._ports.append(admin)
            self.admin_bound = await admin.listen(settings.admin_bind)
            self._ports.append(calls)
            self.bound = await calls.listen(settings.bind)
        except OSError:
            await self.close()
            raise
        named = {"certificate": self._certificates, "admin certificate": self._admin_certificates}
        for name, certificates in named.items():
            if certificates:
                followed = self._background.keep(name, certificates.follow)
                self._following.append(asyncio.create_task(followed))

    async def drain(self) -> None:
        """Say goodbye, finish what is in flight, and close both ports."""
        self.closing = True
        calls = self._ports[-1]
        calls.closing = True
        await asyncio.sleep(self._settings.drain.announce_seconds)
        calls.stop_listening()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.drain.finish_seconds
        while calls.open and loop.time() < deadline:
            calls.close_quiet(_QUIET_SECONDS)
            await asyncio.sleep(_POLL_SECONDS)
        await self.close()

    async def close(self) -> None:
        """Close both ports at once, cutting off what is in flight."""
        for task in self._following:
            task.cancel()
        await self._admin.close()
        for port in self._ports:
            await port.close()
        self._ports.clear()

    @property
    def calls(self) -> int:
        """How often kube-scheduler has called so far."""
        return self._calls.calls

    @property
    def open_connections(self) -> int:
        """How many connections the extender port holds."""
        return self._ports[-1].open if self._ports else 0

    def _followed(self, tls: Tls | None) -> Certificates | None:
        if tls is None:
            return None
        reloaded = self._metrics.reload
        return Certificates(tls, reloaded=lambda good: reloaded("certificate", good=good))

    def _limits(self) -> tuple[Limits, Limits]:
        """The limits of both ports, as far as there are descriptors for so many connections."""
        wanted = self._settings.limits
        few = min(_ADMIN_CONNECTIONS, wanted.connections)
        calls, admin = descriptors.shared(wanted.connections, few)
        return (
            dataclasses.replace(wanted, connections=calls),
            dataclasses.replace(wanted, connections=admin),
        )
