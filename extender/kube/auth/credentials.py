"""Who we say we are: the Authorization header and client certificate, refreshed in time.

Sources: client-go transport/token_source.go (token files), plugin/pkg/client/auth/exec/exec.go and
pkg/apis/clientauthentication/v1 (exec plugins).
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
import logging
import os
import pathlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Protocol

import msgspec

from extender import errors

_log = logging.getLogger(__name__)

# A kubelet renews a projected token long before it ends and we may not miss that; client-go reads
# the file once a minute, with 10 s of leeway.
_TOKEN_SECONDS = 50.0
# A plugin may have to talk to a cloud's token service; longer than this it hangs.
_PLUGIN_SECONDS = 60.0
# A credential is renewed this long before its end, as it must still hold when it arrives.
_LEEWAY = dt.timedelta(seconds=10)


class Credentials(Protocol):
    """A source of the Authorization header; `CredentialsError` if there is none to be had."""

    async def authorization(self) -> str:
        """The header's value, empty for none."""

    def rejected(self, header: str) -> None:
        """The API server answered 401 to `header`: get another one before the next request."""

    def check(self) -> None:
        """Raise `CredentialsError` for what is known without a request: a missing file, say."""

    @property
    def certificate(self) -> tuple[bytes, bytes] | None:
        """The client certificate and its key as PEM, where the source brings its own."""


class Fixed:
    """A header that never changes: a token or a password from the kubeconfig, or nothing."""

    certificate = None

    def __init__(self, header: str = "") -> None:
        self._header = header

    async def authorization(self) -> str:
        return self._header

    def rejected(self, header: str) -> None:
        """There is no other one to get."""

    def check(self) -> None:
        """It is here."""


class TokenFile:
    """The token in a file that is read again every 50 s, and at once after a 401.

    A file that cannot be read, or is empty, keeps the last token: the kubelet may be replacing it.
    """

    certificate = None

    def __init__(self, path: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = pathlib.Path(path)
        self._clock = clock
        self._header = ""
        self._fresh_until = float("-inf")

    async def authorization(self) -> str:
        now = self._clock()
        if now < self._fresh_until:
            return self._header
        token, problem = self._read()
        if token:
            self._header, self._fresh_until = f"Bearer {token}", now + _TOKEN_SECONDS
        elif self._header:
            _log.warning("token file %s: %s; the last token is kept", self._path, problem)
        else:
            raise errors.CredentialsError(f"token file {self._path}: {problem}")
        return self._header

    def rejected(self, header: str) -> None:
        if header == self._header:
            self._fresh_until = float("-inf")

    def check(self) -> None:
        token, problem = self._read()
        if not token:
            raise errors.CredentialsError(f"token file {self._path}: {problem}")

    def _read(self) -> tuple[str, str]:
        """The token, or what is wrong with it."""
        try:
            token = self._path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            return "", getattr(error, "strerror", None) or "it is no text"
        if not fits_a_header(token):
            return "", "it holds characters that no token has" if token else "it is empty"
        return token, ""


def fits_a_header(token: str) -> bool:
    """Whether this can be sent in a header: printable ASCII, on one line."""
    return bool(token) and token.isascii() and token.isprintable()


class ExecStatus(msgspec.Struct, frozen=True, rename="camel"):
    """The status of a client.authentication.k8s.io ExecCredential."""

    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    # Without a zone nobody knows when it ends; client-go takes none either (RFC 3339).
    expiration_timestamp: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None


class ExecCredential(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str = ""
    kind: str = ""
    status: ExecStatus = ExecStatus()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """How to run an exec plugin."""

    arguments: Sequence[str]  # the program first
    environment: Mapping[str, str]  # added to ours
    api_version: str
    cluster: Mapping[str, Any] | None = None  # for plugins that ask with provideClusterInfo
    hint: str = ""  # the kubeconfig's words on how to install it


class ExecPlugin:
    """The credential that a program prints, run again when it expires or is rejected.

    Requests that ask at the same time share one run.
    """

    def __init__(
        self,
        command: Command,
        *,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._command = command
        self._now = now
        self._status: ExecStatus | None = None
        self._turn = asyncio.Lock()

    async def authorization(self) -> str:
        async with self._turn:
            if self._status is None or self._expired(self._status):
                self._status = await _run(self._command)
            return _header(self._status)

    def rejected(self, header: str) -> None:
        if self._status is not None and header == _header(self._status):
            self._status = None

    @property
    def certificate(self) -> tuple[bytes, bytes] | None:
        status = self._status
        if status is None or not status.client_certificate_data:
            return None
        return status.client_certificate_data.encode(), status.client_key_data.encode()

    def check(self) -> None:
        name = self._command.arguments[0]
        path = self._command.environment.get("PATH")
        if shutil.which(name, path=path) is None:
            raise errors.CredentialsError(
                f"exec plugin {name}: no such program{_hint(self._command)}"
            )

    def _expired(self, status: ExecStatus) -> bool:
        end = status.expiration_timestamp
        return end is not None and end <= self._now() + _LEEWAY


def _header(status: ExecStatus) -> str:
    return f"Bearer {status.token}" if status.token else ""


def _hint(command: Command) -> str:
    return f"; {' '.join(command.hint.split())}" if command.hint else ""


async def _run(command: Command) -> ExecStatus:
    name = command.arguments[0]
    spec: dict[str, Any] = {"interactive": False}
    if command.cluster is not None:
        spec["cluster"] = command.cluster
    info = {"apiVersion": command.api_version, "kind": "ExecCredential", "spec": spec}
    environment = {**os.environ, **command.environment, "KUBERNETES_EXEC_INFO": json.dumps(info)}
    try:
        process = await asyncio.create_subprocess_exec(
            *command.arguments,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except (OSError, ValueError) as error:  # a ValueError is about an argument or a variable
        why = getattr(error, "strerror", None) or str(error)
        raise errors.CredentialsError(f"exec plugin {name}: {why}{_hint(command)}") from error
    try:
        output, complaint = await asyncio.wait_for(process.communicate(), _PLUGIN_SECONDS)
    except TimeoutError:
        raise errors.CredentialsError(f"exec plugin {name}: no answer in time") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        words = " ".join(complaint.decode(errors="replace").split())[-500:]
        raise errors.CredentialsError(
            f"exec plugin {name} ended with {process.returncode}: {words}"
        )
    return _parsed(command, output)


def _parsed(command: Command, output: bytes) -> ExecStatus:
    source = f"exec plugin {command.arguments[0]}"
    try:
        credential = msgspec.json.decode(output, type=ExecCredential)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # The output is a secret: it is not shown.
        raise errors.CredentialsError(f"{source}: not an ExecCredential: {error}") from None
    if (credential.kind, credential.api_version) != ("ExecCredential", command.api_version):
        raise errors.CredentialsError(
            f"{source}: printed {credential.api_version} {credential.kind}, "
            f"not {command.api_version} ExecCredential"
        )
    status = credential.status
    if bool(status.client_certificate_data) != bool(status.client_key_data):
        raise errors.CredentialsError(
            f"{source}: a certificate needs its key, and a key its certificate"
        )
    if not status.token and not status.client_certificate_data:
        raise errors.CredentialsError(f"{source}: neither a token nor a certificate")
    if status.token and not fits_a_header(status.token):
        raise errors.CredentialsError(f"{source}: its token holds characters that no token has")
    return status
