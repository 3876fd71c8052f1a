"""What a connection needs of others: who answers its requests, and the port that it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from extender.errors import WireError
from extender.server.http import body_memory
from extender.server.http.responses import Reply
from extender.settings import Limits, Tls

if TYPE_CHECKING:
    from extender.server.http.connections import Connection


class Handler(Protocol):
    """Who answers on a port."""

    def limit(self, request: web.BaseRequest, *, permitted: bool) -> int:
        """How large the body may be; raises WireError for a request that is refused unread."""

    def answer_at_once(self, path: str, body: bytes) -> Reply | None:
        """Answer a POST if that is 200 and takes no waiting; None leaves no trace."""

    async def answer(self, request: web.BaseRequest, body: bytes) -> Reply:
        """Answer a request whose body is whole; no exception leaves it."""

    def refused(self, request: web.BaseRequest | None, refused: WireError) -> None:
        """Note a request that was refused, or that ended early; itself where its head was read."""


class Owner(Protocol):
    """The port that a connection belongs to."""

    handler: Handler
    limits: Limits
    tls: Tls | None
    bodies: body_memory.Bodies
    closing: bool

    def served(self, connection: Connection) -> bool:
        """Note an answer; whether the client may stay."""

    def forget(self, connection: Connection) -> None: ...
    def rest(self) -> float:
        """How long to rest before more is done for a connection that was just served, in s."""

    def fault(self, text: object, *arguments: object) -> None:
        """Log the exception that is being handled, once in a while."""
