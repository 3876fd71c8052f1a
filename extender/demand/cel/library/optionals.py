"""Optional values: made, asked, taken apart. Source: cel-go cel/library.go (OptionalTypes)."""

from __future__ import annotations

from extender.demand.cel.runtime import values
from extender.demand.cel.runtime.meter import EvaluationError, Meter
from extender.demand.cel.runtime.values import NONE, Duration, Map, Optional, Timestamp, Uint, Value
from extender.demand.cel.typecheck import signatures
from extender.demand.cel.typecheck.signatures import Overload

# Go's zero time is the first second of year 1.
_ZEROES = (Uint(0), Duration(0), Timestamp(-62135596800 * values.NANO))


def _of(_: Meter, value: Value) -> Optional:
    return Optional(present=True, held=value)


def _is_zero(value: Value) -> bool:
    if value is None:
        return True
    kind = type(value)
    if kind in {bool, int, float, str, bytes, list}:
        return not value
    if kind is Map:
        return not value.entries
    return bool(value in _ZEROES) if kind in {Uint, Duration, Timestamp} else False


def _of_non_zero(_: Meter, value: Value) -> Optional:
    return NONE if _is_zero(value) else Optional(present=True, held=value)


def _value(_: Meter, given: Optional) -> Value:
    if not given.present:
        raise EvaluationError("optional.none() dereference")
    return given.value


def _unwrap(meter: Meter, given: list[Value]) -> list[Value]:
    meter.charge(len(given))
    if not all(type(one) is Optional for one in given):
        raise EvaluationError("value is not optional")
    return [one.held for one in given if one.present]


def _at(given: list[Value], index: int) -> Optional:
    return Optional(present=True, held=given[index]) if given else NONE


OVERLOADS: tuple[Overload, ...] = tuple(
    signatures.overload(text, implementation)
    for text, implementation in (
        ("optional.of(A) -> optional(A)", _of),
        ("optional.ofNonZeroValue(A) -> optional(A)", _of_non_zero),
        ("optional.none() -> optional(A)", lambda _: NONE),
        ("optional(A)::value() -> A", _value),
        ("optional(A)::hasValue() -> bool", lambda _, given: given.present),
        ("optional(A)::or(optional(A)) -> optional(A)", None),
        ("optional(A)::orValue(A) -> A", None),
        ("_[?_](list(A), int) -> optional(A)", None),
        ("_[?_](optional(list(A)), int) -> optional(A)", None),
        ("_[?_](map(A, B), A) -> optional(B)", None),
        ("_[?_](optional(map(A, B)), A) -> optional(B)", None),
        ("_[_](optional(list(A)), int) -> optional(A)", None),
        ("_[_](optional(map(A, B)), A) -> optional(B)", None),
        ("list(A)::last() -> optional(A)", lambda _, given: _at(given, -1)),
        ("list(A)::first() -> optional(A)", lambda _, given: _at(given, 0)),
        ("optional.unwrap(list(optional(A))) -> list(A)", _unwrap),
        ("list(optional(A))::unwrapOpt() -> list(A)", _unwrap),
    )
)
