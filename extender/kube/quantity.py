"""Kubernetes quantities as exact integers: "500m", "80Gi", "1e3".

Source: apimachinery pkg/api/resource/quantity.go and suffix.go. Quantities finer than a nano are
rounded up there, and so here.
"""

from __future__ import annotations

import functools
import re
from fractions import Fraction

from extender.kube.objects import Quantity

NANO = 10**9

# A number of 10⁶ digits is an attack, not a quantity; int64 nanos have 19 digits.
_MOST_CHARACTERS = 64
_FORM = re.compile(
    r"(?P<sign>[+-]?)(?P<number>\d+\.?\d*|\.\d+)"
    r"(?:(?P<exponent>[eE][+-]?\d{1,3})|(?P<suffix>[KMGTPE]i|[numkMGTPE]))?",
    re.ASCII,  # a digit of another script is none to Kubernetes
)
_SUFFIXES: dict[str | None, Fraction] = {
    None: Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    **{suffix: Fraction(10 ** (3 * n)) for n, suffix in enumerate("kMGTPE", start=1)},
    **{suffix: Fraction(2 ** (10 * n)) for n, suffix in enumerate(
        ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}  # fmt: skip


@functools.lru_cache(maxsize=65536)
def nano(quantity: Quantity) -> int:
    """The quantity in billionths, exact; ValueError if it is not a quantity.

    >>> nano("1500m") == 1_500_000_000
    True
    """
    text = str(quantity)
    match = _FORM.fullmatch(text) if len(text) <= _MOST_CHARACTERS else None
    if match is None:
        raise ValueError(f"{text[:_MOST_CHARACTERS]!r} is not a quantity")
    if match["exponent"]:
        power = int(match["exponent"][1:])
        scale = Fraction(10) ** power
    else:
        scale = _SUFFIXES[match["suffix"]]
    value = Fraction(match["number"]) * scale * NANO
    rounded = -(-value.numerator // value.denominator)
    return -rounded if match["sign"] == "-" else rounded


def milli(quantity: Quantity) -> int:
    """The quantity in thousandths, rounded up (as kube-scheduler counts CPU)."""
    return -(-nano(quantity) // 10**6)


def whole(quantity: Quantity) -> int:
    """The quantity in whole units, rounded up (bytes, devices)."""
    return -(-nano(quantity) // NANO)
