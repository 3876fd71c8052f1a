"""One client's connection: aiohttp reads and answers; each stage has its time, each body its place.

aiohttp parses (llhttp, strictly) and writes. Added here: stages that a port can time, bodies that
are counted as they arrive, an end of heads and of small chunks, requests that wait until the one
before is answered, and refusals in our own words.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

from extender.errors import WireError
from extender.server.http import interfaces, plain_calls, request_limits, responses, stages, tls
from extender.server.http.responses import Reply
from extender.server.http.stages import Stage

_MOST_FIELDS = 100
# aiohttp stops parsing at a sixteenth of it in chunks: 1024, so that none holds the others up.
_BUFFER_BYTES = 16 * 1024
_NEVER_SECONDS = 366 * 86400.0
_NO_HTTP = b"\0\r\n\r\n"


async def respond(request: web.BaseRequest) -> web.StreamResponse:
    """Answer a request: what an aiohttp server of our connections calls."""
    connection = request.protocol
    if not isinstance(connection, Connection):
        raise TypeError("requests are answered on connections of this package")
    return await connection.respond(request)


class Connection(web.RequestHandler):
    """A client; `served` counts the answers it got to requests that were not refused."""

    def __init__(self, owner: interfaces.Owner, server: web.Server, host: str) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=_NEVER_SECONDS,  # the port looks after idle ones
            access_log=None,  # type: ignore[arg-type]  # None is none, says its documentation
            max_headers=_MOST_FIELDS,
            auto_decompress=False,  # a megabyte of gzip can be a gigabyte
            read_bufsize=_BUFFER_BYTES,
            lingering_time=stages.LINGER_SECONDS,
        )
        self._owner = owner
        self._request: web.BaseRequest | None = None
        self._reading: asyncio.Timeout | None = None
        self._refusal: WireError | None = None  # why reading ends
        self._later = b""  # came while the request before it was answered
        self._raw = 0  # bytes of the request as they came, framing included
        self._most_raw = sys.maxsize
        self._whole = 0  # bytes of the request, where its head is a usual one
        self._clean = True  # aiohttp's parser has nothing of the next request
        self._ends = False  # closes after this answer
        self._answered = False
        self.host = host
        self.permitted = True
        self.served = 0
        self.stage = Stage.OPENING
        self.since = self._loop.time()  # when the stage began

    # ------------------------------------------------------------ what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take in the client."""
        self.permitted = tls.permitted(transport.get_extra_info("peercert"), self._owner.tls)
        self._enter(Stage.IDLE)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let go of everything."""
        if self.stage is Stage.BODY:
            self._owner.handler.refused(self._request, WireError(400, "the body ended early"))
        self._owner.bodies.release(self)
        self._enter(Stage.CLOSED)
        self._owner.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what comes while a request is answered waits for that."""
        if self.stage in stages.OCCUPIED and data:
            self._later += data
            self._pause_transport_reading()
            return
        if self.stage is Stage.IDLE and data:
            if self._answered_at_once(data):
                return
            self._enter(Stage.HEAD)
        self._raw += len(data)
        super().data_received(data)
        if self.stage is Stage.HEAD:
            if self._messages:
                self._enter(Stage.BODY)
            elif self._raw > request_limits.HEAD_BYTES:
                self._refusal = request_limits.long_head()
                super().data_received(_NO_HTTP)  # and it is answered as any that is none
        elif broken := self._broken:
            self.give_up(broken)
        elif self._reading is not None and self._raw > self._most_raw:
            self.give_up(WireError(413, "the framing of the body is larger than a body may be"))

    def _answered_at_once(self, data: bytes) -> bool:
        """Answer a usual call of a client that is known and may stay."""
        head = plain_calls.head(data) if self._clean else None
        self._whole = head.whole if head else 0
        most = min(self._owner.limits.small_body_bytes, self._owner.limits.body_bytes)
        if (
            head is None
            or not head.whole == len(data) <= most
            or not (self.served and self.permitted and self.transport)
            or (self._ends or self._owner.closing)
        ):
            return False
        reply = self._owner.handler.answer_at_once(head.path, data[head.size :])
        if reply is None:
            return False
        self.served += 1
        self.transport.write(plain_calls.written(reply))
        self._enter(Stage.SENDING if self.writing_paused else Stage.IDLE)
        return True

    def resume_writing(self) -> None:
        """The client has taken its answer."""
        super().resume_writing()
        if self.stage is Stage.SENDING and self._request is None:
            self._enter(Stage.IDLE)
            self._raw = self._whole
            self._read_on()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio reads what comes back
        """Finish the answer that is under way, if any; a client that rests has gone."""
        self._ends = True
        answering = self.stage in {Stage.ANSWERING, Stage.SENDING}
        return self._owner.tls is None and (answering or self._asked_more)

    # ------------------------------------------------------------ what the port decides

    @property
    def busy(self) -> bool:
        """Whether a request is being read, answered, or its answer sent, or one waits for that."""
        return self.stage in stages.BUSY or self._asked_more

    @property
    def done(self) -> bool:
        """Whether it has had its answer, whole, and asks nothing at present."""
        sent = self.transport is None or not self.transport.get_write_buffer_size()
        return self._answered and not self.busy and sent

    @property
    def _asked_more(self) -> bool:
        return bool(self._messages or self._later)

    @property
    def patience(self) -> float:
        """How long this stage may take, in seconds."""
        return stages.patience(self.stage, self._owner.limits)

    def overdue(self) -> None:
        """The stage has taken too long."""
        if self.stage is Stage.BODY:
            self.give_up(WireError(408, "the body took too long"))
        else:
            self.cut()

    def give_up(self, refused: WireError) -> None:
        """Answer that the body is read no further, and leave."""
        if self._reading is not None:
            self._refusal = refused
            self._reading.reschedule(self._loop.time())
        else:
            self.cut()

    def leave_when_idle(self) -> None:
        """Close now if nothing is asked, else after the answer."""
        self._ends = True
        if not self.busy:
            self.cut()

    def cut(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    # ------------------------------------------------------------ reading

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """Read the body, and answer."""
        self._request = request
        try:
            body = await self._body(request)
        except WireError as refused:
            if self.stage is Stage.CLOSED:  # and it was noted
                raise ConnectionResetError from refused
            self._owner.handler.refused(request, refused)
            self._ends |= not request.content.is_eof()
            if self._broken:
                request.content.feed_eof()
            return await self._response(request, responses.refusal(refused))
        self._enter(Stage.ANSWERING)
        reply = await self._owner.handler.answer(request, body)
        if reply.status == 200:
            self.served += 1
            self._ends |= not self._owner.served(self)
        return await self._response(request, reply)

    async def _body(self, request: web.BaseRequest) -> bytes:
        """The whole body; WireError for one that is refused or ends early."""
        limit = self._owner.handler.limit(request, permitted=self.permitted)
        request_limits.check(request, limit)
        if request.content.is_eof():
            body = request.content.read_nowait()
            request_limits.check_length(len(body), limit)
            if len(body) > self._owner.limits.small_body_bytes:
                self._count(len(body))
            return body
        if request.headers.get("Expect") and not request.content.total_bytes and self.transport:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._enter(Stage.BODY)
        in_chunks = request.content_length is None
        self._most_raw = limit + request_limits.HEAD_BYTES if in_chunks else sys.maxsize
        if broken := self._broken:
            raise broken
        if self._raw > self._most_raw:
            raise request_limits.too_large(limit)
        try:
            async with asyncio.timeout(None) as self._reading:
                return await request_limits.whole(request, limit, count=self._count)
        except TimeoutError:
            raise self._refusal or WireError(408, "the body took too long") from None
        except (ConnectionError, web.RequestPayloadError):
            raise WireError(400, "the body ended early") from None
        finally:
            self._reading = None

    def _count(self, held: int) -> None:
        self._owner.bodies.count(self, held, now=self._loop.time())

    @property
    def _broken(self) -> WireError | None:
        """What ends the body before its end: nothing else can be behind it by then."""
        request = self._request if self.stage is Stage.BODY else None
        if request is None or not self._messages or request.content.is_eof():
            return None
        return request_limits.unreadable(400, getattr(self._messages[0][0], "exc", None))

    # ------------------------------------------------------------ answering

    async def _response(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        """The answer; one in pieces is sent by then."""
        response, pieces = responses.of(reply)
        if self._ends or self._owner.closing:
            response.force_close()
        if request.method != "HEAD" and pieces:
            self._enter(Stage.SENDING)
            await response.prepare(request)
            for count, piece in enumerate(pieces):
                if count and (rest := self._owner.rest()):  # after the last, the client may go
                    await asyncio.sleep(rest)
                await response.write(piece)
                self.since = self._loop.time()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the answer, wait until the client has taken it, and turn to its next request."""
        self._enter(Stage.SENDING)
        resp, lost = await super().finish_response(request, resp, start_time)
        if self.writing_paused and not lost:
            try:
                await request.writer.drain()
            except ConnectionError:
                return resp, True
        self._owner.bodies.release(self)
        self._request = self._refusal = None
        self._answered = True
        if lost or not request.content.is_eof():
            self._enter(Stage.LEAVING)  # aiohttp drops the rest of the body for a while
        elif self._ends or not resp.keep_alive:
            resp.force_close()  # also where the client hung up only after the head was written
            return resp, lost
        else:
            if rest := self._owner.rest():
                self._enter(Stage.RESTING)  # read on meanwhile: whoever hangs up leaves at once
                await asyncio.sleep(rest)
            self._enter(Stage.BODY if self._messages else Stage.IDLE)
        self._read_on()
        return resp, lost

    def _read_on(self) -> None:
        """Turn to what came while the request before it was answered."""
        self._clean, self._raw = self._raw == self._whole, 0
        later, self._later = self._later, b""
        if later and self.transport is not None:
            self.data_received(later)
        if not self._reading_paused and not self._buffer_paused:
            self._resume_transport_reading()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be read as a request."""
        del message  # quotes what was sent, on several lines
        refused = self._refusal or request_limits.unreadable(status, exc)
        if request.writer.output_size:
            raise ConnectionResetError("part of an answer was sent already")
        self._owner.handler.refused(None, refused)
        response, _ = responses.of(responses.refusal(refused))
        response.force_close()
        return response

    def log_exception(self, *arguments: object, **_: object) -> None:
        """Note a fault within aiohttp; what clients send wrong is noted by the handler."""
        self._owner.fault(*arguments)

    def _enter(self, stage: Stage) -> None:
        if self.stage is not Stage.CLOSED:
            self.stage = stage
            self.since = self._loop.time()
