"""The admin port's gate: probes are open to everybody, all else to whom the settings let in.

Ways in are a bearer token of a file, a client certificate, and a token that the API server knows
and RBAC lets read the path. Any one of those that are set up lets in; where none is, everybody may
ask. What other sites' pages ask is refused in every case.
"""

from __future__ import annotations

import dataclasses

from aiohttp import web

from extender.errors import WireError
from extender.server.access import browsers, reviews, tokens
from extender.settings import AdminAccess

OPEN = frozenset({"/livez", "/readyz"})
_TOKEN = web.RequestKey("railyard.token", str)  # what is still to be reviewed


@dataclasses.dataclass(frozen=True, slots=True)
class Gate:
    """Lets requests in, or raises WireError 401, 403, 421, 429 or 503."""

    access: AdminAccess
    tokens: tokens.AdminTokens | None = None
    reviews: reviews.Reviews | None = None

    def check(self, request: web.BaseRequest, *, permitted: bool) -> None:
        """Check what can be known at once; `permitted`: by a client certificate."""
        if request.path in OPEN:
            return
        browsers.check(request, self.access.hosts)
        by_certificate = self.access.tls is not None and self.access.tls.client_ca is not None
        if not by_certificate and self.tokens is None and self.reviews is None:
            return
        if by_certificate and permitted:
            return
        token = tokens.presented(request)
        if token and self.tokens is not None and self.tokens.has(token):
            return
        if token and self.reviews is not None:
            request[_TOKEN] = token
            return
        if self.tokens is None and self.reviews is None:
            raise WireError(403, "show a client certificate that --admin-client-ca has signed")
        raise WireError(401, "this token is not known" if token else "show a bearer token")

    async def review(self, request: web.BaseRequest) -> None:
        """Ask the API server about a token that `check` could not tell about."""
        token = request.get(_TOKEN)
        if token is None or self.reviews is None:
            return
        verb = "get" if request.method == "HEAD" else request.method.lower()
        answer = await self.reviews.ask(token, verb, request.path)
        if answer is reviews.ReviewAnswer.UNKNOWN:
            raise WireError(401, "the API server does not know this token")
        if answer is reviews.ReviewAnswer.DENIED:
            raise WireError(403, f"RBAC does not let you {verb} the nonResourceURL {request.path}")


def opened(access: AdminAccess, api: reviews.ReviewApi | None) -> Gate:
    """The gate of these settings; `api` is asked where Kubernetes decides.

    Raises ConfigError for a token file that cannot be used.
    """
    return Gate(
        access,
        tokens.AdminTokens(access.token_file) if access.token_file else None,
        reviews.Reviews(api) if access.kubernetes and api is not None else None,
    )
