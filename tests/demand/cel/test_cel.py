"""The parts of CEL that have answers of their own: numbers, times, quantities, types, the tree."""

import math

import pytest

from extender.demand.cel.library import (
    conversions,
    formatting,
    network,
    quantities,
    temporal,
    urls,
    versions,
)
from extender.demand.cel.runtime import values
from extender.demand.cel.runtime.meter import (
    CostLimitError,
    EvaluationError,
    InvalidError,
    Meter,
    UnansweredError,
)
from extender.demand.cel.syntax import lexer, parser, syntax_tree, tree_builder
from extender.demand.cel.typecheck import signatures, unify

A = signatures.Type("variable", "A")
B = signatures.Type("variable", "B")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e6, "1e+06"),
        (100000.0, "100000"),
        (-1234567.5, "-1.2345675e+06"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (12345678.9, "1.23456789e+07"),
        (-0.0, "-0"),
        (math.inf, "+Inf"),
        (math.nan, "NaN"),
    ],
)
def test_doubles_are_written_as_go_writes_them(value, text):
    assert conversions.general(value) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x1p4", 16.0),
        ("1_0.0", 10.0),
        ("+inf", math.inf),
        (".5", 0.5),
        ("1e400", None),
        ("x", None),
    ],
)
def test_doubles_are_read_as_go_reads_them(text, value):
    if value is None:
        with pytest.raises(EvaluationError):
            conversions.double_of_string(text)
    else:
        assert conversions.double_of_string(text) == value


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h30m", "5400s"),
        ("-1.5ms", "-0.0015s"),
        ("1234567890.123456789s", "1234567890.1234567s"),
        ("1ns", "0.000000001s"),
        ("0", "0s"),
    ],
)
def test_durations_are_shown_in_seconds(text, seconds):
    assert temporal.duration_text(temporal.duration(text)) == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "1.h.", "9223372036854775808ns", "1d", "--1s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(EvaluationError):
        temporal.duration(text)


@pytest.mark.parametrize(
    "text",
    ["2020-01-01T00:00:00+02:00", "1970-01-01T00:00:00Z", "2024-02-29T23:59:59.5Z"],
)
def test_timestamps_keep_their_offset(text):
    assert temporal.timestamp_text(temporal.timestamp(text)) == text


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("40Gi", (40 * 2**30, 0, False)),
        ("500m", (500, -3, False)),
        ("1k", (1, 3, False)),
        ("1.5Gi", (3 * 2**29 * 10**9, -9, True)),
        ("0.0000000001", (1, -9, True)),
        ("-", (0, 0, False)),
        ("1e3", (1, 3, False)),
    ],
)
def test_quantities_have_upstreams_form(text, form):
    found = quantities.parse(text)
    assert (found.unscaled, found.scale, found.exact) == form


@pytest.mark.parametrize("text", ["", "1.2.3", "1 Gi", "1gi", "0x1", "1ki"])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(EvaluationError):
        quantities.parse(text)


def test_versions_come_in_the_order_of_semver():
    ordered = ["1.0.0-1", "1.0.0-2", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0", "1.2.0", "1.10.0"]
    found = [versions.parse(text).identity for text in ordered]
    assert found == sorted(found)
    assert versions.parse("1.0.0+a").identity == versions.parse("1.0.0+b").identity


@pytest.mark.parametrize(
    "text", ["1.2", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "v1.2.3", "1.2.3-a..b"]
)
def test_what_is_no_version_is_refused(text):
    with pytest.raises(EvaluationError):
        versions.parse(text)


@pytest.mark.parametrize("text", ["::ffff:1.2.3.4", "fe80::1%eth0", "1.2.3", "1.2.3.04", ""])
def test_addresses_that_kubernetes_refuses_are_refused(text):
    with pytest.raises(EvaluationError):
        network.address(text)


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("https://example.com:80/a%20b?x", "example.com:80", "/a%20b"),
        ("https://u:p@[::1]:8/", "[::1]:8", "/"),
        ("/only/path", "", "/only/path"),
        ("https://example.com/a b", "example.com", "/a%20b"),
        ("mailto:someone", "", ""),
    ],
)
def test_urls_are_taken_apart_as_go_does(text, host, path):
    found = urls.parse(text)
    assert (found.host, found.escaped_path()) == (host, path)


@pytest.mark.parametrize(
    "text", ["", "a/b", "http://a b/", "http://[1.2.3.4]/", "http://a:b/", "/%zz", "http://a:1:2/"]
)
def test_what_is_no_url_is_refused(text):
    with pytest.raises(EvaluationError):
        urls.parse(text)


