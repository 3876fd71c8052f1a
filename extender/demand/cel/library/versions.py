"""Semantic versions in CEL. Sources: apiserver pkg/cel/library/semverlib.go, blang/semver v4."""

from __future__ import annotations

import re
from typing import TypeAlias

from extender.demand.cel.runtime.meter import EvaluationError, Meter
from extender.demand.cel.runtime.values import MAX_UINT, Opaque
from extender.demand.cel.typecheck import signatures
from extender.demand.cel.typecheck.signatures import Implementation, Overload

_NAME = signatures.SEMVER.name
_NUMBER = r"(0|[1-9][0-9]*)"
_FORM = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-(?P<pre>[0-9A-Za-z.-]*))?(?:\+(?P<build>[0-9A-Za-z.-]*))?",
    re.ASCII,
)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_MOST_CHARACTERS = 4096

# (major, minor, patch, whether it is no pre-release, its parts): in order of precedence.
_Precedence: TypeAlias = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]


def parse(text: str) -> Opaque:
    """The version a text says; EvaluationError if it says none."""
    match = _FORM.fullmatch(text) if len(text) <= _MOST_CHARACTERS else None
    if match is None:
        raise EvaluationError("no semantic version")
    numbers = [_number(match[i]) for i in (1, 2, 3)]
    pre = () if match["pre"] is None else tuple(map(_part, match["pre"].split(".")))
    if match["build"] is not None and not all(match["build"].split(".")):
        raise EvaluationError("build meta data is empty")
    order: _Precedence = (numbers[0], numbers[1], numbers[2], not pre, pre)
    return Opaque(_NAME, order)


def _number(digits: str) -> int:
    if len(digits) > 20 or int(digits) > MAX_UINT:
        raise EvaluationError("a version number out of range")
    return int(digits)


def _part(text: str) -> tuple[bool, int, str]:
    """A part of a pre-release: numbers come before words."""
    if not text:
        raise EvaluationError("pre-release is empty")
    if not _DIGITS.fullmatch(text):
        return True, 0, text
    if len(text) > 1 and text[0] == "0":
        raise EvaluationError("pre-release with leading zeroes")
    return False, _number(text), ""


def _normalised(text: str) -> str:
    """`v1.2` as `1.2.0`: no "v", no leading zeroes, three numbers."""
    parts = [_unpadded(part) for part in text.removeprefix("v").split(".", 2)]
    if len(parts) < 3:
        if any(sign in parts[-1] for sign in "+-"):
            raise EvaluationError("short version cannot contain PreRelease/Build meta data")
        parts += ["0"] * (3 - len(parts))
    return ".".join(parts)


def _unpadded(part: str) -> str:
    if len(part) <= 1:
        return part
    stripped = part.lstrip("0")
    return stripped if stripped[:1] in set("123456789") else f"0{stripped}"


def _semver(_: Meter, text: str, normalise: bool = False) -> Opaque:
    return parse(_normalised(text) if normalise else text)


def _is_semver(meter: Meter, text: str, normalise: bool = False) -> bool:
    try:
        _semver(meter, text, normalise)
    except EvaluationError:
        return False
    return True


def _compare(_: Meter, left: Opaque, right: Opaque) -> int:
    return int(left.identity > right.identity) - int(left.identity < right.identity)


def _number_at(index: int) -> Implementation:
    def implementation(_: Meter, version: Opaque) -> int:
        number: int = version.identity[index]
        return number if number < 2**63 else number - 2**64  # Go converts, and wraps

    return implementation


OVERLOADS: tuple[Overload, ...] = tuple(
    signatures.overload(text, implementation)
    for text, implementation in (
        ("semver(string) -> Semver", _semver),
        ("semver(string, bool) -> Semver", _semver),
        ("isSemver(string) -> bool", _is_semver),
        ("isSemver(string, bool) -> bool", _is_semver),
        ("Semver::isGreaterThan(Semver) -> bool", lambda _, a, b: a.identity > b.identity),
        ("Semver::isLessThan(Semver) -> bool", lambda _, a, b: a.identity < b.identity),
        ("Semver::compareTo(Semver) -> int", _compare),
        ("Semver::major() -> int", _number_at(0)),
        ("Semver::minor() -> int", _number_at(1)),
        ("Semver::patch() -> int", _number_at(2)),
    )
)
