"""Lists and sets: cel-go's ext.Lists version 3 and ext.Sets, and the Kubernetes list library.

Sources: cel-go ext/lists.go and ext/sets.go, apiserver pkg/cel/library/lists.go.
"""

from __future__ import annotations

import functools
from typing import Any

from extender.demand.cel.runtime import operators, values
from extender.demand.cel.runtime.meter import EvaluationError, Meter, no_such_overload
from extender.demand.cel.runtime.values import Duration, Uint, Value
from extender.demand.cel.typecheck import signatures
from extender.demand.cel.typecheck.signatures import Implementation, Overload

_COMPARED = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")
_ZERO: dict[str, Value] = {
    "int": 0, "uint": Uint(0), "double": 0.0, "duration": Duration(0),
}  # fmt: skip


def _slice(meter: Meter, given: list[Value], start: int, end: int) -> list[Value]:
    if not 0 <= start <= end <= len(given):
        raise EvaluationError(f"cannot slice({start}, {end}), list is length {len(given)}")
    meter.charge(end - start)
    return given[start:end]


def _flatten(meter: Meter, given: Value, depth: Value = 1) -> list[Value]:
    if type(given) is not list or type(depth) is not int:
        raise no_such_overload(given)
    if depth < 0:
        raise EvaluationError("level must be non-negative")
    found = _flat(meter, given, depth)
    meter.spend(len(given) * depth)
    return found


def _flat(meter: Meter, given: list[Value], depth: int) -> list[Value]:
    found: list[Value] = []
    for one in given:
        meter.charge(1)
        if type(one) is list and depth > 0:
            found += _flat(meter, one, depth - 1)
        else:
            found.append(one)
    return found


def _order(left: Value, right: Value) -> int:
    try:
        return values.compare(left, right)
    except EvaluationError:
        return 0  # NaN: upstream takes anything that is not -1 for "not before"


def _sort_by(meter: Meter, given: list[Value], keys: list[Value]) -> list[Value]:
    if type(given) is not list or type(keys) is not list:
        raise no_such_overload(given, keys)
    if len(given) != len(keys):
        raise EvaluationError("sortBy: lists of different lengths")
    meter.charge(len(given) * max(1, len(given).bit_length()))
    if keys and not _is_comparable(keys[0]):
        raise EvaluationError("list elements must be comparable")
    if len(keys) > 1 and any(type(key) is not type(keys[0]) for key in keys):
        raise EvaluationError("list elements must have the same type")
    meter.spend(2 * len(keys) ** 2)
    by_key = functools.cmp_to_key(_order)
    return [given[i] for i in sorted(range(len(keys)), key=lambda i: by_key(keys[i]))]


def _is_comparable(value: Value) -> bool:
    return values.type_name(value) in _COMPARABLE


_COMPARABLE = frozenset({
    "int", "uint", "double", "bool", "google.protobuf.Duration", "google.protobuf.Timestamp",
    "string", "bytes",
})  # fmt: skip


def _sort(meter: Meter, given: list[Value]) -> list[Value]:
    return _sort_by(meter, given, given)


def _range(meter: Meter, count: int) -> list[int]:
    meter.charge(max(count, 0))
    meter.spend(max(count, 0))
    return list(range(count))


def _reverse(meter: Meter, given: list[Value]) -> list[Value]:
    meter.charge(len(given))
    return given[::-1]


def _distinct(meter: Meter, given: list[Value]) -> list[Value]:
    found: list[Value] = []
    for one in given:
        if not any(values.matches(meter, one, other) for other in found):
            found.append(one)
    meter.spend(2 * len(given) ** 2)
    return found


def _is_sorted(meter: Meter, given: list[Value]) -> bool:
    previous: Value = None
    for index, one in enumerate(given):
        meter.charge(1)
        if not _is_comparable(one):
            raise no_such_overload(one)
        if index and _order(previous, one) > 0:
            return False
        previous = one
    return True


