"""The connection to one API server: GET, streamed GET, POST of a review, discovery.

Bodies pass through as bytes; what they mean is the callers' affair. Errors are `errors.ApiError`
and its kinds, never aiohttp's.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self
from urllib import parse

import aiohttp
import msgspec

import extender
from extender import errors
from extender.kube.api import status_errors
from extender.kube.auth import endpoint

# client-go dials for 30 s. TCP repeats a lost SYN after 1, 3 and 7 s, then after 15: whoever waits
# for that one hears of a server that is back later than by dialling anew.
_CONNECT_SECONDS = 10.0
# Of a whole small answer (the version, discovery); streams have the reflector's own deadline. The
# API server gives an aggregated one 5 s to answer.
_GET_SECONDS = 15.0
# What the event loop takes from a socket before its reader comes: an API server cuts off a watcher
# that is slow, so a burst must fit here (aiohttp stops reading at twice this).
_READ_AHEAD_BYTES = 4 << 20
# What one read hands over, so that joining it stalls nobody.
_READ_BYTES = 256 << 10
# A path that is gone is noticed by TCP too, as HTTP/2 pings do for client-go.
_TCP_OPTIONS = (
    ("SOL_SOCKET", "SO_KEEPALIVE", 1),
    ("IPPROTO_TCP", "TCP_KEEPIDLE", 30),
    ("IPPROTO_TCP", "TCP_KEEPINTVL", 15),
    ("IPPROTO_TCP", "TCP_KEEPCNT", 2),
    ("IPPROTO_TCP", "TCP_USER_TIMEOUT", 45_000),  # milliseconds
)


class Stream:
    """The body of an answer, as it arrives."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    async def read(self) -> bytes:
        """The next bytes, at most 256 KiB, empty at the end; `UnreachableError` if it is cut."""
        try:
            return await self._content.read(_READ_BYTES)
        except (aiohttp.ClientError, OSError) as error:
            raise errors.UnreachableError(f"the answer was cut: {_words(error)}") from error


class Client:
    """Sends authorised requests to one API server; use as an async context manager, or `close`.

    A 401 makes the credentials fetch anew and is raised all the same: the caller's retry has them.
    """

    def __init__(self, server: endpoint.Server) -> None:
        if server.trust is None and not _is_loopback(server.url):
            raise errors.ConfigError(
                "the API server cannot be used",
                [(server.url, "plain HTTP is for this machine only: the token would be readable")],
            )
        self.server = server
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """The whole body of a small answer, within 15 s."""
        async with self._answer(path, query, total=_GET_SECONDS) as answer:
            try:
                return await answer.read()
            except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
                raise errors.UnreachableError(f"{path}: {_words(error)}") from error

    async def post(self, path: str, body: bytes) -> bytes:
        """Create an object and return what the API server answers, within 15 s.

        That is a review, which is kept nowhere, or an Event.
        """
        async with self._answer(path, None, total=_GET_SECONDS, body=body) as answer:
            try:
                return await answer.read()
            except (aiohttp.ClientError, OSError) as error:
                raise errors.UnreachableError(f"{path}: {_words(error)}") from error

    @contextlib.asynccontextmanager
    async def stream(self, path: str, query: Mapping[str, str]) -> AsyncIterator[Stream]:
        """An answer without a deadline; leaving the block before its end drops the connection."""
        async with self._answer(path, query, total=None) as answer:
            yield Stream(answer.content)

    async def resources(self, group_version: str) -> frozenset[str]:
        """The plural names in "v1" or "group/version"; `NotFoundError` if it is not served."""
        prefix = "/apis/" if "/" in group_version else "/api/"
        body = await self.get(prefix + group_version)
        try:
            found = msgspec.json.decode(body, type=_ApiResourceList)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.ApiError(200, "Undecodable", f"{group_version}: {error}") from error
        return frozenset(each.name for each in found.resources or () if "/" not in each.name)

    async def version(self) -> str:
        """The API server's version ("v1.36.3"), empty where its answer does not say."""
        body = await self.get("/version")
        try:
            return msgspec.json.decode(body, type=_Version).git_version
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ""

    @contextlib.asynccontextmanager
    async def _answer(
        self,
        path: str,
        query: Mapping[str, str] | None,
        *,
        total: float | None,
        body: bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        header = await self.server.credentials.authorization()
        try:
            answer = await self._request(path, query, header, total, body)
        except aiohttp.ClientConnectorCertificateError as error:
            why = str(error.certificate_error)
            raise errors.UntrustedError(f"its certificate is not trusted: {why}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # A ValueError is about the URL, a header or the proxy.
            raise errors.UnreachableError(f"{path}: {_words(error)}") from error
        try:
            if answer.status not in {200, 201}:
                raise await self._failure(answer, header)
            yield answer
        finally:
            answer.release()  # which closes the connection, should more be due on it

    async def _request(
        self,
        path: str,
        query: Mapping[str, str] | None,
        header: str,
        total: float | None,
        body: bytes | None,
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = _new_session()
        server = self.server
        options: dict[str, Any] = {}
        if server.trust is not None:
            options["ssl"] = server.trust.context()
        if server.tls_name:
            options["server_hostname"] = server.tls_name
        if server.proxy:
            options["proxy"] = server.proxy
        headers = {"Authorization": header} if header else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return await self._session.request(
            "GET" if body is None else "POST",
            server.url + path,
            params=query,
            data=body,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=total, sock_connect=_CONNECT_SECONDS),
            allow_redirects=False,  # the token is for this server alone
            **options,
        )

    async def _failure(self, answer: aiohttp.ClientResponse, header: str) -> errors.ApiError:
        if answer.status == 401:
            self.server.credentials.rejected(header)
        if 300 <= answer.status < 400:
            where = answer.headers.get("Location", "nowhere")[:200]
            return errors.ApiError(answer.status, "Redirect", f"to {where}, which is not followed")
        body = b""
        with contextlib.suppress(aiohttp.ClientError, OSError):
            body = await answer.content.read(_READ_BYTES)
        return status_errors.from_body(answer.status, body, answer.headers.get("Retry-After"))


class _ServedResource(msgspec.Struct, frozen=True):
    name: str = ""


class _Version(msgspec.Struct, frozen=True, rename="camel"):
    git_version: str = ""


class _ApiResourceList(msgspec.Struct, frozen=True):
    resources: tuple[_ServedResource, ...] | None = None


def _new_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, socket_factory=_socket),
        headers={
            "Accept": "application/json",
            # The API server is close: compressing 100 MB costs both sides more than sending it.
            "Accept-Encoding": "identity",
            "User-Agent": f"railyard/{extender.__version__}",
        },
        read_bufsize=_READ_AHEAD_BYTES,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    for level, option, value in _TCP_OPTIONS:
        if hasattr(socket, option):  # not every system has every one
            made.setsockopt(getattr(socket, level), getattr(socket, option), value)
    return made


def _is_loopback(url: str) -> bool:
    host = parse.urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _words(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.strerror:
        return f"no connection to {error.host}:{error.port}: {error.os_error.strerror}"
    return str(error) or type(error).__name__
