"""What a browser may be made to do by somebody else's page, and is refused.

The admin port only answers, and answers are readable by their own origin alone: no response allows
another one (CORS). What is left are requests that cost work, and DNS rebinding: a page whose own
name is made to point here reads what it likes, so names are checked. Sources: Fetch Metadata (W3C),
RFC 9110 section 15.5.20 (421).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Set as AbstractSet
from urllib import parse

from aiohttp import web

from extender.errors import WireError

ANY_HOST = "*"
# Names that nobody outside can own: of this machine, and of Services.
_OWN_ENDINGS = (".localhost", ".svc", ".svc.cluster.local")
# Sent with every answer: none is to be taken for another type, or loaded by another origin.
FIELDS = (("X-Content-Type-Options", "nosniff"), ("Cross-Origin-Resource-Policy", "same-origin"))


def check(request: web.BaseRequest, hosts: AbstractSet[str]) -> None:
    """Raise WireError for a request that another site's page made; `hosts` are further names."""
    headers = request.headers
    host = headers.get("Host", "")
    if not _is_ours(host, hosts):
        raise WireError(
            421, f"this service is not called {_name(host)[:100]!r}; --admin-hosts adds names"
        )
    origin = headers.get("Origin")
    if origin is not None and parse.urlsplit(origin).netloc.lower() != host.lower():
        raise WireError(403, "pages of other origins may not ask")
    if headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}:
        return
    followed = (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest"))
    if request.method != "GET" or followed != ("navigate", "document"):
        raise WireError(403, "pages of other sites may link here, and not ask")


def check_body_kind(request: web.BaseRequest) -> None:
    """Raise WireError 415 for a body that is not said to be JSON: forms of other sites are not."""
    if request.content_type != "application/json" or "Content-Type" not in request.headers:
        raise WireError(415, "say Content-Type: application/json")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise WireError(415, "encoded manifests are not accepted")


def _is_ours(host: str, hosts: AbstractSet[str]) -> bool:
    """Whether a Host header is an address, or a name that only we can have."""
    name = _name(host)
    if ANY_HOST in hosts or name in hosts or "." not in name:
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return name.endswith(_OWN_ENDINGS)
    return True


def _name(host: str) -> str:
    """The name or address of a Host header, without its port."""
    name, colon, port = host.rpartition(":")
    bare = name if colon and (port.isdecimal() or not port) else host
    return bare.lower().removesuffix(".")