def _sum(zero: Value) -> Implementation:
    add = operators.IMPLEMENTATIONS["_+_"]

    def implementation(meter: Meter, given: list[Value]) -> Value:
        total = zero
        for one in given:
            meter.charge(1)
            total = add(meter, total, one)
        return total

    return implementation


def _extreme(sign: int) -> Implementation:
    def implementation(meter: Meter, given: list[Value]) -> Value:
        if not given:
            raise EvaluationError("min or max called on empty list")
        found: Value = None
        for index, one in enumerate(given):
            meter.charge(1)
            if not _is_comparable(one):
                raise no_such_overload(one)
            if not index or _order(one, found) == sign:
                found = one
        return found

    return implementation


def _index_of(meter: Meter, given: list[Value], wanted: Value) -> int:
    for index, one in enumerate(given):
        if values.matches(meter, one, wanted):
            return index
    return -1


def _last_index_of(meter: Meter, given: list[Value], wanted: Value) -> int:
    for index in range(len(given) - 1, -1, -1):
        if values.matches(meter, given[index], wanted):
            return index
    return -1


def _holds_all(meter: Meter, given: list[Value], wanted: list[Value]) -> bool:
    meter.spend(len(given) * len(wanted))
    return all(operators.contains(meter, one, given) for one in wanted)


def _equivalent(meter: Meter, given: list[Value], other: list[Value]) -> bool:
    return _holds_all(meter, given, other) and _holds_all(meter, other, given)


def _intersects(meter: Meter, given: list[Value], other: list[Value]) -> bool:
    meter.spend(len(given) * len(other))
    return any(operators.contains(meter, one, other) for one in given)


_MOST_INCLUDED = 48  # ResourceSliceMaxAttributeValuesPerDevice


def _includes(meter: Meter, target: Value, wanted: Value) -> bool:
    if type(target) is not list:
        return values.matches(meter, target, wanted)
    if any(values.matches(meter, one, wanted) for one in target[:_MOST_INCLUDED]):
        return True
    if len(target) > _MOST_INCLUDED:
        raise EvaluationError("'includes' function cannot be applied to lists that long")
    return False


def _overloads(*pairs: tuple[str, Any]) -> tuple[Overload, ...]:
    return tuple(signatures.overload(text, implementation) for text, implementation in pairs)


OVERLOADS: tuple[Overload, ...] = (
    *_overloads(
        *((f"list({one})::isSorted() -> bool", _is_sorted) for one in _COMPARED),
        *((f"list({one})::sum() -> {one}", _sum(zero)) for one, zero in _ZERO.items()),
        *((f"list({one})::max() -> {one}", _extreme(1)) for one in _COMPARED),
        *((f"list({one})::min() -> {one}", _extreme(-1)) for one in _COMPARED),
        ("list(A)::indexOf(A) -> int", _index_of),
        ("list(A)::lastIndexOf(A) -> int", _last_index_of),
    ),
    *_overloads(
        ("list(A)::slice(int, int) -> list(A)", _slice),
        ("list(list(A))::flatten() -> list(A)", None),
        ("list(dyn)::flatten(int) -> list(dyn)", None),
        *((f"list({one})::sort() -> list({one})", None) for one in _COMPARED),
        *((f"list(A)::@sort_by(list({one})) -> list(A)", None) for one in _COMPARED),
        ("lists.range(int) -> list(int)", _range),
        ("list(A)::reverse() -> list(A)", _reverse),
        ("list(A)::distinct() -> list(A)", _distinct),
        ("sets.contains(list(A), list(A)) -> bool", _holds_all),
        ("sets.equivalent(list(A), list(A)) -> bool", _equivalent),
        ("sets.intersects(list(A), list(A)) -> bool", _intersects),
    ),
)

# New in Kubernetes 1.36, whatever the gate of list attributes says: expressions that are already
# stored are compiled with everything that there is.
INCLUDES: tuple[Overload, ...] = _overloads(("dyn::includes(dyn) -> bool", _includes))

# function → what all its overloads run
IMPLEMENTATIONS: dict[str, Implementation] = {
    "flatten": _flatten, "sort": _sort, "@sort_by": _sort_by,
}  # fmt: skip
