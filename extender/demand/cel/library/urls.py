"""URLs in CEL, read as Go's net/url reads them. Source: apiserver pkg/cel/library/urls.go."""

from __future__ import annotations

import dataclasses
import ipaddress
import re

from extender.demand.cel.library import formatting
from extender.demand.cel.runtime.meter import EvaluationError, Meter
from extender.demand.cel.runtime.values import Map, Opaque
from extender.demand.cel.typecheck import signatures
from extender.demand.cel.typecheck.signatures import Overload

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL | re.ASCII)
_PORT = re.compile(r"(?::[0-9]*)?", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*", re.ASCII)
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})", re.ASCII)
_HOST = re.compile(r"(?:[A-Za-z0-9\-_.~!$&'()*+,;=:\[\]<>\"%]|[^\x00-\x7f])*", re.ASCII)
# An escape in a host must stand for a byte outside ASCII, or for the percent sign.
_HOST_ESCAPE = re.compile(r"%(?!25)[0-7]", re.ASCII)
_UNRESERVED = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~$&+,/:;=@"
)
_VALID_PATH = re.compile(r"[A-Za-z0-9\-_.~$&+,/:;=@!'()*\[\]%]*", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class _Url:
    scheme: str
    host: str
    path: bytes  # unescaped
    written_path: str
    query: str

    def escaped_path(self) -> str:
        if _VALID_PATH.fullmatch(self.written_path):
            return self.written_path
        return "*" if self.path == b"*" else _escaped(self.path)


def _escaped(path: bytes) -> str:
    return "".join(chr(c) if c in _UNRESERVED else f"%{c:02X}" for c in path)


def parse(text: str, *, request: bool = True) -> _Url:
    """The URL a text says, absolute or a path if `request`; EvaluationError if it says none."""
    if _CONTROL.search(text):
        raise EvaluationError("net/url: invalid control character in URL")
    if request and not text:
        raise EvaluationError("empty url")
    if text == "*":
        return _Url("", "", b"*", "*", "")
    if text.startswith(":"):
        raise EvaluationError("missing protocol scheme")
    match = _SCHEME.fullmatch(text)
    scheme, rest = (match[1].lower(), match[2]) if match else ("", text)
    rest, _, query = rest.partition("?")
    if not rest.startswith("/"):
        if scheme:
            return _Url(scheme, "", b"", "", query)
        if request or ":" in rest.partition("/")[0]:
            raise EvaluationError("invalid URI for request")
    host = ""
    rooted = scheme or not (request or rest.startswith("///"))
    if rooted and rest.startswith("//"):
        authority, slash, after = rest[2:].partition("/")
        host, rest = _authority(scheme, authority), slash + after
    return _Url(scheme, host, _unescaped(rest), rest, query)


def _unescaped(text: str) -> bytes:
    bad = _BAD_PERCENT.search(text)
    if bad is not None:
        shown = formatting.quoted(text[bad.start() : bad.start() + 3])
        raise EvaluationError(f"invalid URL escape {shown}")
    return _PERCENT.sub(lambda match: bytes.fromhex(match[1].decode()), text.encode())


def _authority(scheme: str, text: str) -> str:
    user, at, host = text.rpartition("@")
    found = _host(scheme, host)
    if at:
        if not _USER.fullmatch(user):
            raise EvaluationError("net/url: invalid userinfo")
        _unescaped(user)
    return found


def _host(scheme: str, host: str) -> str:
    bracket = host.rfind("[")
    if bracket > 0:
        raise EvaluationError("invalid IP-literal")
    if bracket == 0:
        return _literal(host)
    first, last = host.find(":"), host.rfind(":")
    if first >= 0:
        port = host[first if scheme in {"http", "https"} else last :]
        if not _PORT.fullmatch(port):
            raise EvaluationError(f"invalid port {formatting.quoted(port)} after host")
    return _host_text(host)


def _host_text(text: str) -> str:
    if not _HOST.fullmatch(text) or _HOST_ESCAPE.search(text):
        raise EvaluationError("invalid character in host name")
    try:
        return _unescaped(text).decode()
    except UnicodeDecodeError:
        raise EvaluationError("invalid UTF-8 in host name") from None


def _literal(host: str) -> str:
    close = host.rfind("]")
    if close < 0 or not _PORT.fullmatch(host[close + 1 :]):
        raise EvaluationError("missing ']' in host, or invalid port")
    name, percent, zone = host[1:close].partition("%25")
    found = _host_text(name) + (f"%{_unescaped(zone).decode(errors='replace')}" if percent else "")
    try:
        ipaddress.IPv6Address(found)
    except ValueError:
        raise EvaluationError("invalid IP-literal") from None
    return f"[{found}]{host[close + 1 :]}"


def _url(meter: Meter, text: str) -> Opaque:
    meter.allow(len(text))
    parse(text)
    before, _, fragment = text.partition("#")
    _unescaped(fragment)
    found = parse(before, request=False)
    return Opaque(signatures.URL.name, found, text)


def _is_url(meter: Meter, text: str) -> bool:
    meter.allow(len(text))
    try:
        parse(text)
    except EvaluationError:
        return False
    return True


def _port_of(host: str) -> str:
    colon = host.rfind(":")
    return host[colon:] if colon >= 0 and _PORT.fullmatch(host[colon:]) else ""


def _hostname(_: Meter, url: Opaque) -> str:
    host: str = url.identity.host
    host = host[: len(host) - len(_port_of(host))]
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _port(_: Meter, url: Opaque) -> str:
    return _port_of(url.identity.host).removeprefix(":")


def _query(meter: Meter, url: Opaque) -> Map:
    found = Map()
    for pair in url.identity.query.split("&"):
        meter.charge(1)
        if ";" in pair or not pair:
            continue
        key, _, value = (part.replace("+", " ") for part in pair.partition("="))
        try:
            name, content = _unescaped(key).decode(), _unescaped(value).decode()
        except (EvaluationError, UnicodeDecodeError):
            continue
        found.put(name, [*(found.find(name)[1] or []), content])
    return found


OVERLOADS: tuple[Overload, ...] = tuple(
    signatures.overload(text, implementation)
    for text, implementation in (
        ("url(string) -> URL", _url),
        ("URL::getScheme() -> string", lambda _, url: url.identity.scheme),
        ("URL::getHost() -> string", lambda _, url: url.identity.host),
        ("URL::getHostname() -> string", _hostname),
        ("URL::getPort() -> string", _port),
        ("URL::getEscapedPath() -> string", lambda _, url: url.identity.escaped_path()),
        ("URL::getQuery() -> map(string, list(string))", _query),
        ("isURL(string) -> bool", _is_url),
    )
)
