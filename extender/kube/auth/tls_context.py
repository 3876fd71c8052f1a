"""TLS towards the API server: whom we believe, and the certificate we show.

A context is never changed: loading half a rotated pair into a live one leaves it unable to
handshake. A new one is built when a file's content has changed, and the last good one serves on
while a file is missing or a pair does not match.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import pathlib
import ssl
import tempfile
from collections.abc import Callable

from extender import errors

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Pem:
    """PEM text, given once or in a file that is read again."""

    text: bytes = b""
    path: str = ""

    def read(self) -> bytes:
        return pathlib.Path(self.path).read_bytes() if self.path else self.text


@dataclasses.dataclass(frozen=True, slots=True)
class _Material:
    authority: bytes  # empty: the system's
    pair: tuple[bytes, bytes] | None


class TlsTrust:
    """The TLS context for one API server.

    `authority` is the CA that signs its certificate, the system's where None. `certificate` gives
    our own pair as PEM, asked before each connection. `verify=False` is for a kubeconfig that says
    so in so many words, and is complained about.
    """

    def __init__(
        self,
        *,
        authority: Pem | None = None,
        certificate: Callable[[], tuple[bytes, bytes] | None] = lambda: None,
        verify: bool = True,
    ) -> None:
        self._authority = authority
        self._certificate = certificate
        self._verify = verify
        self._material: _Material | None = None
        self._context: ssl.SSLContext | None = None
        if not verify:
            _log.warning(
                "THE API SERVER'S CERTIFICATE IS NOT VERIFIED (insecure-skip-tls-verify): "
                "whoever sits on the network can read the token and forge the cluster's state"
            )

    def context(self) -> ssl.SSLContext:
        """The context for the next connection; `CredentialsError` if none was ever good."""
        try:
            material = self._read()
            if self._context is None or material != self._material:
                self._context = _built(material, verify=self._verify)
                self._material = material
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            if self._context is None:
                raise errors.CredentialsError(f"TLS certificates: {words(error)}") from error
            _log.warning("TLS certificates: %s; the last good ones are kept", words(error))
        return self._context

    def _read(self) -> _Material:
        authority = self._authority.read() if self._authority is not None else b""
        if self._authority is not None and not authority.strip():
            raise ValueError("the certificate authority is empty")
        return _Material(authority, self._certificate())


def words(error: OSError | ValueError) -> str:
    """What is wrong, and with which file."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _built(material: _Material, *, verify: bool) -> ssl.SSLContext:
    authority = material.authority.decode("ascii") if material.authority else None
    context = ssl.create_default_context(cadata=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if material.pair is not None:
        _show(context, material.pair)
    return context


def _show(context: ssl.SSLContext, pair: tuple[bytes, bytes]) -> None:
    """Load the pair, which OpenSSL takes from files only: readable by us, and gone at once."""
    with contextlib.ExitStack() as files:
        names = []
        for text in pair:
            file = files.enter_context(tempfile.NamedTemporaryFile(prefix="railyard-"))
            file.write(text)
            file.flush()
            names.append(file.name)
        # A key with a password would be asked for at the terminal.
        certificate, key = names
        context.load_cert_chain(certificate, key, password="")
