"""Bearer tokens: the one a request carries, and those of a file that may be rotated."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import pathlib
import time
from collections.abc import Callable

from aiohttp import web

from extender import errors

_LOG = logging.getLogger(__name__)
_FRESH_SECONDS = 1.0  # a changed file is noticed within
_MOST_BYTES = 64 * 1024
_SHORTEST = 16  # characters: what is shorter can be guessed


def presented(request: web.BaseRequest) -> str:
    """The token of a request, empty for none: as bearer, or as a password (browsers ask for it)."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        text = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
    return text.partition(":")[2]


class AdminTokens:
    """Tokens of a file, one a line; `#` begins a comment. Raises ConfigError if it has none.

    The file is read again when it is a second old, so tokens are rotated by adding the new one,
    and then taking away the old one. One that cannot be read, or has no token, changes nothing.
    """

    def __init__(self, path: pathlib.Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        found, problem = self._read()
        if not found:
            raise errors.ConfigError("no token lets in", [(str(path), problem)])
        self._digests = found
        self._problem = ""
        self._read_at = clock()

    def has(self, token: str) -> bool:
        """Whether a token is one of the file's, compared in a time that says nothing about them."""
        if self._clock() - self._read_at >= _FRESH_SECONDS:
            self._refresh()
        digest = _digest(token)
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(known, digest)
        return found

    def _refresh(self) -> None:
        self._read_at = self._clock()
        found, problem = self._read()
        if found and found != self._digests:
            _LOG.info("the tokens of %s have changed: %d let in", self._path, len(found))
        elif problem and problem != self._problem:
            _LOG.error("the tokens of %s stay as they were: %s", self._path, problem)
        self._digests = found or self._digests
        self._problem = problem

    def _read(self) -> tuple[tuple[bytes, ...], str]:
        """The digests of the tokens, or what is wrong with the file."""
        try:
            with self._path.open("rb") as file:
                text = file.read(_MOST_BYTES + 1).decode()
        except (OSError, ValueError) as error:
            return (), getattr(error, "strerror", None) or "it is no text"
        if len(text) > _MOST_BYTES:
            return (), f"it is larger than {_MOST_BYTES} bytes"
        lines = [line.strip() for line in text.splitlines()]
        tokens = [line for line in lines if line and not line.startswith("#")]
        if any(len(token) < _SHORTEST for token in tokens):
            return (), f"a token has less than {_SHORTEST} characters"
        return tuple(map(_digest, tokens)), "" if tokens else "it has no token"


def _digest(token: str) -> bytes:
    """Of one length for all, and useless to whoever reads it from memory."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
