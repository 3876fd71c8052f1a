"""The values that expressions compute with, and what they have in common: type, equality, order.

null is None; bool, int, double, string, bytes and list are bool, int, float, str, bytes and list;
the others are classes of this module. Lists are never changed once another value can see them.
Rarely an EvaluationError is an element: upstream stores errors that come out of optionals.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from extender.demand.cel.runtime.meter import EvaluationError, Meter, no_such_overload

Value: TypeAlias = Any  # one of the above; nothing in common that Python could check

INFINITY = math.inf
MAX_INT = 2**63 - 1
MIN_INT = -(2**63)
MAX_UINT = 2**64 - 1
NANO = 10**9


@dataclasses.dataclass(frozen=True, slots=True)
class Uint:
    """An unsigned integer of 64 bits."""

    value: int


@dataclasses.dataclass(frozen=True, slots=True)
class Duration:
    """A span of time in nanoseconds, within 64 bits."""

    nanos: int


@dataclasses.dataclass(frozen=True, slots=True)
class Timestamp:
    """A point in time in nanoseconds since 1970; `offset` in seconds is only how it is shown."""

    nanos: int
    offset: int = dataclasses.field(default=0, compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class TypeValue:
    """A type as a value: what `type(x)` gives."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Optional:
    """A value or none; `present` says which. What it holds may be an error."""

    present: bool
    held: Value = None

    @property
    def value(self) -> Value:
        """What it holds; EvaluationError if that is an error."""
        if isinstance(self.held, EvaluationError):
            raise self.held
        return self.held


NONE = Optional(present=False)


@dataclasses.dataclass(slots=True, eq=False)
class Quantity:
    """A Kubernetes quantity: `unscaled` × 10^`scale`.

    `exact` says that upstream holds it as a big decimal: then it is never "an integer".
    `computed` marks what add and sub give: upstream cannot compare such a value from the right.
    """

    unscaled: int
    scale: int
    exact: bool = False
    computed: bool = False


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Opaque:
    """A value of a Kubernetes library: its type's name, what it compares by, and more."""

    name: str
    identity: Value
    content: Value = None


class Map:
    """A map with keys of type bool, int, uint and string; `default` answers for absent keys.

    Integers that are equal are one key, whatever their type; the first one written stays.
    """

    __slots__ = ("default", "entries")

    def __init__(self, default: Map | None = None) -> None:
        # canonical key → (key as written, value)
        self.entries: dict[object, tuple[Value, Value]] = {}
        self.default = default

    def put(self, key: Value, value: Value) -> None:
        canonical = _key(key)
        previous = self.entries.get(canonical)
        self.entries[canonical] = (key if previous is None else previous[0], value)

    def remove(self, key: Value) -> None:
        self.entries.pop(_key(key), None)

    def holds(self, key: Value) -> bool:
        return bool(self.entries) and _key(key) in self.entries

    def find(self, key: Value) -> tuple[bool, Value]:
        """Whether there is a value for the key, the default included, and the value."""
        entry = self.entries.get(_key(key)) if self.entries else None
        if entry is not None:
            return True, entry[1]
        return self.default is not None, self.default

    def keys(self) -> Iterator[Value]:
        return (key for key, _ in self.entries.values())


_HASHED = frozenset({float, Duration, Timestamp, TypeValue})


def _key(key: Value) -> object:
    kind = type(key)
    if kind is str:
        return key
    if kind is bool:
        return (key,)  # not the integer that Python takes it for
    if kind is int:
        return key
    if kind is Uint:
        return key.value
    if kind is float and key.is_integer():
        return int(key)
    if kind in _HASHED:
        return key
    if kind is bytes:
        raise EvaluationError("bytes cannot be a key")
    return (kind, None if key is None else id(key))


# Python type → CEL type name
_NAMES: dict[type, str] = {
    type(None): "null_type", bool: "bool", int: "int", Uint: "uint", float: "double",
    str: "string", bytes: "bytes", list: "list", Map: "map", TypeValue: "type",
    Duration: "google.protobuf.Duration", Timestamp: "google.protobuf.Timestamp",
    Optional: "optional_type", Quantity: "kubernetes.Quantity", EvaluationError: "error",
}  # fmt: skip


def type_name(value: Value) -> str:
    """The name of the value's type, as `type(value)` shows it."""
    name: str | None = _NAMES.get(type(value))
    return name if name is not None else value.name


_NUMBERS = frozenset({int, Uint, float})
_PRIMITIVES = frozenset({int, bool})


