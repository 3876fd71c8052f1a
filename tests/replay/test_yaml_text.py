import pytest
import yaml
from hypothesis import given, strategies

from extender.replay import yaml_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", id="a date"),
        pytest.param("10:20", "10:20", id="a PCI address, not 620"),
        pytest.param("10:20.5", "10:20.5", id="the same with a fraction"),
        pytest.param("1e3", "1e3", id="an exponent without a point"),
        pytest.param("010", 8, id="an octal number"),
        pytest.param("0x1f", 31, id="a hexadecimal number"),
        pytest.param("-5", -5, id="a negative number"),
        pytest.param("1_000", 1000, id="a number with marks"),
        pytest.param("1.5", 1.5, id="a fraction"),
        pytest.param("yes", True, id="yes"),
        pytest.param("~", None, id="nothing"),
        pytest.param("'5'", "5", id="quoted"),
        pytest.param("!!str 5", "5", id="tagged"),
    ],
)
def test_a_word_means_what_kubernetes_makes_of_it(text, value):
    parsed = yaml_text.parse(f"a: {text}\n")
    assert parsed.value == {"a": value}
    assert type(parsed.value["a"]) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: &x {b: 1}\nc: *x\n", id="an alias"),
        pytest.param("base: &x {b: 1}\na: {<<: *x, c: 2}\n", id="a merge"),
        pytest.param("1: a\n2: b\n", id="numbers as keys"),
        pytest.param("!!set {a, b}\n", id="a set"),
    ],
)
def test_what_is_not_plain_is_read_as_well(text):
    assert yaml_text.parse(text).value == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("kind: List\nitems:\n- a: 1\n- a: 2\n\n- a: 3\n", (2, 3, 5)),
        ("items: [{}, [1],\n 5]\n", (0, 0, 1)),
        ("items: {a: [1, 2]}\n", ()),
        ("other:\n  items: [1, 2]\n", ()),
        ("items: null\n", ()),
        ("x: &x 1\nitems:\n- 1\n- 2\n", (2, 3)),
    ],
)
def test_members_of_items_have_their_lines(text, lines):
    parsed = yaml_text.parse(text)
    assert parsed.item_lines == lines
    assert yaml_text._from_nodes(text).item_lines == lines


@pytest.mark.parametrize("text", ["", "# only words\n", "---\n"])
def test_no_document_is_no_value(text):
    assert yaml_text.parse(text).value is None


@pytest.mark.parametrize("text", ["a: [", "{a: 1}: 2\n", "a: *nobody\n", "a: 1\n---\nb: 2\n"])
def test_broken_text_raises_what_pyyaml_raises(text):
    with pytest.raises(yaml.MarkedYAMLError):
        yaml_text.parse(text)


words = strategies.text("ab01.:-+eE_xoyn~<>!&* #'\"\n", max_size=6)
values = strategies.recursive(
    words | strategies.integers() | strategies.booleans() | strategies.none()
    | strategies.floats(allow_nan=False, allow_infinity=False),
    lambda inner: strategies.lists(inner, max_size=3)
    | strategies.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(value=strategies.dictionaries(words, values, max_size=4), flow=strategies.booleans())
def test_both_ways_read_the_same(value, flow):
    text = yaml.safe_dump(value, default_flow_style=flow)
    assert yaml_text.parse(text) == yaml_text._from_nodes(text)


@given(text=strategies.text("ab01{}[]:-,'\"&*!\n ", max_size=30))
def test_both_ways_agree_on_any_text(text):
    def read(way):
        try:
            return way(text)
        except (yaml.YAMLError, ValueError):
            return "broken"

    assert read(yaml_text.parse) == read(yaml_text._from_nodes)
