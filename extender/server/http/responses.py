"""Answers, and those that refuse."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from aiohttp import web

from extender.errors import WireError
from extender.server import replies

JSON = "application/json"


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """An answer; pieces of a body are written as the client reads them."""

    body: replies.Body
    status: int = 200
    kind: str = JSON
    fields: tuple[tuple[str, str], ...] = ()  # beside the usual ones


def of(reply: Reply) -> tuple[web.StreamResponse, Iterable[bytes]]:
    """The response for aiohttp, and the pieces of a body that it does not hold."""
    headers = {"Content-Type": reply.kind, "Server": "railyard", **dict(reply.fields)}
    if isinstance(reply.body, bytes):
        return web.Response(body=reply.body, status=reply.status, headers=headers), ()
    response = web.StreamResponse(status=reply.status, headers=headers)
    response.content_length = reply.body.length
    return response, reply.body.parts


def refusal(refused: WireError) -> Reply:
    """The answer to a request that is not judged."""
    fields: tuple[tuple[str, str], ...] = ()
    if refused.status == 405:
        fields = (("Allow", "POST" if "by POST" in str(refused) else "GET, HEAD"),)
    if refused.status == 401:
        fields = (("WWW-Authenticate", 'Bearer realm="railyard", Basic realm="railyard"'),)
    if refused.status in {429, 503}:
        fields = (("Retry-After", "1"),)
    return Reply(replies.error(str(refused)), refused.status, fields=fields)
