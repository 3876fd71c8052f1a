"""Limits of one request: its head, and its body as it arrives."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable

from aiohttp import http_exceptions, web

from extender.errors import WireError

HEAD_BYTES = 16 * 1024  # a mesh's sidecar adds a kilobyte or two to Go's 200 bytes
# A chunk costs some microseconds, whatever it carries: so many at one go, and of small ones an end.
_CHUNKS_A_TURN = 128
_CHUNKS = 16 * 1024
_BYTES_A_CHUNK = 256  # on average, of more chunks than that; Go writes them in 2 KiB and more
_READ_AHEAD_BYTES = 1024 * 1024  # of bodies whose length was given: saves turns of the loop


def check(request: web.BaseRequest, limit: int) -> None:
    """Raise WireError for a head that is refused, whatever it asks."""
    if sum(len(name) + len(text) for name, text in request.raw_headers) > HEAD_BYTES:
        raise long_head()
    if request.headers.get("Expect", "100-continue").lower() != "100-continue":
        raise WireError(417, "only 100-continue can be expected")
    check_length(request.content_length or 0, limit)


def check_length(length: int, limit: int) -> None:
    """Raise WireError 413 for a body of more bytes than the limit."""
    if length > limit:
        raise too_large(limit)


def long_head() -> WireError:
    return WireError(431, f"the head is larger than {HEAD_BYTES} bytes")


def too_large(limit: int) -> WireError:
    return WireError(413, f"the body is larger than {limit} bytes (--max-body)")


async def whole(request: web.BaseRequest, limit: int, *, count: Callable[[int], None]) -> bytes:
    """The body; `count` hears how much of it is held, as it arrives, and may raise WireError."""
    content, found, chunks = request.content, io.BytesIO(), 0
    if request.content_length is not None:
        content.set_read_chunk_size(_READ_AHEAD_BYTES)
    while True:
        part, ends_chunk = await content.readchunk()
        if not part and not ends_chunk:
            return found.getvalue()  # shares, does not copy
        held = found.tell() + len(part)
        check_length(held, limit)
        chunks += ends_chunk
        if chunks > _CHUNKS + held // _BYTES_A_CHUNK:
            raise WireError(400, "the body comes in too many small chunks")
        count(held)
        found.write(part)
        if ends_chunk and chunks % _CHUNKS_A_TURN == 0:
            await asyncio.sleep(0)


def unreadable(status: int, error: BaseException | None) -> WireError:
    """What aiohttp's parser did not take, in words of one line."""
    if status != 400:
        return WireError(status, "internal error")
    if isinstance(error, http_exceptions.LineTooLong):
        return WireError(431, "a line of the head is too long")
    what = str(getattr(error, "message", "")).partition("\n")[0].rstrip(" :.")
    return WireError(431 if "Too many headers" in what else 400, what or "it is not HTTP")
