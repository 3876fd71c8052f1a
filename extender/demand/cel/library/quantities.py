"""Kubernetes quantities in CEL, with the representation upstream computes with.

Sources: apiserver pkg/cel/library/quantity.go, apimachinery pkg/api/resource. A quantity is a
64-bit number with a power of ten while it fits, else a big decimal; `isInteger` looks at that form
more than at the amount.
"""

from __future__ import annotations

import math
import re

from extender.demand.cel.runtime import values
from extender.demand.cel.runtime.meter import EvaluationError, Meter, UnansweredError
from extender.demand.cel.runtime.values import Quantity
from extender.demand.cel.typecheck import signatures
from extender.demand.cel.typecheck.signatures import Implementation, Overload

_FORM = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]*)(?:(?P<point>\.)(?P<part>[0-9]*))?(?P<suffix>.*)",
    re.ASCII | re.DOTALL,
)
_DECIMAL = {
    "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
}  # fmt: skip
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]{1,10})", re.ASCII)
_MOST_CHARACTERS = 512
_MOST_EXPONENT = 1000
_FAST_DIGITS = 18
_NANO = -9


def parse(text: str) -> Quantity:
    """The quantity a text says; EvaluationError if it says none."""
    if not text:
        raise EvaluationError("quantities must match the regular expression")
    if len(text) > _MOST_CHARACTERS:
        raise UnansweredError("a quantity of so many characters")
    match = _FORM.fullmatch(text)
    if match is None or (match["suffix"] and not _suffix_is_known(match["suffix"])):
        raise EvaluationError("quantities must match the regular expression")
    whole, part = match["whole"].lstrip("0"), match["part"] or ""
    suffix = match["suffix"]
    negative = match["sign"] == "-"
    if suffix in _BINARY:
        return _binary(whole, part, _BINARY[suffix], negative=negative)
    exponent = _EXPONENT.fullmatch(suffix)
    scale = int(exponent[1]) if exponent else _DECIMAL[suffix]
    if abs(scale) > _MOST_EXPONENT:
        raise UnansweredError("a quantity of such an exponent")
    return _decimal(whole, part, scale, negative=negative)


def _suffix_is_known(suffix: str) -> bool:
    return suffix in _BINARY or suffix in _DECIMAL or _EXPONENT.fullmatch(suffix) is not None


def _decimal(whole: str, part: str, scale: int, *, negative: bool) -> Quantity:
    digits = whole or "0"
    unscaled = int(digits + part) * (-1 if negative else 1)
    low = scale - len(part)
    if len(digits) + len(part) <= _FAST_DIGITS and low >= _NANO:
        return Quantity(unscaled, low)
    return _rounded(unscaled, low)


def _binary(whole: str, part: str, power: int, *, negative: bool) -> Quantity:
    digits = whole or "0"
    sign = -1 if negative else 1
    # Upstream's own estimate of the digits that 2^power takes.
    digits_left = 15 - len(digits) - power * 3 // 10 - 1
    if not part and digits_left >= 0:
        return Quantity(sign * int(digits) * 2**power, 0)
    found = _rounded(sign * int(digits + part) * 2**power, -len(part))
    most = values.MAX_INT
    if values.compare_quantities(found, Quantity(most, 0)) > 0:
        found.unscaled, found.scale = most, 0
    elif values.compare_quantities(found, Quantity(-most, 0)) < 0:
        found.unscaled, found.scale = -most, 0
    return found


def _rounded(unscaled: int, scale: int) -> Quantity:
    """A big decimal in whole nanos, rounded away from zero."""
    if scale < _NANO:
        size = -(-abs(unscaled) // 10 ** (_NANO - scale))
        return Quantity(-size if unscaled < 0 else size, _NANO, exact=True)
    return Quantity(unscaled * 10 ** (scale - _NANO), _NANO, exact=True)


def of_nanos(nanos: int) -> Quantity:
    """A quantity of so many billionths, as the API server would write and read it."""
    scale = _NANO
    while nanos and nanos % 1000 == 0 and scale < 0:
        nanos //= 1000
        scale += 3
    if not nanos:
        return Quantity(0, 0)
    return Quantity(nanos, scale, exact=abs(nanos) > values.MAX_INT)


def _fits(amount: int) -> bool:
    return values.MIN_INT <= amount <= values.MAX_INT


def _plus(left: Quantity, right: Quantity) -> Quantity:
    """The sum: 64-bit as long as neither operand nor the result leaves it."""
    exact = left.exact or right.exact
    if not exact and not right.unscaled:
        return Quantity(left.unscaled, left.scale, computed=True)
    if not exact and not left.unscaled:
        return Quantity(right.unscaled, right.scale, computed=True)
    low = min(left.scale, right.scale)
    a = left.unscaled * 10 ** (left.scale - low)
    b = right.unscaled * 10 ** (right.scale - low)
    exact = exact or not (_fits(a) and _fits(b) and _fits(a + b))
    return Quantity(a + b, low, exact=exact, computed=True)


def _add(_: Meter, left: Quantity, right: Quantity) -> Quantity:
    return _plus(left, right)


def _sub(_: Meter, left: Quantity, right: Quantity) -> Quantity:
    negated = _plus(left, Quantity(-right.unscaled, right.scale, exact=right.exact))
    if right.unscaled == values.MIN_INT:
        # 64-bit negation leaves this number as it is, unless the sum leaves 64 bits.
        wrapped = _plus(left, right)
        if not wrapped.exact:
            return wrapped
        negated.exact = True
    return negated


def _as_integer(_: Meter, value: Quantity) -> int:
    whole = _integer(value)
    if whole is None:
        raise EvaluationError("cannot convert value to integer")
    return whole


def _integer(value: Quantity) -> int | None:
    if value.exact or value.scale < 0:
        return None
    whole = value.unscaled * 10**value.scale
    return whole if _fits(whole) else None


def _as_float(_: Meter, value: Quantity) -> float:
    base = float(value.unscaled)
    if value.scale == 0:
        return base
    try:
        return base * float(f"1e{value.scale}")
    except OverflowError:
        return math.copysign(math.inf, base) if base else math.nan


def _is_quantity(_: Meter, text: str) -> bool:
    try:
        parse(text)
    except EvaluationError:
        return False
    return True


def _compared(sign: int) -> Implementation:
    return lambda _, left, right: values.compare_quantities(left, right) == sign


OVERLOADS: tuple[Overload, ...] = tuple(
    signatures.overload(text, implementation)
    for text, implementation in (
        ("quantity(string) -> Quantity", lambda _, text: parse(text)),
        ("isQuantity(string) -> bool", _is_quantity),
        ("sign(Quantity) -> int", lambda _, q: (q.unscaled > 0) - (q.unscaled < 0)),
        ("Quantity::isGreaterThan(Quantity) -> bool", _compared(1)),
        ("Quantity::isLessThan(Quantity) -> bool", _compared(-1)),
        ("Quantity::compareTo(Quantity) -> int", lambda _, a, b: values.compare_quantities(a, b)),
        ("Quantity::asApproximateFloat() -> double", _as_float),
        ("Quantity::asInteger() -> int", _as_integer),
        ("Quantity::isInteger() -> bool", lambda _, q: _integer(q) is not None),
        ("Quantity::add(Quantity) -> Quantity", _add),
        ("Quantity::add(int) -> Quantity", lambda _, q, n: _plus(q, Quantity(n, 0))),
        ("Quantity::sub(Quantity) -> Quantity", _sub),
        ("Quantity::sub(int) -> Quantity", lambda meter, q, n: _sub(meter, q, Quantity(n, 0))),
    )
)
