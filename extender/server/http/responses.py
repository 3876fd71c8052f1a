"""Answers as HTTP/1.1: their heads, and those that refuse."""

from __future__ import annotations

import dataclasses
import email.utils
import functools
import time

from extender.errors import WireError
from extender.server import replies

JSON = "application/json"
_PHRASES = {
    200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 413: "Content Too Large", 415: "Unsupported Media Type",
    417: "Expectation Failed", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """An answer; pieces of a body are written as the client reads them."""

    body: replies.Body
    status: int = 200
    kind: str = JSON
    fields: tuple[tuple[str, str], ...] = ()  # beside the usual ones

    @property
    def length(self) -> int:
        return len(self.body) if isinstance(self.body, bytes) else self.body.length


def refusal(refused: WireError) -> Reply:
    """The answer to a request that is not judged."""
    fields: tuple[tuple[str, str], ...] = ()
    if refused.status == 405:
        fields = (("Allow", "POST" if "by POST" in str(refused) else "GET, HEAD"),)
    if refused.status in {429, 503}:
        fields = (("Retry-After", "1"),)
    return Reply(replies.error(str(refused)), refused.status, fields=fields)


def head(reply: Reply, *, minor: int, closes: bool) -> bytes:
    """The head of an answer."""
    more = "".join(f"{name}: {text}\r\n" for name, text in reply.fields)
    if closes:
        more += "Connection: close\r\n"
    start = _start(reply.status, reply.kind, minor, int(time.time()))
    return f"{start}{more}Content-Length: {reply.length}\r\n\r\n".encode("ascii")


@functools.lru_cache(maxsize=64)
def _start(status: int, kind: str, minor: int, second: int) -> str:
    return (
        f"HTTP/1.{minor} {status} {_PHRASES.get(status, 'Error')}\r\n"
        f"Content-Type: {kind}\r\n"
        "Server: railyard\r\n"
        f"Date: {email.utils.formatdate(second, usegmt=True)}\r\n"
    )
