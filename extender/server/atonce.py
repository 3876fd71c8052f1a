"""Answers whose head and body are written in one go.

A judgement is a body of known length with the same few headers each time. To build a general
response for it takes 50 µs more of the 0.6 ms that a call of 420 nodes takes both ends together
(aiohttp 3.14, in one process, in turn); this writes the same bytes.
"""

from __future__ import annotations

import email.utils
import time
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

_HEAD = (
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: application/json\r\n"
    "Server: railyard\r\n"
    "Date: {date}\r\n"
    "Content-Length: "
)


class _Sent(web.StreamResponse):
    """What a handler returns when its answer is on its way already."""

    @property
    def keep_alive(self) -> bool:
        """Only answers to clients that stay are written at once."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send no head, and wait where the client reads more slowly than it asks."""
        await request.writer.drain()
        return None

    async def write_eof(self, data: Any = b"") -> None:  # noqa: ANN401 - aiohttp's own type
        """Send no body."""


SENT = _Sent()


class Writer:
    """Writes answers; keeps the head of the second."""

    def __init__(self) -> None:
        self._second = 0
        self._head = b""

    def write(self, request: web.BaseRequest, body: bytes) -> bool:
        """Write a 200 with this JSON body; false where that takes the general way."""
        transport = request.transport
        if transport is None or request.version != aiohttp.HttpVersion11 or not request.keep_alive:
            return False
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._head = _HEAD.format(date=email.utils.formatdate(second, usegmt=True)).encode()
        transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        return True
