"""`int(x)`, `string(x)`, `duration(x)` and the rest: one type to another.

Source: cel-go common/types, which leaves the reading and writing of numbers and times to Go.
"""

from __future__ import annotations

import decimal
import math
import re
from typing import Any

from extender.demand.cel.library import temporal
from extender.demand.cel.runtime import values
from extender.demand.cel.runtime.meter import EvaluationError, Meter
from extender.demand.cel.runtime.operators import integer, timestamp, unsigned
from extender.demand.cel.runtime.values import Duration, Timestamp, TypeValue, Uint, Value
from extender.demand.cel.typecheck import signatures
from extender.demand.cel.typecheck.signatures import Overload

_DIGITS = re.compile(r"[+-]?[0-9]{1,400}", re.ASCII)
_DOUBLE = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:inf|infinity)|nan",
    re.ASCII | re.IGNORECASE,
)
_HEXADECIMAL = re.compile(
    r"[+-]?0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)p[+-]?[0-9]+", re.ASCII | re.IGNORECASE
)
# Where an underscore may stand in a number.
_JOINT = re.compile(r"(?<=[0-9])_(?=[0-9])", re.ASCII)
_HEXADECIMAL_JOINT = re.compile(r"(?<=[0-9a-fA-FxX])_(?=[0-9a-fA-F])", re.ASCII)
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def _fails(source: str, target: str) -> EvaluationError:
    return EvaluationError(f"type conversion error from '{source}' to '{target}'")


def _same(_: Meter, value: Value) -> Value:
    return value


def _bool(_: Meter, text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise _fails("string", "bool")


def _int_of_string(_: Meter, text: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise _fails("string", "int")
    return integer(int(text))


def _uint_of_string(_: Meter, text: str) -> Uint:
    if not _DIGITS.fullmatch(text) or text[0] in "+-":
        raise _fails("string", "uint")
    return unsigned(int(text))


def double_of_string(text: str) -> float:
    """The double a text says, as Go reads it; EvaluationError if it says none."""
    if "_" in text:
        hexadecimal = "x" in text.lower()
        text = (_HEXADECIMAL_JOINT if hexadecimal else _JOINT).sub("", text)
    if _HEXADECIMAL.fullmatch(text):
        value = _from_hexadecimal(text)
    elif _DOUBLE.fullmatch(text):
        value = float(text)
    else:
        raise _fails("string", "double")
    if math.isinf(value) and "inf" not in text.lower():
        raise _fails("string", "double")
    return value


def _from_hexadecimal(text: str) -> float:
    try:
        return float.fromhex(text)
    except OverflowError:
        return math.inf


def _no_duration(_: Meter, __: int) -> Duration:
    # Declared upstream, but never implemented.
    raise _fails("int", "google.protobuf.Duration")


def _whole(value: float) -> int:
    if math.isinf(value) or math.isnan(value):
        raise EvaluationError("integer overflow")
    return int(value)


def _int_of_double(_: Meter, value: float) -> int:
    if value <= -(2.0**63) or value >= 2.0**63:
        raise EvaluationError("integer overflow")
    return _whole(value)


def _uint_of_double(_: Meter, value: float) -> Uint:
    if value < 0:
        raise EvaluationError("unsigned integer overflow")
    return unsigned(_whole(value))


def general(value: float) -> str:
    """A double as Go's %g writes it: the shortest digits, an exponent from 10⁶ on."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    sign, digits, exponent = decimal.Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    point = len(text) + int(exponent)  # digits before the point
    if value == 0:
        return "-0" if sign else "0"
    if -4 <= point - 1 < 6:
        body = _plain_digits(text, point)
    else:
        head = text[0] + (f".{text[1:]}" if len(text) > 1 else "")
        body = f"{head}e{'-' if point < 1 else '+'}{abs(point - 1):02d}"
    return f"-{body}" if sign else body


def _plain_digits(text: str, point: int) -> str:
    if point <= 0:
        return f"0.{'0' * -point}{text}"
    if point >= len(text):
        return text + "0" * (point - len(text))
    return f"{text[:point]}.{text[point:]}"


def shortest(value: float) -> str:
    """A double as Go's strconv 'f' with precision -1 writes it."""
    return f"{decimal.Decimal(repr(value)):f}".removesuffix(".0")


def to_string(meter: Meter, value: Value) -> str:
    """`string(value)` for every type that has it."""
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(value)
    if kind is Uint:
        return str(value.value)
    if kind is float:
        return general(value)
    if kind is bytes:
        return _string_of_bytes(meter, value)
    if kind is Duration:
        return temporal.duration_text(value)
    if kind is Timestamp:
        return temporal.timestamp_text(value)
    if kind is TypeValue:
        return str(value.name)
    raise _fails(values.type_name(value), "string")


def _string_of_bytes(meter: Meter, value: bytes) -> str:
    meter.allow(len(value))
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise EvaluationError("invalid UTF-8 in bytes, cannot convert to string") from None


def _bytes(meter: Meter, text: str) -> bytes:
    meter.allow(len(text))
    return text.encode()


def _overloads(*pairs: tuple[str, Any]) -> tuple[Overload, ...]:
    return tuple(signatures.overload(text, implementation) for text, implementation in pairs)


OVERLOADS: tuple[Overload, ...] = _overloads(
    ("type(A) -> type(A)", lambda _, value: TypeValue(values.type_name(value))),
    ("bool(bool) -> bool", _same),
    ("bool(string) -> bool", _bool),
    ("bytes(bytes) -> bytes", _same),
    ("bytes(string) -> bytes", _bytes),
    ("double(double) -> double", _same),
    ("double(int) -> double", lambda _, value: float(value)),
    ("double(string) -> double", lambda _, text: double_of_string(text)),
    ("double(uint) -> double", lambda _, value: float(value.value)),
    ("duration(duration) -> duration", _same),
    ("duration(int) -> duration", _no_duration),
    ("duration(string) -> duration", lambda _, text: temporal.duration(text)),
    ("dyn(A) -> dyn", _same),
    ("int(int) -> int", _same),
    ("int(double) -> int", _int_of_double),
    ("int(duration) -> int", lambda _, value: value.nanos),
    ("int(string) -> int", _int_of_string),
    ("int(timestamp) -> int", lambda _, value: value.nanos // values.NANO),
    ("int(uint) -> int", lambda _, value: integer(value.value)),
    ("string(string) -> string", _same),
    ("string(bool) -> string", to_string),
    ("string(bytes) -> string", to_string),
    ("string(double) -> string", to_string),
    ("string(duration) -> string", to_string),
    ("string(int) -> string", to_string),
    ("string(timestamp) -> string", to_string),
    ("string(uint) -> string", to_string),
    ("timestamp(timestamp) -> timestamp", _same),
    ("timestamp(int) -> timestamp", lambda _, value: timestamp(value * values.NANO)),
    ("timestamp(string) -> timestamp", lambda _, text: temporal.timestamp(text)),
    ("uint(uint) -> uint", _same),
    ("uint(double) -> uint", _uint_of_double),
    ("uint(int) -> uint", lambda _, value: unsigned(value)),
    ("uint(string) -> uint", _uint_of_string),
)

# Declared up to 1.36.
DURATION_OF_INT: Overload = next(
    one for one in OVERLOADS if one.function == "duration" and one.parameters == (signatures.INT,)
)
