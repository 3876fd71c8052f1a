"""One client's connection: a request at a time, each stage of it within a time of its own.

A request is read whole, handed to the handler of the port, and answered; only then the next one is
looked at, in another turn of the loop, so that pipelined requests hold nobody up. Answers come
whole or in pieces, and wait for clients that read slowly. What is refused unread is answered, and
the rest of it dropped for a moment, so that the client gets to see why.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterator
from typing import Protocol, cast

from extender.errors import WireError
from extender.server.http import bodies, requests, responses, tls
from extender.server.http.responses import Reply
from extender.settings import Limits, Tls

_LINGER_SECONDS = 2.0


class Stage(enum.Enum):
    """Where a connection stands; each has its time (`Connection.patience`)."""

    OPENING = "opening"  # TLS
    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    ANSWERING = "answering"
    SENDING = "sending"  # the client reads its answer slowly
    LEAVING = "leaving"  # refused; what it still sends is dropped
    CLOSED = "closed"


class Handler(Protocol):
    """Who answers on a port."""

    def limit(self, head: requests.Head, *, permitted: bool) -> int:
        """How large the body may be; raises WireError for a request that is refused unread."""

    def answer(self, head: requests.Head, body: bytes, reply: Callable[[Reply], None]) -> None:
        """Answer a whole request by calling `reply` once, now or later."""

    def refused(self, head: requests.Head | None, refused: WireError) -> None:
        """Note a request that was refused, or that ended early; its head where that was read."""


class Owner(Protocol):
    """The port that a connection belongs to."""

    handler: Handler
    limits: Limits
    tls: Tls | None
    bodies: bodies.Bodies
    closing: bool

    def served(self, connection: Connection) -> bool:
        """Note an answer; whether the client may stay."""

    def forget(self, connection: Connection) -> None: ...
    def rest(self) -> float:
        """How long to rest before more is done for a connection that was just served, in s."""


class Connection(asyncio.Protocol):
    """A client; `served` counts the answers it got to requests that were not refused."""

    def __init__(self, owner: Owner, host: str) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = requests.Reader()
        self._asked: requests.Head | None = None
        self._pieces: Iterator[bytes] | None = None
        self._full = False  # the client reads slowly
        self._paused = False
        self._ends = False  # closes after this answer
        self._timer: asyncio.TimerHandle | None = None
        self.host = host
        self.permitted = True
        self.served = 0
        self.stage = Stage.OPENING
        self.since = self._loop.time()  # when the stage began

    # ------------------------------------------------------------ what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take in the client."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not registered as such
        certificate = transport.get_extra_info("peercert")
        self.permitted = tls.permitted(certificate, self._owner.tls)
        self._enter(Stage.IDLE)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let go of everything."""
        del exc  # how it ended is the client's affair
        if self.stage is Stage.BODY:
            self._owner.handler.refused(self._asked, WireError(400, "the body ended early"))
        self._let_go()
        self._pieces = None
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._enter(Stage.CLOSED)
        self._owner.forget(self)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self.stage is Stage.LEAVING:
            return
        self._reader.feed(data)
        if self.stage in {Stage.IDLE, Stage.HEAD, Stage.BODY} and self._timer is None:
            self._read_on()
        else:
            self._pause()  # the next request waits until this one is answered

    def eof_received(self) -> bool:
        """Finish the answer that is under way, if any."""
        self._ends = True
        return self.stage in {Stage.ANSWERING, Stage.SENDING} and self._owner.tls is None

    def pause_writing(self) -> None:
        """The client reads more slowly than it asks."""
        self._full = True

    def resume_writing(self) -> None:
        """There is room for more of the answer."""
        self._full = False
        if self.stage is Stage.SENDING and self._timer is None:
            self._send_on()

    # ------------------------------------------------------------ what the port decides

    @property
    def busy(self) -> bool:
        """Whether a request is being read, answered, or its answer sent."""
        return self.stage in {Stage.HEAD, Stage.BODY, Stage.ANSWERING, Stage.SENDING}

    @property
    def patience(self) -> float:
        """How long this stage may take, in seconds."""
        limits = self._owner.limits
        return {
            Stage.OPENING: limits.head_seconds,
            Stage.IDLE: limits.idle_seconds,
            Stage.HEAD: limits.head_seconds,
            Stage.BODY: limits.body_seconds,
            Stage.SENDING: limits.body_seconds,
            Stage.LEAVING: _LINGER_SECONDS,
        }.get(self.stage, float("inf"))

    def overdue(self) -> None:
        """The stage has taken too long."""
        if self.stage is Stage.BODY:
            self.give_up(WireError(408, "the body took too long"))
        else:
            self.cut()

    def give_up(self, refused: WireError) -> None:
        """Answer that the request is refused, and leave."""
        self._owner.handler.refused(self._asked, refused)
        self._ends = True
        self._write(responses.refusal(refused))
        self._leave()

    def leave_when_idle(self) -> None:
        """Close now if nothing is asked, else after the answer."""
        self._ends = True
        if not self.busy:
            self.cut()

    def cut(self) -> None:
        """Close at once."""
        self._enter(Stage.CLOSED)
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------ reading

    def _enter(self, stage: Stage) -> None:
        self.stage = stage
        self.since = self._loop.time()

    def _read_on(self) -> None:
        """Read the request as far as it is here."""
        self._timer = None
        if self._transport is None or self.stage is Stage.CLOSED:
            return
        try:
            body = self._body()
        except WireError as refused:
            self._refuse(refused)
            return
        if body is not None:
            self._enter(Stage.ANSWERING)
            self._owner.handler.answer(self._head, body, self._reply)
        elif self._reader.behind:
            self._pause()
            self._timer = self._loop.call_later(0.0, self._read_on)
        else:
            self._resume()

    def _body(self) -> bytes | None:
        if self.stage is not Stage.BODY:
            head = self._reader.head()
            if head is None:
                if self.stage is Stage.IDLE and self._reader.waiting:
                    self._enter(Stage.HEAD)
                return None
            self._asked = head
            limit = self._owner.handler.limit(head, permitted=self.permitted)
            self._reader.begin(head, limit)
        body = self._reader.body()
        if body is None:
            if self.stage is not Stage.BODY:
                self._enter(Stage.BODY)
                if self._head.expects and not self._reader.held and self._transport:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            held = self._reader.held
        else:
            held = len(body)
        if body is None or held > self._owner.limits.small_body_bytes:
            self._owner.bodies.count(self, held, now=self._loop.time())
        return body

    @property
    def _head(self) -> requests.Head:
        if self._asked is None:
            raise RuntimeError("no request was read")
        return self._asked

    def _refuse(self, refused: WireError) -> None:
        """Answer a request that was not read to its end; stay only where nothing of it is left."""
        head = self._asked
        unread = self.stage in {Stage.IDLE, Stage.HEAD}
        if head is None or not unread or not self._reader.skip(head):
            self.give_up(refused)
            return
        self._owner.handler.refused(head, refused)
        self._enter(Stage.ANSWERING)
        self._finish(responses.refusal(refused))

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    # ------------------------------------------------------------ answering

    def _reply(self, reply: Reply) -> None:
        if self.stage is not Stage.ANSWERING:
            return  # the client has gone
        if reply.status == 200:
            self.served += 1
            if not self._owner.served(self):
                self._ends = True
        self._finish(reply)

    def _finish(self, reply: Reply) -> None:
        self._write(reply)
        if self.stage is Stage.ANSWERING:
            self._enter(Stage.SENDING)
            self._send_on()

    def _write(self, reply: Reply) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        head = self._asked
        closes = self._ends or self._owner.closing or head is None or not head.keep_alive
        self._ends = closes
        start = responses.head(reply, minor=head.minor if head else 1, closes=closes)
        if head is not None and head.method == "HEAD":
            self._transport.write(start)
        elif isinstance(reply.body, bytes):
            self._transport.write(start + reply.body)
        else:
            self._transport.write(start)
            self._pieces = iter(reply.body.parts)

    def _send_on(self) -> None:
        """Write what the client takes; then turn to its next request."""
        self._timer = None
        if self._transport is None or self.stage is not Stage.SENDING:
            return
        while self._pieces is not None and not self._full:
            piece = next(self._pieces, None)
            if piece is None:
                self._pieces = None
                break
            self._transport.write(piece)
            self.since = self._loop.time()
            if rest := self._owner.rest():
                self._timer = self._loop.call_later(rest, self._send_on)
                return
        if self._full:
            return
        self._let_go()
        if self._ends:
            self._transport.close()
            return
        self._asked = None
        self._enter(Stage.IDLE)
        rest = self._owner.rest()
        if rest or self._reader.waiting:
            self._timer = self._loop.call_later(rest, self._read_on)
        else:
            self._resume()

    def _leave(self) -> None:
        """Drop what the client still sends, until it has seen the answer or its time is over."""
        self._let_go()
        self._reader.drop()
        if self._transport is None or self._transport.is_closing():
            return
        self._enter(Stage.LEAVING)
        self._resume()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _let_go(self) -> None:
        self._owner.bodies.release(self)
