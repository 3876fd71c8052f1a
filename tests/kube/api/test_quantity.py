import contextlib
import functools
import json
import math
import pathlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.kube.api import quantity

AMOUNTS = pathlib.Path(__file__).parents[2] / "golden" / "quantities" / "amounts.jsonl"


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
    [
        "",
        "many",
        "1 Gi",
        "1gi",
        "1K",
        "Ei",
        "1e",
        "e-10",
        "--1",
        "1e99999999999999999999",
        "1Gim",
        "٣",
    ],
)
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity.nano(text)


@pytest.mark.parametrize(
    ("text", "milli", "whole"), [("1m", 1, 1), ("1500m", 1500, 2), ("1n", 1, 1), ("2", 2000, 2)]
)
def test_cpu_and_counts_are_rounded_up(text, milli, whole):
    assert (quantity.milli(text), quantity.whole(text)) == (milli, whole)


def test_amounts_are_those_of_upstreams_arithmetic():
    rows = [json.loads(row) for row in AMOUNTS.read_text(encoding="utf-8").splitlines()]

    assert [(texts, read(texts)) for texts, _ in rows] == [tuple(row) for row in rows]


def read(texts):
    """What the quantities come to in whole units and in thousandths."""
    try:
        total = functools.reduce(quantity.added, map(quantity.parse, texts))
    except ValueError:
        return None
    return [quantity.scaled(total, 0), quantity.scaled(total, -3)]


@given(st.text(alphabet="0123456789.+-eEinumkKMGTP", max_size=300))
def test_whatever_a_text_holds_it_is_an_int64_or_refused(text):
    try:
        found = quantity.whole(text), quantity.milli(text)
    except ValueError:
        return
    assert all(-(2**63) <= amount < 2**63 for amount in found)
    assert math.isfinite(float(quantity.nano(text)) * 2**63)


def test_a_long_text_takes_time_in_proportion_to_its_length():
    # A megabyte of each; what is quadratic in it does not end in a test's time.
    for text in ("0" * 2**20 + "8", "7" * 2**20, "1." + "0" * 2**20 + "1", "1" * 2**20 + "x"):
        with contextlib.suppress(ValueError):
            quantity.whole(text)


@given(st.integers(0, 10**9), st.sampled_from(["", "m", "k", "Ki", "M", "Gi"]))
def test_suffixes_are_factors(number, suffix):
    factor = {"": 1, "m": Fraction(1, 1000), "k": 1000, "Ki": 1024, "M": 10**6, "Gi": 2**30}

    assert quantity.nano(f"{number}{suffix}") == number * factor[suffix] * 10**9


@given(
    texts=st.lists(
        st.sampled_from(
            [
                "0",
                "1",
                "2",
                "100m",
                "1Ki",
                "0.5",
                "9223372036854775807",
                "-3",
                "1e3",
                "4611686018427387904",
            ]
        ),
        min_size=1,
        max_size=6,
    )
)
def test_a_sum_is_what_one_addition_after_the_other_gives(texts):
    amounts = [quantity.parse(text) for text in texts]

    assert quantity.sum_of(amounts) == functools.reduce(quantity.added, amounts)
