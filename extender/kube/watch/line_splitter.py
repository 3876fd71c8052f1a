"""Lines out of a stream of bytes, however the network cuts it."""

from __future__ import annotations

from collections.abc import Iterator

from extender import errors

# etcd takes objects of 1.5 MiB, and of some more where it is so configured; a longer line is not
# an event, and must not fill the memory.
_LONGEST_BYTES = 32 << 20


class LineSplitter:
    """Splits chunks at newlines; what follows the last one waits for the next chunk.

    Bytes are never decoded here, so a character cut in two is whole again in its line.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # the line that has begun
        self._begun = 0  # its length so far, in bytes

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that `chunk` completes; `MalformedError` if one grows beyond bounds."""
        *complete, rest = chunk.split(b"\n")
        for end in complete:
            if self._parts:
                yield b"".join((*self._parts, end))
                self._parts.clear()
                self._begun = 0
            else:
                yield end
        if rest:
            self._parts.append(rest)
            self._begun += len(rest)
            if self._begun > _LONGEST_BYTES:
                raise errors.MalformedError(f"a line of more than {_LONGEST_BYTES} bytes")
