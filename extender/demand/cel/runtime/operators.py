"""Arithmetic, order, membership and size: the operators of the language.

Source: cel-go common/stdlib/standard.go and common/types. Integers that leave 64 bits are errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from extender.demand.cel.runtime import values
from extender.demand.cel.runtime.meter import EvaluationError, Meter, no_such_overload
from extender.demand.cel.runtime.values import Duration, Map, Timestamp, Uint, Value
from extender.demand.cel.typecheck.signatures import Implementation

# Seconds since 1970 of the years 1 and 9999.
FIRST_SECOND = -62135596800
LAST_SECOND = 253402300799

# In upstream's order: the first that fits decides what a type not yet known becomes.
_COMPARED = (
    "bool, bool", "int, int", "int, double", "int, uint", "uint, uint", "uint, double", "uint, int",
    "double, double", "double, int", "double, uint", "string, string", "bytes, bytes",
    "timestamp, timestamp", "duration, duration",
)  # fmt: skip

# Signatures; what they run is in IMPLEMENTATIONS, by function.
SIGNATURES: tuple[str, ...] = (
    "_?_:_(bool, A, A) -> A",
    "_&&_(bool, bool) -> bool",
    "_||_(bool, bool) -> bool",
    "!_(bool) -> bool",
    "@not_strictly_false(bool) -> bool",
    "_==_(A, A) -> bool",
    "_!=_(A, A) -> bool",
    "_+_(bytes, bytes) -> bytes",
    "_+_(double, double) -> double",
    "_+_(duration, duration) -> duration",
    "_+_(duration, timestamp) -> timestamp",
    "_+_(timestamp, duration) -> timestamp",
    "_+_(int, int) -> int",
    "_+_(list(A), list(A)) -> list(A)",
    "_+_(string, string) -> string",
    "_+_(uint, uint) -> uint",
    "_/_(double, double) -> double",
    "_/_(int, int) -> int",
    "_/_(uint, uint) -> uint",
    "_%_(int, int) -> int",
    "_%_(uint, uint) -> uint",
    "_*_(double, double) -> double",
    "_*_(int, int) -> int",
    "_*_(uint, uint) -> uint",
    "-_(double) -> double",
    "-_(int) -> int",
    "_-_(double, double) -> double",
    "_-_(duration, duration) -> duration",
    "_-_(int, int) -> int",
    "_-_(timestamp, duration) -> timestamp",
    "_-_(timestamp, timestamp) -> duration",
    "_-_(uint, uint) -> uint",
    *(f"_{operator}_({pair}) -> bool" for operator in ("<", "<=", ">", ">=") for pair in _COMPARED),
    "_[_](list(A), int) -> A",
    "_[_](map(A, B), A) -> B",
    "@in(A, list(A)) -> bool",
    "@in(A, map(A, B)) -> bool",
    "size(bytes) -> int",
    "bytes::size() -> int",
    "size(list(A)) -> int",
    "list(A)::size() -> int",
    "size(map(A, B)) -> int",
    "map(A, B)::size() -> int",
    "size(string) -> int",
    "string::size() -> int",
)


def integer(value: int) -> int:
    """An int result; EvaluationError on overflow."""
    if not values.MIN_INT <= value <= values.MAX_INT:
        raise EvaluationError("integer overflow")
    return value


def unsigned(value: int) -> Uint:
    """A uint result; EvaluationError on overflow."""
    if not 0 <= value <= values.MAX_UINT:
        raise EvaluationError("unsigned integer overflow")
    return Uint(value)


def timestamp(nanos: int, offset: int = 0) -> Timestamp:
    """A timestamp result; EvaluationError outside the years 1 to 9999."""
    if not FIRST_SECOND <= nanos // values.NANO <= LAST_SECOND:
        raise EvaluationError("timestamp overflow")
    return Timestamp(nanos, offset)


def _add(meter: Meter, left: Value, right: Value) -> Value:
    kind = type(left)
    if kind is type(right):
        if kind is int:
            return integer(left + right)
        if kind is str or kind is bytes or kind is list:
            meter.allow(len(left) + len(right))
            return left + right
        if kind is float:
            return left + right
        if kind is Uint:
            return unsigned(left.value + right.value)
        if kind is Duration:
            return Duration(integer(left.nanos + right.nanos))
    if kind is Timestamp and type(right) is Duration:
        return timestamp(left.nanos + right.nanos, left.offset)
    if kind is Duration and type(right) is Timestamp:
        return timestamp(left.nanos + right.nanos, right.offset)
    raise no_such_overload(left, right)


def _subtract(_: Meter, left: Value, right: Value) -> Value:
    kind = type(left)
    if kind is type(right):
        if kind is int:
            return integer(left - right)
        if kind is float:
            return left - right
        if kind is Uint:
            return unsigned(left.value - right.value)
        if kind is Duration or kind is Timestamp:
            return Duration(integer(left.nanos - right.nanos))
    if kind is Timestamp and type(right) is Duration:
        return timestamp(left.nanos - right.nanos, left.offset)
    raise no_such_overload(left, right)


def _multiply(_: Meter, left: Value, right: Value) -> Value:
    kind = type(left)
    if kind is type(right):
        if kind is int:
            return integer(left * right)
        if kind is float:
            return left * right
        if kind is Uint:
            return unsigned(left.value * right.value)
    raise no_such_overload(left, right)


def _quotient(left: int, right: int) -> int:
    """Integer division as in Go: towards zero."""
    if right == 0:
        raise EvaluationError("division by zero")
    size = abs(left) // abs(right)
    return size if (left < 0) == (right < 0) else -size


def _divide(_: Meter, left: Value, right: Value) -> Value:
    kind = type(left)
    if kind is type(right):
        if kind is int:
            return integer(_quotient(left, right))
        if kind is float:
            return _divide_doubles(left, right)
        if kind is Uint:
            return Uint(_quotient(left.value, right.value))
    raise no_such_overload(left, right)


def _divide_doubles(left: float, right: float) -> float:
    if right != 0.0:
        return left / right
    if left == 0.0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def _modulo(_: Meter, left: Value, right: Value) -> Value:
    kind = type(left)
    if kind is type(right) and kind is int:
        remainder = left - _quotient(left, right) * right
        if left == values.MIN_INT and right == -1:
            raise EvaluationError("integer overflow")
        return remainder
    if kind is type(right) and kind is Uint:
        return Uint(left.value - _quotient(left.value, right.value) * right.value)
    raise no_such_overload(left, right)


def _negate(_: Meter, value: Value) -> Value:
    if type(value) is int:
        return integer(-value)
    if type(value) is float:
        return -value
    if type(value) is Duration:
        return Duration(integer(-value.nanos))
    raise no_such_overload(value)


def _not(_: Meter, value: Value) -> bool:
    if type(value) is not bool:
        raise no_such_overload(value)
    return not value


def _ordered(holds: Callable[[int], bool]) -> Implementation:
    return lambda _, left, right: holds(values.compare(left, right))


def contains(meter: Meter, element: Value, container: Value) -> bool:
    """`element in container`: an element of a list, or a key of a map."""
    if type(container) is list:
        return any(values.matches(meter, element, one) for one in container)
    if type(container) is Map:
        return container.holds(element)
    raise no_such_overload(element, container)


def _size(_: Meter, value: Value) -> int:
    if type(value) in {str, bytes, list}:
        return len(value)
    if type(value) is Map:
        return len(value.entries)
    raise no_such_overload(value)


# function → what all its overloads run
IMPLEMENTATIONS: dict[str, Implementation] = {
    "_+_": _add, "_-_": _subtract, "_*_": _multiply, "_/_": _divide, "_%_": _modulo,
    "-_": _negate, "!_": _not, "@in": contains, "size": _size,
    "_<_": _ordered(lambda order: order < 0), "_<=_": _ordered(lambda order: order <= 0),
    "_>_": _ordered(lambda order: order > 0), "_>=_": _ordered(lambda order: order >= 0),
}  # fmt: skip
