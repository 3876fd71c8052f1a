from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.kube import quantity


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("1", 10**9),
        ("500m", 5 * 10**8),
        ("1.5", 15 * 10**8),
        (".5", 5 * 10**8),
        ("1.", 10**9),
        ("+2", 2 * 10**9),
        ("-2", -2 * 10**9),
        ("1e3", 10**12),
        ("1E3", 10**12),
        ("1E", 10**27),
        ("2e-3", 2 * 10**6),
        ("1Ki", 1024 * 10**9),
        ("80Gi", 80 * 2**30 * 10**9),
        ("3n", 3),
        ("0.1n", 1),
        ("-0.1n", -1),
        ("7u", 7000),
        (3, 3 * 10**9),
        (2.5, 25 * 10**8),
    ],
)
def test_a_quantity_is_read_exactly(text, nano):
    assert quantity.nano(text) == nano


@pytest.mark.parametrize(
    "text",
    ["", "many", "1 Gi", "1gi", "1K", "e3", "1e", ".", "--1", "1e9999", "9" * 65, "1Gim", "٣"],
)
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity.nano(text)


@pytest.mark.parametrize(
    ("text", "milli", "whole"), [("1m", 1, 1), ("1500m", 1500, 2), ("1n", 1, 1), ("2", 2000, 2)]
)
def test_cpu_and_counts_are_rounded_up(text, milli, whole):
    assert (quantity.milli(text), quantity.whole(text)) == (milli, whole)


@given(st.integers(0, 10**12), st.sampled_from(["", "m", "k", "Ki", "M", "Gi"]))
def test_suffixes_are_factors(number, suffix):
    factor = {"": 1, "m": Fraction(1, 1000), "k": 1000, "Ki": 1024, "M": 10**6, "Gi": 2**30}

    assert quantity.nano(f"{number}{suffix}") == number * factor[suffix] * 10**9
