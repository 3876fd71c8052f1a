"""Kubernetes quantities ("500m", "80Gi", "1e3") as kube-scheduler computes with them.

kube-scheduler holds a quantity in 64 bits with a power of ten while it fits, else as a big decimal
in billionths, and reads it as an int64 where it counts CPU, memory and devices. What does not fit
an int64 becomes 0 or wraps there: a pod that asks for 1e400 CPUs asks for none, and is bound. So it
is here, for what is counted otherwise would be judged otherwise.

Source: apimachinery pkg/api/resource, 0.36.3: quantity.go (ParseQuantity, Add, ScaledValue),
amount.go (AsScaledInt64, Add), math.go (positiveScaleInt64, negativeScaleInt64), scale_int.go
(scaledValue). Numbers from there are in tests/golden/quantities.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple

from extender import bounded_cache
from extender.kube.api.objects import Quantity

NANO = 10**9

# Quantified possessively: no text takes more than one pass, however long it is.
_FORM = re.compile(
    r"(?P<sign>[+-]?)(?P<zeros>0*+)(?P<whole>[0-9]*+)(?P<point>\.(?P<part>[0-9]*+))?"
    r"(?P<suffix>[eEinumkKMGTP]*+[+-]?[0-9]*+)",
    re.ASCII,  # a digit of another script is none to Kubernetes
)
_DECIMAL = {
    "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
}  # fmt: skip
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_EXPONENT = re.compile(r"[eE](?P<sign>[+-]?)0*+(?P<number>[0-9]{0,19})", re.ASCII)
_MOST, _LEAST = 2**63 - 1, -(2**63)
_FAST_DIGITS = 18  # maxInt64Factors of math.go
# Factors for which positiveScaleInt64 gives what is left after an overflow, and not 0.
_UNCHECKED = frozenset({0, 1, 2, 3, 6, 9})
_TENS: tuple[int, ...] = tuple([10**power for power in range(19)])
_LAST = 10**100  # digits of a big decimal that are kept: they alone tell what an int64 of it is
# Billionths from which amounts count as equally endless. A double holds their sums and quotients.
_ENDLESS = 10**200
_SHORT = 64  # texts that are remembered; an object may repeat a long one, but not for ever


class Amount(NamedTuple):
    """`number` times ten to the `power`; `big` where upstream holds it as a big decimal."""

    number: int
    power: int
    big: bool = False


ZERO = Amount(0, 0)


def parse(quantity: Quantity) -> Amount:
    """The amount that a text or number says; ValueError if Kubernetes reads none in it."""
    text = str(quantity)
    return _remembered(text) if len(text) <= _SHORT else _read(text)


def milli(quantity: Quantity) -> int:
    """Thousandths as an int64, rounded up: how kube-scheduler counts CPU (`MilliValue`)."""
    return scaled(parse(quantity), -3)


def whole(quantity: Quantity) -> int:
    """Whole units as an int64, rounded up: bytes and devices (`Value`)."""
    return scaled(parse(quantity), 0)


def nano(quantity: Quantity) -> int:
    """Billionths, exact, as the allocator of device claims compares capacities (`Cmp`).

    >>> nano("1500m") == 1_500_000_000
    True
    """
    return nanos(parse(quantity))


def nanos(amount: Amount) -> int:
    """The amount in billionths, 10²⁰⁰ where it is more than that."""
    if -9 <= amount.power <= 9 and not amount.big:
        return amount.number * _TENS[amount.power + 9]
    shift = amount.power + 9
    if amount.number and shift > 200:
        return _ENDLESS if amount.number > 0 else -_ENDLESS
    return max(-_ENDLESS, min(amount.number * _ten(max(shift, 0)), _ENDLESS))


def added(left: Amount, right: Amount) -> Amount:
    """The sum: in 64 bits while neither operand nor the result leaves them."""
    low = min(left.power, right.power)
    if not (left.big or right.big):
        if not right.number:
            return left
        if not left.number:
            return right
        if left.power == right.power:  # the usual case, in a third of the time
            number = left.number + right.number
            if _LEAST <= number <= _MOST:
                return Amount(number, low)
        if max(left.power, right.power) - low <= _FAST_DIGITS:
            parts = [each.number * _ten(each.power - low) for each in (left, right)]
            if all(_LEAST <= number <= _MOST for number in (*parts, sum(parts))):
                return Amount(sum(parts), low)
    # What stands 120 digits higher adds nothing to an int64 of the sum.
    number = sum(each.number * _ten(min(each.power - low, 120)) for each in (left, right))
    return Amount(number, low, big=True)


def sum_of(amounts: Sequence[Amount]) -> Amount:
    """`added` to one another, from the first on; at least one."""
    first = amounts[0]
    if len(amounts) > 2 and not first.big:
        # Of 10,000 containers: none of the sums on the way is larger than the last.
        numbers = [number for number, power, big in amounts if power == first.power and not big]
        total = sum(numbers)
        if len(numbers) == len(amounts) and min(numbers) >= 0 and total <= _MOST:
            return Amount(total, first.power)
    return functools.reduce(added, amounts)


def scaled(amount: Amount, power: int) -> int:
    """The int64 that kube-scheduler reads, in units of ten to the `power` (`ScaledValue`)."""
    if amount.big:
        return _scaled_big(amount.number, power - amount.power)
    number, shift = amount.number, amount.power - power
    if shift < 0:
        size = -(-abs(number) // _ten(-shift))
        return size if number > 0 else -size
    if shift > 2**31 - 1:
        return number  # upstream's int32 wraps, and its loop over the places has no turn
    if not number or number == _LEAST or shift > _FAST_DIGITS:
        return number if not shift else 0
    product = number * _ten(shift)
    if shift in _UNCHECKED:
        return _wrapped(product)
    return product if _LEAST <= product <= _MOST else 0


def _scaled_big(number: int, shift: int) -> int:
    if shift <= 0:
        # The factor passes through a double; amd64 turns one that is too large into the least.
        return _wrapped(_wrapped(number) * (_ten(-shift) if shift >= -18 else _LEAST))
    divisor = _ten(shift)
    if number < _MOST and shift < 19:
        short = _wrapped(number)
        size = abs(short) // divisor
        return (size if short > 0 else -size) + (short % divisor != 0)
    return _wrapped(number // divisor + (number % divisor != 0))


def _ten(power: int) -> int:
    return int(10**power)  # of a power below zero Python would make a float


def _wrapped(number: int) -> int:
    """The number as 64 bits hold it."""
    return (number + 2**63) % 2**64 - 2**63


# ---------------------------------------------------------------- reading


def _read(text: str) -> Amount:
    match = _FORM.fullmatch(text.strip())
    suffix = match["suffix"] if match else ""
    exponent = _BINARY.get(suffix) or _exponent(suffix)
    if match is None or not match[0] or exponent is None:
        raise ValueError(f"{text[:_SHORT]!r} is not a quantity")
    whole, part = match["whole"] or "0", match["part"] or ""
    read = _binary if suffix in _BINARY else _decimal
    size = read(whole, part, exponent)
    # With no digit at all a text stands for 0, unless it takes a big decimal to say so.
    if size.big and not (match["zeros"] or match["whole"] or part):
        raise ValueError(f"{text[:_SHORT]!r} is not a quantity")
    return size._replace(number=-size.number) if match["sign"] == "-" else size


_remembered = bounded_cache.remembered("quantities", 16_384)(_read)


def _exponent(suffix: str) -> int | None:
    """The power of ten that a suffix means, as an int32; None if it is none."""
    if suffix in _DECIMAL:
        return _DECIMAL[suffix]
    match = _EXPONENT.fullmatch(suffix) if suffix[-1:].isdigit() else None
    number = int(f"{match['sign']}{match['number'] or 0}") if match else _MOST + 1
    return _int32(number) if _LEAST <= number <= _MOST else None


def _int32(number: int) -> int:
    return (number + 2**31) % 2**32 - 2**31


def _binary(whole: str, part: str, exponent: int) -> Amount:
    # Upstream's own estimate of the digits that the power of two takes.
    if not part and 15 - len(whole) - exponent * 3 // 10 - 1 >= 0:
        return Amount(int(whole) << exponent, 0)
    if len(whole) > 20:
        return Amount(_MOST, 0, big=True)
    # What is beyond 60 digits only tells whether to round up.
    digits = part[:60] + ("1" if part[60:].strip("0") else "")
    size = -(-(int(whole + digits) * NANO << exponent) // _ten(len(digits)))
    return Amount(_MOST, 0, big=True) if size > _MOST * NANO else Amount(size, -9, big=True)


def _decimal(whole: str, part: str, exponent: int) -> Amount:
    shift = _int32(exponent - len(part))
    if len(whole) + len(part) <= _FAST_DIGITS and shift >= -9:
        return Amount(int(whole + part), shift)
    return Amount(_rounded((whole + part).lstrip("0"), shift + 9), -9, big=True)


def _rounded(digits: str, shift: int) -> int:
    """The digits times ten to the `shift`, rounded up; of an endless number only its end."""
    more = 0
    if shift < 0:
        digits, rest = digits[:shift], digits[shift:]
        more, shift = int(bool(rest.strip("0"))), 0
    if not digits:
        return more
    if len(digits) + shift <= 200:
        return int(digits) * _ten(shift) + more
    end = int(digits[-100:]) * _ten(min(shift, 100)) % _LAST
    return _ENDLESS + end + more
