from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.policy import config, validation


class Part(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    half_life: Annotated[int, msgspec.Meta(ge=1)] = 1
    mode: Literal["Soft", "Hard"] = "Soft"
    names: tuple[str, ...] = ()


class Whole(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    title: str
    share: Annotated[float, msgspec.Meta(le=1)] = 0.5
    parts: tuple[Part, ...] = ()
    labels: dict[str, str] = {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"title": "t"}, {}),
        ({}, {"title": "is missing"}),
        ([], {"": "expected a mapping, got a list"}),
        ({"title": None}, {"title": "expected a text, got nothing"}),
        ({"title": "t", "share": 2}, {"share": "expected a number <= 1.0, got 2"}),
        ({"title": "t", "share": True}, {"share": "expected a number, got true"}),
        ({"title": "t", "shares": 1}, {"shares": "unknown field; did you mean share?"}),
        ({"title": "t", "xyz": 1}, {"xyz": "unknown field"}),
        ({"title": "t", "parts": {}}, {"parts": "expected a list, got a mapping"}),
        (
            {"title": "t", "labels": {"a": 1}},
            {"labels[a]": "expected a text, got 1; put it in quotes"},
        ),
    ],
)
def test_a_problem_is_reported_in_plain_words(value, expected):
    assert dict(validation.problems(value, Whole)) == expected


def test_all_problems_are_reported_each_with_its_path():
    value = {
        "parts": [{"halfLife": 0, "mode": "soft"}, 3, {"half_life": 2, "names": ["a", 1]}],
        "share": "much",
    }

    assert dict(validation.problems(value, Whole, "policy")) == {
        "policy.parts[0].halfLife": "expected a whole number >= 1, got 0",
        "policy.parts[0].mode": "expected Soft or Hard, got soft",
        "policy.parts[1]": "expected a mapping, got 3",
        "policy.parts[2].half_life": "unknown field; did you mean halfLife?",
        "policy.parts[2].names[1]": "expected a text, got 1; put it in quotes",
        "policy.share": "expected a number, got much",
        "policy.title": "is missing",
    }


def test_a_long_value_is_cut():
    ((_, reported),) = validation.problems({"title": "t", "share": "x" * 500}, Whole)

    assert len(reported) < 100


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.floats(0, 1) | st.sampled_from(["a", "PHB"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["name", "locality", "weight", "mode", "level", "match", "labels"]),
            inner,
        )
    ),
    max_leaves=10,
)


@given(VALUES)
def test_it_finds_a_problem_exactly_where_msgspec_would(value):
    for kind in (config.Profile, config.Locality, config.Match):
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            assert list(validation.problems(value, kind))
        else:
            assert not list(validation.problems(value, kind))
