"""Reads the texts of flags and variables; each raises ValueError for one that cannot be used."""

from __future__ import annotations

import pathlib

from extender import settings

_MEBIBYTE = 1024 * 1024
_MOST_DECISIONS = 100_000  # memory ends before: see `history.decision_history`
_MOST_MINUTES = 7 * 24 * 60


def address(text: str) -> settings.Address:
    """Read HOST:PORT, [IPV6]:PORT or :PORT (all addresses). Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address goes in brackets")
    return settings.Address(host or "0.0.0.0", int(port))  # noqa: S104 - the operator said so


def seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 3600:
        raise ValueError(f"{text!r} is not within 0 and 3600 seconds")
    return value


def positive(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise ValueError(f"{text!r} is not positive")
    return value


def count(text: str) -> int:
    value = int(text)
    if not 0 <= value <= _MOST_DECISIONS:
        raise ValueError(f"{text!r} is not within 0 and {_MOST_DECISIONS}")
    return value


def minutes(text: str) -> float:
    value = float(text)
    if not 0 < value <= _MOST_MINUTES:
        raise ValueError(f"{text!r} is not within 0 and {_MOST_MINUTES} minutes")
    return value


def mebibytes(text: str) -> int:
    return positive(text) * _MEBIBYTE


def names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def gates(text: str) -> dict[str, bool]:
    """Read NAME=true,OTHER=false, the form of Kubernetes' own flag. Raises ValueError."""
    found: dict[str, bool] = {}  # gate → on
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, value = part.partition("=")
        if value.lower() not in {"true", "false"}:
            raise ValueError(f"{part!r} is not NAME=true or NAME=false")
        found[name.strip()] = value.lower() == "true"
    return found


def level(text: str) -> str:
    if text.lower() not in {"debug", "info", "warning", "error"}:
        raise ValueError(f"{text!r} is none of debug, info, warning, error")
    return text.lower()


def yes(text: str) -> bool:
    if text.lower() not in {"true", "false", "1", "0", ""}:
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() in {"true", "1"}


def authority(text: str) -> bool:
    if text.lower() not in {"none", "kubernetes"}:
        raise ValueError(f"{text!r} is neither none nor kubernetes")
    return text.lower() == "kubernetes"


def hosts(text: str) -> frozenset[str]:
    return frozenset(name.lower() for name in names(text))


def paths(text: str) -> tuple[pathlib.Path, ...]:
    return tuple(pathlib.Path(part) for part in text.split(",") if part)


def shapes(text: str) -> tuple[str, ...]:
    """Shapes of pods, separated by semicolons; `capacity.pod_shape` reads each."""
    return tuple(filter(None, (part.strip() for part in text.split(";"))))