def plain(number: Value) -> int | float:
    """The number behind an int, uint or double."""
    result: int | float = number.value if type(number) is Uint else number
    return result


def _ordered(left: Value, right: Value) -> int | None:
    """-1, 0 or 1; None with NaN. Integers meet doubles as doubles, as in Go."""
    a, b = plain(left), plain(right)
    if type(a) is float or type(b) is float:
        a, b = float(a), float(b)
        if math.isnan(a) or math.isnan(b):
            return None
    return int(a > b) - int(a < b)


def equal(meter: Meter, left: Value, right: Value) -> bool:
    """`left == right` as the left operand's type sees it.

    Values of different types differ, except that numbers compare by value. EvaluationError where
    the left operand's type refuses to compare: Quantity, Semver and the like with anything else.
    """
    meter.charge(1)
    kind = type(left)
    if kind is type(right) and kind in _PRIMITIVES:
        return bool(left == right)
    if left is None or right is None:
        return left is right
    special = _EQUAL.get(kind)
    if special is not None:
        return special(meter, left, right)
    if kind in _NUMBERS:
        return type(right) in _NUMBERS and _ordered(left, right) == 0
    if kind is str or kind is bytes:
        meter.charge(min(len(left), 4096) // 64)
    return kind is type(right) and bool(left == right)


def matches(meter: Meter, left: Value, right: Value) -> bool:
    """Whether `left == right`, where types that refuse to compare simply differ."""
    try:
        return equal(meter, left, right)
    except EvaluationError:
        return False


def _undecided_is_equal(meter: Meter, left: Value, right: Value) -> bool:
    # Upstream's lists and maps only look for a difference: an error is not one.
    try:
        return equal(meter, left, right)
    except EvaluationError:
        return True


def _lists_equal(meter: Meter, left: list[Value], right: Value) -> bool:
    if type(right) is not list or len(left) != len(right):
        return False
    return all(_undecided_is_equal(meter, a, b) for a, b in zip(left, right, strict=True))


def _maps_equal(meter: Meter, left: Map, right: Value) -> bool:
    if type(right) is not Map or len(left.entries) != len(right.entries):
        return False
    for key, value in left.entries.values():
        found, other = right.find(key)
        if not found or not _undecided_is_equal(meter, value, other):
            return False
    return True


def _optionals_equal(meter: Meter, left: Optional, right: Value) -> bool:
    if type(right) is not Optional or not left.present or not right.present:
        return type(right) is Optional and left.present == right.present
    return equal(meter, left.value, right.value)


def _quantities_equal(_: Meter, left: Quantity, right: Value) -> bool:
    if type(right) is not Quantity or right.computed:
        raise no_such_overload(left, right)
    return compare_quantities(left, right) == 0


def _opaques_equal(_: Meter, left: Opaque, right: Value) -> bool:
    if type(right) is not Opaque or right.name != left.name:
        raise no_such_overload(left, right)
    return bool(left.identity == right.identity)


def _error_equals(_: Meter, left: EvaluationError, __: Value) -> bool:
    raise left


# Python type of the left operand → its equality
_EQUAL: dict[type, Callable[[Meter, Value, Value], bool]] = {
    list: _lists_equal, Map: _maps_equal, Optional: _optionals_equal,
    Quantity: _quantities_equal, Opaque: _opaques_equal, EvaluationError: _error_equals,
}  # fmt: skip


def compare(left: Value, right: Value) -> int:
    """-1, 0 or 1; EvaluationError where there is no order between the two."""
    kind = type(left)
    if kind in _NUMBERS and type(right) in _NUMBERS:
        order = _ordered(left, right)
        if order is None:
            raise EvaluationError("NaN values cannot be ordered")
        return order
    if kind is not type(right):
        raise no_such_overload(left, right)
    if kind is str:
        # Go compares bytes; by code point is the same order.
        return int(left > right) - int(left < right)
    if kind is bytes or kind is bool:
        return int(left > right) - int(left < right)
    if kind is Duration or kind is Timestamp:
        return int(left.nanos > right.nanos) - int(left.nanos < right.nanos)
    raise no_such_overload(left, right)


def compare_quantities(left: Quantity, right: Quantity) -> int:
    """-1, 0 or 1 by amount. Comparing with a big decimal makes `left` one, as upstream."""
    low = min(left.scale, right.scale)
    a = left.unscaled * 10 ** (left.scale - low)
    b = right.unscaled * 10 ** (right.scale - low)
    left.exact = left.exact or right.exact
    return int(a > b) - int(a < b)
