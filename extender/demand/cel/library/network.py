"""IP addresses and networks in CEL. Sources: apiserver pkg/cel/library/ip.go and cidr.go."""

from __future__ import annotations

import ipaddress
import re
from typing import TypeAlias

from extender.demand.cel.runtime.meter import EvaluationError, Meter
from extender.demand.cel.runtime.values import Opaque
from extender.demand.cel.typecheck import signatures
from extender.demand.cel.typecheck.signatures import Overload

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_BITS = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
_MOST_CHARACTERS = 64


def address(text: str) -> _Address:
    """The address a text says; EvaluationError if none, or with a zone, or IPv4 within IPv6."""
    if len(text) > _MOST_CHARACTERS or "%" in text:
        raise EvaluationError("no IP address")
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise EvaluationError("no IP address") from None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        raise EvaluationError("IPv4-mapped IPv6 address is not allowed")
    return found


def _network(text: str) -> tuple[_Address, int]:
    left, slash, right = text.rpartition("/")
    if not slash or not _BITS.fullmatch(right):
        raise EvaluationError("no network address")
    found = address(left)
    if int(right) > found.max_prefixlen:
        raise EvaluationError("prefix length out of range")
    return found, int(right)


def _ip(_: Meter, text: str) -> Opaque:
    return Opaque(signatures.IP.name, address(text))


def _cidr(_: Meter, text: str) -> Opaque:
    return Opaque(signatures.CIDR.name, _network(text))


def _is_ip(_: Meter, text: str) -> bool:
    try:
        address(text)
    except EvaluationError:
        return False
    return True


def _is_cidr(_: Meter, text: str) -> bool:
    try:
        _network(text)
    except EvaluationError:
        return False
    return True


def _masked(found: _Address, bits: int) -> int:
    return int(found) >> (found.max_prefixlen - bits)


def _holds(network: Opaque, found: _Address) -> bool:
    base, bits = network.identity
    return base.version == found.version and _masked(base, bits) == _masked(found, bits)


def _contains_ip(_: Meter, network: Opaque, other: Opaque) -> bool:
    return _holds(network, other.identity)


def _contains_ip_text(_: Meter, network: Opaque, text: str) -> bool:
    return _holds(network, address(text))


def _contains(network: Opaque, other: tuple[_Address, int]) -> bool:
    return bool(network.identity[1] <= other[1]) and _holds(network, other[0])


def _to_network(_: Meter, network: Opaque) -> Opaque:
    base, bits = network.identity
    shift = base.max_prefixlen - bits
    return Opaque(signatures.CIDR.name, (type(base)(int(base) >> shift << shift), bits))


def _family(_: Meter, value: Opaque) -> int:
    return int(value.identity.version)


def _is_link_local_multicast(_: Meter, value: Opaque) -> bool:
    found: _Address = value.identity
    if found.version == 4:
        return _masked(found, 24) == 0xE00000
    return int(found) >> 112 & 0xFF0F == 0xFF02


def _is_link_local_unicast(_: Meter, value: Opaque) -> bool:
    found: _Address = value.identity
    return _masked(found, 16) == 0xA9FE if found.version == 4 else _masked(found, 10) == 0x3FA


def _is_loopback(_: Meter, value: Opaque) -> bool:
    found: _Address = value.identity
    return _masked(found, 8) == 127 if found.version == 4 else int(found) == 1


def _is_multicast(found: _Address) -> bool:
    return _masked(found, 4) == 0xE if found.version == 4 else _masked(found, 8) == 0xFF


def _is_global_unicast(meter: Meter, value: Opaque) -> bool:
    found: _Address = value.identity
    if found.version == 4 and int(found) in {0, 2**32 - 1}:
        return False
    return (
        int(found) != 0
        and not _is_loopback(meter, value)
        and not _is_multicast(found)
        and not _is_link_local_unicast(meter, value)
    )


def _text(found: _Address) -> str:
    # Go writes the last 32 bits of no address in dots but those that it refuses to read.
    return str(found)


OVERLOADS: tuple[Overload, ...] = tuple(
    signatures.overload(text, implementation)
    for text, implementation in (
        ("ip(string) -> IP", _ip),
        ("IP::family() -> int", _family),
        ("ip.isCanonical(string) -> bool", lambda _, text: _text(address(text)) == text),
        ("IP::isUnspecified() -> bool", lambda _, value: int(value.identity) == 0),
        ("IP::isLoopback() -> bool", _is_loopback),
        ("IP::isLinkLocalMulticast() -> bool", _is_link_local_multicast),
        ("IP::isLinkLocalUnicast() -> bool", _is_link_local_unicast),
        ("IP::isGlobalUnicast() -> bool", _is_global_unicast),
        ("isIP(string) -> bool", _is_ip),
        ("string(IP) -> string", lambda _, value: _text(value.identity)),
        ("cidr(string) -> CIDR", _cidr),
        ("CIDR::containsIP(string) -> bool", _contains_ip_text),
        ("CIDR::containsIP(IP) -> bool", _contains_ip),
        ("CIDR::containsCIDR(string) -> bool", lambda _, a, text: _contains(a, _network(text))),
        ("CIDR::containsCIDR(CIDR) -> bool", lambda _, a, b: _contains(a, b.identity)),
        ("CIDR::ip() -> IP", lambda _, value: Opaque(signatures.IP.name, value.identity[0])),
        ("CIDR::prefixLength() -> int", lambda _, value: value.identity[1]),
        ("CIDR::masked() -> CIDR", _to_network),
        ("isCIDR(string) -> bool", _is_cidr),
        (
            "string(CIDR) -> string",
            lambda _, value: f"{_text(value.identity[0])}/{value.identity[1]}",
        ),
    )
)