@pytest.mark.parametrize(
    ("text", "arguments", "shown"),
    [
        ("%.3f", [12345.678], "12,345.678"),
        ("%e", [1234567.0], "1.234567×10⁰⁶"),
        ("%.12e", [0.1], "1.000000×10⁻⁰¹"),
        ("%f", ["Infinity"], "∞"),
        ("%s", [[1.5, "a\n", None]], '[1.500000, "a\\n", null]'),
        ("%X%%", [-255], "-FF%"),
    ],
)
def test_formats_are_those_of_american_english(text, arguments, shown):
    assert formatting.formatted(Meter(1000), text, arguments).strip() == shown.strip()


def test_a_type_that_does_not_fit_leaves_no_trace():
    types = unify.Unifier()
    pair = (signatures.INT, signatures.STRING)
    assert not types.all_assignable(pair, (A, A))
    assert types.all_assignable((signatures.STRING, signatures.list_of(B)), (A, signatures.DYN))
    assert types.substitute(A) == signatures.STRING
    assert types.substitute(B, free=signatures.DYN) == signatures.DYN


def test_a_variable_never_stands_for_what_holds_it():
    types = unify.Unifier()
    assert not types.assignable(signatures.list_of(A), A)


def test_signatures_read_as_documentation_writes_them():
    found = signatures.overload("list(optional(A))::unwrapOpt() -> list(A)")
    assert found.member
    assert found.function == "unwrapOpt"
    assert found.parameters == (signatures.list_of(signatures.optional_of(A)),)
    assert signatures.overload("_!=_(A, A) -> bool").function == "_!=_"


def test_chains_of_and_are_one_node_and_sums_lean_left():
    chain = parser.parse("a && b && c || d")
    assert isinstance(chain, syntax_tree.Call)
    assert [chain.function, len(chain.arguments)] == ["_||_", 2]
    assert len(chain.arguments[0].arguments) == 3
    total = parser.parse("1 - 2 - 3")
    assert total.arguments[0].function == "_-_"


@pytest.mark.parametrize(
    "text",
    [
        "1 +",
        "a b",
        "(a",
        "a.in",
        "a.1",
        "'a",
        "a ? b",
        "[1,,2]",
        "{1}",
        "a..b",
        "`a`",
        "let",
    ],
)
def test_what_the_grammar_does_not_have_is_invalid(text):
    with pytest.raises(InvalidError):
        parser.parse(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"'\u00e9\x41\101\?'", "éAA?"),
        (r"r'\n'", r"\n"),
        ("'''a\r\nb'''", "a\nb"),
        (r"b'\xff\101é'", b"\xffA\xc3\xa9"),
        ("0x1F", 31),
        ("18446744073709551615u", values.Uint(2**64 - 1)),
        (".5e1", 5.0),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_literals_have_the_values_they_say(text, value):
    assert parser.parse(text).value == value


@pytest.mark.parametrize("text", ["9223372036854775808", "1e999", r"'\ud800'", r"b'\u0041'", "1 2"])
def test_literals_out_of_range_are_invalid(text):
    with pytest.raises(InvalidError):
        parser.parse(text)


def test_tokens_and_nodes_and_levels_are_limited():
    for text in ("1," * 5000, "+".join("1" * 500), "[" * 100):
        with pytest.raises(UnansweredError):
            parser.parse(text)
    assert len(lexer.tokens("a.b[0]")) == 7
    build = tree_builder.TreeBuilder()
    made = [build.name("a") for _ in range(tree_builder.MOST_NODES)]
    with pytest.raises(UnansweredError):
        build.list_of(made)


def test_the_meter_tells_our_limit_from_upstreams():
    meter = Meter(10)
    with pytest.raises(UnansweredError):
        meter.charge(11)
    fresh = Meter(10)
    with pytest.raises(CostLimitError):
        fresh.spend(1_000_001)
    doubtful = Meter(10)
    doubtful.suspect(600_000)
    with pytest.raises(UnansweredError):
        doubtful.settle()


def test_keys_are_one_by_number_and_not_by_truth():
    held = values.Map()
    held.put(1, "int")
    held.put(True, "bool")
    assert held.find(values.Uint(1)) == (True, "int")
    assert held.find(1.0) == (True, "int")
    assert held.find(True) == (True, "bool")
    assert held.find(1.5) == (False, None)
