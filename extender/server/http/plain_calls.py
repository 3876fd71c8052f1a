"""The usual call, read and answered without aiohttp's objects: half of what a small call costs.

That is a POST whose head and whole body came in one piece, its length given, with nothing in the
head that changes how a body is read. Whatever else comes is left to aiohttp, as it came.
"""

from __future__ import annotations

import dataclasses
import email.utils
import functools
import re
import time

from extender.server.http.responses import Reply

_MOST_HEAD_BYTES = 2048  # kube-scheduler's has 200
_REQUEST = re.compile(rb"POST (/[a-z]+) HTTP/1\.1")
# Names by which Go's client, and sidecars, tell what concerns nobody here.
_FIELD = re.compile(
    rb"(?:accept|accept-encoding|content-type|user-agent|traceparent|tracestate"
    rb"|x-[a-z0-9-]+|(host)|(content-length)):[ \t]*([!-~]+(?:[ \t]+[!-~]+)*)",
    re.IGNORECASE,
)
_LENGTH = re.compile(rb"[0-9]{1,9}")


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """A usual head: its path, its bytes, and those of the whole request."""

    path: str
    size: int
    whole: int


def head(data: bytes) -> Head | None:
    """The head that these bytes begin with, if it is whole and usual."""
    end = data.find(b"\r\n\r\n", 0, _MOST_HEAD_BYTES)
    return _head(data[: end + 4]) if end >= 0 else None


@functools.lru_cache(maxsize=64)
def _head(raw: bytes) -> Head | None:
    first, *fields = raw[:-4].split(b"\r\n")
    request = _REQUEST.fullmatch(first)
    if request is None:
        return None
    hosts, lengths = 0, []
    for field in fields:
        found = _FIELD.fullmatch(field)
        if found is None:
            return None
        hosts += found[1] is not None
        if found[2] is not None:
            lengths.append(found[3])
    if hosts != 1 or len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
        return None
    return Head(request[1].decode("ascii"), len(raw), len(raw) + int(lengths[0]))


def written(reply: Reply) -> bytes:
    """The answer, which is 200, as bytes."""
    body = reply.body if isinstance(reply.body, bytes) else reply.body.whole()
    return _start(reply.kind, int(time.time())) + b"%d\r\n\r\n%b" % (len(body), body)


@functools.lru_cache(maxsize=2)
def _start(kind: str, second: int) -> bytes:
    date = email.utils.formatdate(second, usegmt=True)
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nServer: railyard\r\n"
        f"Date: {date}\r\nContent-Length: "
    ).encode("ascii")
