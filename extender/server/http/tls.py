"""TLS for a port: who we are, who may call, and new certificates without a restart.

A running context is never touched. Loading a half-rotated pair into a live one raises and leaves
it unable to shake hands; loading a new CA only adds to the old one. So each change is loaded into
a fresh context and rehearsed there, and only then new connections are handed over to it. Open
connections go on as they are.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from extender.errors import ConfigError
from extender.settings import Tls

_LOG = logging.getLogger(__name__)
_NO_PASSWORD = ""  # else OpenSSL asks for that of an encrypted key at the terminal
_HANDSHAKE_ROUNDS = 10  # a TLS 1.3 handshake takes three


class Certificates:
    """A server context that follows its files. Raises ConfigError if they cannot be used.

    `reloaded` hears of every change of the files: True when it was taken into use.
    """

    def __init__(self, tls: Tls, *, reloaded: Callable[[bool], None]) -> None:
        self._tls = tls
        self._reloaded = reloaded
        self._loaded = self._refused = _fingerprint(tls)
        try:
            self._current = _context(tls)
        except (OSError, ValueError) as error:
            # ssl.SSLError is an OSError.
            file, why = getattr(error, "filename", None), getattr(error, "strerror", None)
            problem = (str(file or tls.certificate), why or str(error))
            raise ConfigError("the certificate cannot be used", [problem]) from error
        self.context = _context(tls)
        self.context.sni_callback = self._hand_over

    def _hand_over(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: ssl.SSLContext
    ) -> None:
        # OpenSSL asks on every handshake, also where the client names no server.
        connection.context = self._current

    def refresh(self) -> None:
        """Read changed files; use them if they work, else say so once and stay as we are."""
        found = _fingerprint(self._tls)
        if found == self._loaded:
            return
        try:
            self._current = _context(self._tls)
        except (OSError, ValueError) as error:
            if found != self._refused:
                _LOG.error("new certificate refused, the old one stays: %s", error)
                self._reloaded(False)
            self._refused = found
            return
        self._loaded = self._refused = found
        _LOG.info("new certificate in use")
        self._reloaded(True)

    async def follow(self, seconds: float = 30.0) -> None:
        """Refresh for ever, once in so many seconds."""
        while True:
            await asyncio.sleep(seconds)
            self.refresh()


def permitted(certificate: Mapping[str, Any] | None, tls: Tls | None) -> bool:
    """Whether a caller with this verified certificate (as `getpeercert` gives it) is let in."""
    if tls is None:
        return True
    if tls.clients_optional and tls.client_ca is not None and not certificate:
        return False
    if not tls.client_names:
        return True
    names = {value for _, value in (certificate or {}).get("subjectAltName", ())}
    for part in (certificate or {}).get("subject", ()):
        names |= {value for key, value in part if key == "commonName"}
    return not names.isdisjoint(tls.client_names)


def _context(tls: Tls) -> ssl.SSLContext:
    _rehearse(tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A resumed session would be judged by the CA it began with.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(tls.certificate, tls.key, password=_NO_PASSWORD)
    if tls.client_ca is not None:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL if tls.clients_optional else ssl.CERT_REQUIRED
    return context


def _rehearse(tls: Tls) -> None:
    """Shake hands with ourselves: the key fits, the chain is whole, today is within its time."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(tls.certificate, tls.key, password=_NO_PASSWORD)
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.check_hostname = False
    client_side.load_verify_locations(tls.certificate)
    client_side.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    parties = [
        client_side.wrap_bio(to_client, to_server),
        server_side.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(_HANDSHAKE_ROUNDS):
        for party in list(parties):
            try:
                party.do_handshake()
            except ssl.SSLWantReadError:
                continue
            parties.remove(party)
        if not parties:
            return
    raise ValueError("the certificate completes no handshake")


def _fingerprint(tls: Tls) -> tuple[str, ...]:
    """What the files hold now: a secret's volume changes by symlink, so times do not tell."""
    found = []
    for path in (tls.certificate, tls.key, tls.client_ca):
        try:
            found.append(hashlib.sha256(path.read_bytes()).hexdigest() if path else "")
        except OSError as error:
            found.append(str(error))
    return tuple(found)
