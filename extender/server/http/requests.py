"""HTTP/1.1 requests out of the bytes of one connection: strict, in bounds, no I/O.

Only what a client of ours needs is understood (RFC 9112): bodies by Content-Length or chunked, and
`Expect: 100-continue`. Whatever could be read in two ways is refused: two lengths, a length beside
chunks, unknown codings, bare line feeds. Bytes are counted as they arrive, framing included, so
that what a head promises costs nothing.
"""

from __future__ import annotations

import dataclasses
import io
import re

from extender.errors import WireError

HEAD_BYTES = 16 * 1024  # a mesh's sidecar adds a kilobyte or two to Go's 200 bytes
_MOST_FIELDS = 100
_LINE_BYTES = 256  # of a chunk's size with its extensions
_TRAILER_BYTES = 4096
# A chunk costs about 2 µs, whatever it carries: so many at one go, and for small ones an end.
_CHUNKS_A_TURN = 128
_CHUNKS = 16 * 1024
_BYTES_A_CHUNK = 256  # on average, of more chunks than that; Go writes them in 2 KiB and more

_END = b"\r\n\r\n"
_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~]{1,4096}) HTTP/(\d)\.(\d)")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t -~\x80-\xff]*)?")


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """The head of a request; names of fields are in lower case."""

    method: str
    path: str
    query: str
    fields: dict[str, str]
    length: int | None  # of the body in bytes; None is chunked
    keep_alive: bool
    minor: int = 1  # HTTP/1.x
    expects: bool = False  # waits for 100 Continue before it sends the body


def parse(raw: bytes) -> Head:
    """Read a head without its last line end. Raises WireError with the status to answer."""
    lines = raw.split(b"\r\n")
    found = _REQUEST.fullmatch(lines[0])
    if found is None:
        raise WireError(400, "the request line is not HTTP")
    method, target, major, minor = found.groups()
    if major != b"1":
        raise WireError(505, "HTTP/1.1 is spoken here")
    fields = _fields(lines[1:])
    path, _, query = target.decode("ascii").partition("?")
    expects = fields.get("expect", "").lower()
    if expects not in {"", "100-continue"}:
        raise WireError(417, "only 100-continue can be expected")
    options = {option.strip().lower() for option in fields.get("connection", "").split(",")}
    recent = minor != b"0"
    return Head(
        method=method.decode("ascii"),
        path=path,
        query=query,
        fields=fields,
        length=_length(fields, recent=recent),
        keep_alive=recent and "close" not in options,
        minor=int(recent),
        expects=bool(expects) and recent,
    )


def _fields(lines: list[bytes]) -> dict[str, str]:
    if len(lines) > _MOST_FIELDS:
        raise WireError(431, f"the head has more than {_MOST_FIELDS} fields")
    fields: dict[str, str] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise WireError(400, "a header field cannot be read")
        name = found[1].decode("ascii").lower()
        text = found[2].decode("latin-1").rstrip(" \t")
        if name in fields:
            if name in {"content-length", "transfer-encoding", "expect", "host"}:
                raise WireError(400, f"{name} is given twice")
            text = f"{fields[name]}, {text}"
        fields[name] = text
    return fields


def _length(fields: dict[str, str], *, recent: bool) -> int | None:
    coding, length = fields.get("transfer-encoding"), fields.get("content-length")
    if coding is not None:
        if length is not None:
            raise WireError(400, "a body has a length or chunks, not both")
        if not recent or coding.lower() != "chunked":
            raise WireError(501, "of transfer codings only chunked is understood")
        return None
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        raise WireError(400, "Content-Length is not a number of bytes")
    return int(length)


