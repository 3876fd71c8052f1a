"""`"%s has %d".format([name, count])`.

Source: cel-go ext/formatting.go as ext.Strings version 2 uses it: numbers of %f and %e are written
as golang.org/x/text does for American English, with commas and powers of ten; the number in %.3e
is a width.
"""

from __future__ import annotations

import decimal
import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from extender.demand.cel.library import conversions
from extender.demand.cel.runtime import values
from extender.demand.cel.runtime.meter import EvaluationError, Meter, UnansweredError
from extender.demand.cel.runtime.values import Duration, Map, Timestamp, TypeValue, Uint, Value

_PRECISION = 6
_MOST = 100  # digits or columns that anyone can mean
_CLAUSE = re.compile(r"%(?:(%)|(?:\.(\d*))?(.?))", re.DOTALL)
_SPECIAL = frozenset({"NaN", "Infinity", "-Infinity"})
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_STRINGS = frozenset({
    list, Map, int, Uint, float, bool, str, Timestamp, bytes, Duration, TypeValue, type(None),
})  # fmt: skip
# clause → types it takes; strings for %f and %e are the three that Go's ParseFloat spells out
TAKES: dict[str, frozenset[type]] = {
    "s": _STRINGS, "d": frozenset({int, Uint}), "f": frozenset({float, str}),
    "e": frozenset({float, str}), "b": frozenset({int, Uint, bool}),
    "x": frozenset({int, Uint, str, bytes}), "X": frozenset({int, Uint, str, bytes}),
    "o": frozenset({int, Uint}),
}  # fmt: skip


class Clause(NamedTuple):
    """One `%` clause: the text before it, the number after its point, its letter."""

    before: str
    precision: int | None
    letter: str


def clauses(text: str) -> tuple[list[Clause], str]:
    """The clauses of a format and what follows them; EvaluationError where one is malformed."""
    found: list[Clause] = []
    before: list[str] = []
    position = 0
    for match in _CLAUSE.finditer(text):
        before.append(text[position : match.start()])
        position = match.end()
        if match[1]:
            before.append("%")
            continue
        if match[3] not in TAKES or match[2] == "":
            raise EvaluationError("could not parse formatting clause")
        if match[2] and len(match[2]) > 18:
            raise EvaluationError("error while converting precision to integer")
        found.append(Clause("".join(before), int(match[2]) if match[2] else None, match[3]))
        before.clear()
    return found, "".join(before) + text[position:]


def formatted(meter: Meter, text: str, arguments: Sequence[Value]) -> str:
    """The format with its clauses replaced by the arguments, in order."""
    meter.allow(len(text))
    found, rest = clauses(text)
    if len(found) > len(arguments):
        raise EvaluationError(f"index {len(arguments)} out of range")
    parts: list[str] = []
    for clause, value in zip(found, arguments, strict=False):
        shown = _clause(meter, clause, value)
        meter.allow(len(shown))
        parts += [clause.before, shown]
    return "".join([*parts, rest])


def _clause(meter: Meter, clause: Clause, value: Value) -> str:
    if type(value) not in TAKES[clause.letter]:
        raise EvaluationError(f"%{clause.letter} cannot show {values.type_name(value)}")
    if clause.precision is not None and clause.precision > _MOST:
        raise UnansweredError("a format of so many digits")
    precision = _PRECISION if clause.precision is None else clause.precision
    if clause.letter == "s":
        return _string(meter, value)
    if clause.letter == "f":
        return _fixed(_double(value), precision)
    if clause.letter == "e":
        return _scientific(_double(value)).rjust(precision)
    return _INTEGERS[clause.letter](value)


def _double(value: float | str) -> float:
    if isinstance(value, str):
        if value not in _SPECIAL:
            raise EvaluationError("fixed-point clause can only be used on doubles")
        return conversions.double_of_string(value)
    return value


def _fixed(value: float, precision: int) -> str:
    if not math.isfinite(value):
        return _not_finite(value)
    text = format(decimal.Decimal(value), f",.{precision}f")
    return text.removeprefix("-") if value == 0 else text


def _scientific(value: float) -> str:
    if not math.isfinite(value):
        return _not_finite(value)
    mantissa, exponent = format(abs(decimal.Decimal(value)), f".{_PRECISION}e").split("e")
    power = int(exponent) if value else 0
    digits = f"{'-' if power < 0 else ''}{abs(power):02d}".translate(_SUPERSCRIPT)
    return f"{'-' if value < 0 else ''}{mantissa}×10{digits}"


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "∞" if value > 0 else "-∞"


def _hexadecimal(value: Value) -> str:
    if isinstance(value, str):
        return value.encode().hex()
    if isinstance(value, bytes):
        return value.hex()
    return format(values.plain(value), "x")


# clause → how it shows a value it takes
_INTEGERS: dict[str, Callable[[Value], str]] = {
    "d": lambda value: str(values.plain(value)),
    "b": lambda value: format(int(values.plain(value)), "b"),
    "o": lambda value: format(values.plain(value), "o"),
    "x": _hexadecimal,
    "X": lambda value: _hexadecimal(value).upper(),
}


def _string(meter: Meter, value: Value) -> str:
    kind = type(value)
    if kind is list:
        return _list(meter, value)
    if kind is Map:
        return _map(meter, value)
    return "null" if value is None else conversions.to_string(meter, value)


def _element(meter: Meter, value: Value) -> str:
    """A member of a list or map, as CEL would write it."""
    meter.charge(1)
    kind = type(value)
    if kind not in _STRINGS:
        raise EvaluationError(f"no formatting function for {values.type_name(value)}")
    if kind is float:
        return f"{value:.{_PRECISION}f}" if math.isfinite(value) else _quoted_double(value)
    shown = _string(meter, value)
    meter.allow(len(shown))
    if kind is str:
        return quoted(shown)
    if kind is bytes:
        return f"b{quoted(shown)}"
    if kind is Timestamp:
        return f"timestamp({quoted(shown)})"
    return f"duration({quoted(shown)})" if kind is Duration else shown


def _quoted_double(value: float) -> str:
    return '"NaN"' if math.isnan(value) else '"+Inf"' if value > 0 else '"-Inf"'


def _list(meter: Meter, value: list[Value]) -> str:
    return f"[{', '.join(_element(meter, one) for one in value)}]"


def _map(meter: Meter, value: Map) -> str:
    pairs = []
    for key, content in value.entries.values():
        if type(key) not in {str, bool, int, Uint}:
            raise EvaluationError("no formatting function for this map key")
        pairs.append((_element(meter, key), _element(meter, content)))
    # By the bytes of the key, which is the order of code points.
    return f"{{{', '.join(f'{key}:{content}' for key, content in sorted(pairs))}}}"


_ESCAPES = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    "\\": "\\\\", '"': '\\"',
}  # fmt: skip


def quoted(text: str) -> str:
    """A string as Go's %q writes it."""
    return '"' + "".join(_ESCAPES.get(one) or _printable(one) for one in text) + '"'


def _printable(one: str) -> str:
    if one.isprintable():
        return one
    code = ord(one)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
