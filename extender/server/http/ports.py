"""A listening port: how many clients it holds, and which of them make room for others.

Every socket counts from the moment it is accepted: silent ones and TLS handshakes too. Newcomers
have places of their own. At the cap the newcomer that came first and was never answered gives way,
so any number of silent sockets costs those that are in use nothing. A client that was answered
keeps its connection, idle or not; where too many were, one of the host with the most connections
goes, and there the one that was answered least often: never the one that kube-scheduler calls on.
On a port that prefers newcomers (probes open a connection each time), one that was answered and
asks nothing more goes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import logging
import os
import socket
import ssl
from collections import Counter
from collections.abc import Callable

from aiohttp import web

from extender.server.http import body_memory, connections, interfaces, rate_limited_log, stages
from extender.settings import Address, Limits, Tls

_LOG = logging.getLogger(__name__)
_BACKLOG = 1024
_ACCEPTS_A_TURN = 8  # about 0.1 ms each
_SWEEPS = 4  # in the shortest patience
_LONGEST_SWEEP_SECONDS = 0.5
_LOOKED_AT = 32  # newcomers, when one has to go
_NEWCOMERS = 8  # one place in so many is kept for clients that were not answered yet
_OUT_OF_MEANS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_OUT_SECONDS = 0.05  # until another client is accepted


class Port:
    """One port. `rest_seconds` tells how long to rest between answers, or pieces of them.

    With `prefers_newcomers`, clients that were answered make room for those that were not.
    """

    def __init__(
        self,
        handler: interfaces.Handler,
        limits: Limits,
        *,
        tls: Tls | None = None,
        context: ssl.SSLContext | None = None,
        rest_seconds: Callable[[], float] = lambda: 0.0,
        prefers_newcomers: bool = False,
    ) -> None:
        self.handler = handler
        self.limits = limits
        self.tls = tls
        self.bodies = body_memory.Bodies(limits)
        self.closing = False  # each answer asks the client to reconnect
        self._context = context
        self._rest_seconds = rest_seconds
        self._rested = 0.0  # the loop's time until which somebody rests
        self._prefers_newcomers = prefers_newcomers
        self._loop = asyncio.get_running_loop()
        self._server = web.Server(connections.respond, handler_cancellation=True)
        self._new: dict[connections.Connection, socket.socket] = {}  # not answered yet, in order
        self._known: dict[connections.Connection, socket.socket] = {}  # answered, oldest rest first
        self._hosts: Counter[str] = Counter()  # host → its connections
        self._opening: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self._spare: int | None = None  # a descriptor kept for when there is no other
        self._sweeping: asyncio.TimerHandle | None = None
        self._limited_log = rate_limited_log.RateLimitedLog(_LOG)

    async def listen(self, address: Address) -> Address:
        """Accept clients; the address in use comes back. Raises OSError."""
        found = await self._loop.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, where = found[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setblocking(False)
            listener.bind(where)
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            why = (error.strerror or str(error)).lower()
            raise OSError(error.errno, f"{address}: {why}") from error
        self._listener = listener
        self._spare = os.open(os.devnull, os.O_RDONLY)
        self._loop.add_reader(listener.fileno(), self._accept)
        self._sweep()
        return Address(address.host, listener.getsockname()[1])

    @property
    def open(self) -> int:
        """How many connections there are, those that are opening included."""
        return len(self._new) + len(self._known)

    def stop_listening(self) -> None:
        """Accept nobody any more."""
        if self._listener is not None:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def close_quiet(self, seconds: float) -> None:
        """Close every connection that has asked nothing for so long."""
        before = self._loop.time() - seconds
        for connection in [*self._new, *self._known]:
            if not connection.busy and connection.since <= before:
                self._cut(connection)

    async def close(self) -> None:
        """Close everything at once."""
        self.stop_listening()
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in [*self._new, *self._known]:
            self._cut(connection)
        if self._opening:
            await asyncio.wait(self._opening)
        await asyncio.sleep(0)  # the connections hear that they are closed

    # ------------------------------------------------------------ what connections tell

    def served(self, connection: connections.Connection) -> bool:
        """Note an answer; false where there is no place for one more client that stays."""
        sock = self._new.pop(connection, None)
        if sock is None:
            return True
        self._known[connection] = sock
        if len(self._known) <= self.limits.connections - self._kept_for_newcomers:
            return True
        idle = [each for each in self._known if not each.busy]
        victim = min([*reversed(idle), connection], key=self._worth)
        if victim is connection:
            return False
        victim.leave_when_idle()
        return True

    def forget(self, connection: connections.Connection) -> None:
        """Count a connection no longer."""
        if (self._new.pop(connection, None) or self._known.pop(connection, None)) is not None:
            self._hosts[connection.host] -= 1
            if not self._hosts[connection.host]:
                del self._hosts[connection.host]

    def rest(self) -> float:
        """How long to rest before more is done for a connection that was served, in seconds.

        Connections wait for each other, so that what they ask comes evenly and never all at once.
        """
        seconds = self._rest_seconds()
        if not seconds:
            return 0.0
        now = self._loop.time()
        self._rested = max(self._rested, now) + seconds
        return self._rested - now

    def fault(self, text: object, *arguments: object) -> None:
        """Log the exception that is being handled, once in a while."""
        self._limited_log.fault(str(text), *arguments)

    # ------------------------------------------------------------ accepting

    @property
    def _kept_for_newcomers(self) -> int:
        return max(1, self.limits.connections // _NEWCOMERS)

    def _worth(self, connection: connections.Connection) -> tuple[int, int]:
        """What speaks for keeping a connection: few others of its host, many answers."""
        return -self._hosts[connection.host], connection.served

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_A_TURN):
            if self._listener is None:
                return
            try:
                sock, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _OUT_OF_MEANS:
                    self._out_of_means(error)
                    return
                continue  # the client has gone already
            self._admit(sock, str(peer[0]) if isinstance(peer, tuple) else "")

    def _out_of_means(self, error: OSError) -> None:
        """Refuse the newcomer, by the descriptor kept for this; clients that we have stay."""
        self._limited_log.warn("a client was refused: %s", error.strerror)
        self._free_a_slot()
        if self._spare is not None and self._listener is not None:
            os.close(self._spare)
            self._spare = None
            with contextlib.suppress(OSError):
                self._listener.accept()[0].close()
            with contextlib.suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY)
        if self._listener is not None:
            self._loop.remove_reader(self._listener.fileno())
            self._loop.call_later(_OUT_SECONDS, self._accept_again)

    def _accept_again(self) -> None:
        if self._listener is not None:
            if self._spare is None:
                with contextlib.suppress(OSError):
                    self._spare = os.open(os.devnull, os.O_RDONLY)
            self._loop.add_reader(self._listener.fileno(), self._accept)

    def _admit(self, sock: socket.socket, host: str) -> None:
        if self.open >= self.limits.connections:
            self._free_a_slot()
        with contextlib.suppress(OSError):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = connections.Connection(self, self._server, host)
        self._new[connection] = sock
        self._hosts[host] += 1
        task = self._loop.create_task(self._open(connection, sock))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, connection: connections.Connection, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection,
                sock,
                ssl=self._context,
                ssl_handshake_timeout=self.limits.head_seconds if self._context else None,
            )
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            sock.close()
            self.forget(connection)
            if self._context is not None:
                why = getattr(error, "reason", None) or type(error).__name__
                self._limited_log.info("a client was refused at its TLS handshake: %s", why)

    def _free_a_slot(self) -> None:
        """Close the newcomer that came first; of a few those whose host has most, and not busy."""
        if self._prefers_newcomers:
            done = [each for each in [*self._known, *self._new] if each.done]
            if done:
                self._cut(min(done, key=self._worth))
                return
        first = list(itertools.islice(self._new, _LOOKED_AT))
        if first:
            self._cut(max(first, key=lambda each: (not each.busy, self._hosts[each.host])))

    def _cut(self, connection: connections.Connection) -> None:
        sock = self._new.get(connection) or self._known.get(connection)
        opening = connection.stage is stages.Stage.OPENING
        self.forget(connection)
        connection.cut()
        if opening and sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # ends its handshake

    def _sweep(self) -> None:
        """Close what is overdue."""
        now = self._loop.time()
        for connection in [*self._new, *self._known]:
            if now - connection.since >= connection.patience:
                if connection.stage is stages.Stage.OPENING:
                    self._cut(connection)
                else:
                    connection.overdue()
        limits = self.limits
        shortest = min(limits.head_seconds, limits.body_seconds, limits.idle_seconds)
        pause = min(shortest / _SWEEPS, _LONGEST_SWEEP_SECONDS)
        self._sweeping = self._loop.call_later(max(pause, 0.001), self._sweep)