class Reader:
    """Requests one after another: `feed`, then `head`, then `begin` and `body`.

    `held` is how many bytes the body takes so far. `behind` tells that fed bytes were not all
    looked at, so as not to hold others up: call `body` again in another turn of the loop.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._body: _Sized | _Chunked | None = None
        self.behind = False

    def feed(self, data: bytes) -> None:
        """Take in what has arrived."""
        self._rest = self._rest + data if self._rest else data

    @property
    def waiting(self) -> bool:
        """Whether there are bytes that belong to no request read so far."""
        return bool(self._rest)

    @property
    def held(self) -> int:
        return self._body.held if self._body else 0

    def head(self) -> Head | None:
        """The next head, once it is whole."""
        if self._rest.startswith(b"\r\n"):  # RFC 9112, 2.2: an empty line before it is overlooked
            self._rest = self._rest[2:]
        end = self._rest.find(_END)
        if end > HEAD_BYTES or (end < 0 and len(self._rest) > HEAD_BYTES):
            raise WireError(431, f"the head is larger than {HEAD_BYTES} bytes")
        if end < 0:
            return None
        raw, self._rest = self._rest[:end], self._rest[end + len(_END) :]
        return parse(raw)

    def begin(self, head: Head, limit: int) -> None:
        """Read the body of this head next, up to `limit` bytes. Raises WireError 413."""
        if head.length is None:
            self._body = _Chunked(limit)
        elif head.length > limit:
            raise _too_large(limit)
        else:
            self._body = _Sized(head.length)

    def body(self) -> bytes | None:
        """The body, once it is whole. Raises WireError for one that cannot be."""
        if self._body is None:
            return None
        self._rest = self._body.take(self._rest)
        self.behind = False
        if self._body.done:
            found, self._body = self._body.whole, None
            return found
        self.behind = bool(self._rest) and self._body.hungry
        return None

    def skip(self, head: Head) -> bool:
        """Leave out the body of this head, if all of it is here."""
        if head.length is None or len(self._rest) < head.length:
            return False
        self._rest = self._rest[head.length :]
        return True

    def drop(self) -> None:
        """Forget the body and everything else that was fed."""
        self._rest, self._body, self.behind = b"", None, False


class _Sized:
    """A body whose length was told."""

    hungry = False

    def __init__(self, length: int) -> None:
        self._left = length
        self._parts: io.BytesIO | None = None
        self.whole = b""
        self.done = False
        self.held = 0

    def take(self, data: bytes) -> bytes:
        """Take what is ours of the data; the rest comes back."""
        part = data[: self._left]
        self._left -= len(part)
        self.held += len(part)
        self.done = not self._left
        if self.done and self._parts is None:
            self.whole = part
        else:
            self._parts = self._parts or io.BytesIO()
            self._parts.write(part)
            if self.done:
                self.whole = self._parts.getvalue()  # shares, does not copy
                self._parts = None
        return data[len(part) :]


class _Chunked:
    """A body in chunks. `hungry` tells that it stopped for others, not for want of data."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts = io.BytesIO()
        self._left = 0  # of the chunk that has begun, its line end included
        self._trailer = -1  # bytes of the trailer seen, once the last chunk has come
        self._raw = self._chunks = 0
        self.whole = b""
        self.done = self.hungry = False

    @property
    def held(self) -> int:
        return self._parts.tell()

    def take(self, data: bytes) -> bytes:
        """Take what is ours of the data; the rest comes back."""
        self.hungry = False
        start = 0
        for _ in range(_CHUNKS_A_TURN):
            before = start
            start = self._payload(data, start) if self._left else self._line(data, start)
            self._raw += start - before
            if self._raw > self._limit:
                raise _too_large(self._limit)
            if self.done or start == before:
                return data[start:]
        self.hungry = start < len(data)
        return data[start:]

    def _payload(self, data: bytes, start: int) -> int:
        """Bytes of a chunk, and the line end behind it."""
        taken = min(self._left, len(data) - start)
        payload = max(0, min(taken, self._left - 2))
        self._parts.write(data[start : start + payload])
        ending = data[start + payload : start + taken]
        if ending and ending != b"\r\n"[2 - (self._left - payload) :][: len(ending)]:
            raise WireError(400, "a chunk is longer than it says")
        self._left -= taken
        return start + taken

    def _line(self, data: bytes, start: int) -> int:
        """A chunk's size, or a line of the trailer."""
        end = data.find(b"\r\n", start, start + _LINE_BYTES)
        if end < 0:
            if len(data) - start >= _LINE_BYTES:
                raise WireError(400, f"a line between chunks is longer than {_LINE_BYTES} bytes")
            return start
        if self._trailer >= 0:
            return self._trailing(end + 2 - start, end, start)
        found = _CHUNK.fullmatch(data, start, end)
        if found is None:
            raise WireError(400, "the size of a chunk cannot be read")
        size = int(found[1], 16)
        if size == 0:
            self._trailer = 0
            return end + 2
        self._chunks += 1
        if self._chunks > _CHUNKS + (self.held + size) // _BYTES_A_CHUNK:
            raise WireError(400, "the body comes in too many small chunks")
        if self.held + size > self._limit:
            raise _too_large(self._limit)
        self._left = size + 2
        return end + 2

    def _trailing(self, size: int, end: int, start: int) -> int:
        self._trailer += size
        if self._trailer > _TRAILER_BYTES:
            raise WireError(431, f"the trailer is larger than {_TRAILER_BYTES} bytes")
        if end == start:
            self.done, self.whole = True, self._parts.getvalue()
        return end + 2


def _too_large(limit: int) -> WireError:
    return WireError(413, f"the body is larger than {limit} bytes")
