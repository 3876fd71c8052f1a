"""kube-scheduler's calls over HTTP: POST /filter, /prioritize, /preempt, and nothing else.

Every judgement is 200 with a whole body of known length; kube-scheduler takes any other status for
a failure of the call. Bodies are bounded before they are read: in length, in time, and in how much
of them is held at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiohttp import web

from extender.errors import WireError
from extender.server import atonce, replies
from extender.server.connections import Connection
from extender.server.metrics import Metrics
from extender.server.verbs import Verbs
from extender.settings import Limits

_LOG = logging.getLogger(__name__)
_BODIES_AT_ONCE = 2  # largest bodies held at the same time; kube-scheduler sends one
# How far our watch may be behind kube-scheduler's: both hear of a change within milliseconds.
_BEHIND_SECONDS = 0.005
_JSON = "application/json"
_HEADERS = {"Server": "railyard"}


class Calls:
    """The handler of the extender port; `clock` is in seconds, for the durations only.

    `closing` tells whether the service says goodbye: then each answer asks the client to reconnect.
    """

    def __init__(
        self,
        verbs: Verbs,
        metrics: Metrics,
        limits: Limits,
        *,
        clock: Callable[[], float],
        closing: Callable[[], bool],
    ) -> None:
        self._judging = verbs
        self._verbs: dict[str, Callable[[bytes], bytes]] = {  # path → verb
            "/filter": verbs.filter,
            "/prioritize": verbs.prioritize,
            "/preempt": verbs.preempt,
        }
        self._metrics = metrics
        self._limits = limits
        self._clock = clock
        self._closing = closing
        self._room = _BODIES_AT_ONCE * limits.body_bytes
        self._writer = atonce.Writer()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one call."""
        connection = request.protocol
        if not isinstance(connection, Connection):
            raise TypeError("calls are answered on connections of this package")
        connection.begin()
        verb = request.path[1:] if request.path in self._verbs else "other"
        try:
            body = await self._body(request, connection)
            started = self._clock()
            reply = self._verbs[request.path](body)
            if verb == "filter" and self._judging.worth_another_look():
                reply = await self._looked_again(body)
            self._metrics.request(verb, 200, self._clock() - started)
            response: web.StreamResponse = atonce.SENT
            if self._closing() or not self._writer.write(request, reply):
                response = web.Response(body=reply, content_type=_JSON, headers=_HEADERS)
            # Once the answer is on its way, and before another call is read.
            asyncio.get_running_loop().call_soon(self._judging.prepare)
        except WireError as refused:
            self._metrics.request(verb, refused.status, 0.0)
            response = refusal(refused)
        except Exception:  # noqa: BLE001 - one request's fault is logged, the service goes on
            _LOG.exception("a call failed")
            self._metrics.request(verb, 500, 0.0)
            response = refusal(WireError(500, "internal error"))
        finally:
            connection.end()
        if self._closing() and response is not atonce.SENT:
            response.force_close()
        return response

    async def _looked_again(self, body: bytes) -> bytes:
        """Filter's answer once the watch had time to tell what kube-scheduler may know already."""
        await asyncio.sleep(_BEHIND_SECONDS)
        reply = self._judging.filter(body)
        self._metrics.second_look(helped=not self._judging.full)
        return reply

    async def _body(self, request: web.BaseRequest, connection: Connection) -> bytes:
        """The whole body of a call that may be answered; else WireError."""
        if not connection.permitted:
            raise WireError(403, "the client certificate names nobody who may call")
        if request.path not in self._verbs:
            raise WireError(404, "unknown verb; there are /filter, /prioritize and /preempt")
        if request.method != "POST":
            raise WireError(405, "verbs are called by POST")
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise WireError(415, "encoded bodies are not accepted")
        limit = self._limits.body_bytes
        too_large = WireError(413, f"the body is larger than {limit} bytes")
        size = limit if request.content_length is None else request.content_length
        if size > limit:
            raise too_large
        if size > self._room:
            raise WireError(503, "too many large bodies at once")
        self._room -= size
        try:
            if request.headers.get("Expect", "").lower() == "100-continue":
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                request.writer.output_size = 0  # what is counted is the answer
            if request.content.is_eof():
                return await request.read()  # all here already: no clock is needed
            async with asyncio.timeout(self._limits.body_seconds):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise too_large from None
        except TimeoutError:
            raise WireError(408, "the body took too long") from None
        except (ConnectionError, web.RequestPayloadError):
            raise WireError(400, "the body ended early") from None
        finally:
            self._room += size


def refusal(refused: WireError) -> web.Response:
    """The answer to a request that is not judged; what is left of its body ends the connection."""
    response = web.Response(
        status=refused.status,
        body=replies.error(str(refused)),
        content_type=_JSON,
        headers=_HEADERS,
    )
    if refused.status == 405:
        response.headers["Allow"] = "POST"
    if refused.status in {408, 413, 415, 503}:
        response.force_close()
    return response
