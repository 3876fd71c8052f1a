"""The table of a load test, and how it is compared with what is typical."""

import pytest

from loadtests.traffic import results, scenarios


def row(verb, p50, p90=0.0, p99=0.0, **fields):
    given = {"requests": 10, "failures": 0, "max": p99} | fields
    return results.Row(verb=verb, p50=p50, p90=p90 or p50, p99=p99 or p50, **given)


ROWS = [row("echo filter", 2.0), row("filter", 3.0, 6.0, 20.0), row("preempt", 9.0)]
TYPICAL = {"filter": {"p50": (1.0, 2.0), "p90": (4.0, 5.0), "p99": (1.0, 8.0)}}


def test_the_table_has_a_line_for_each_verb():
    lines = results.table(ROWS).splitlines()

    assert lines[0].split() == ["verb", "requests", "failures", "p50", "p90", "p99", "max", "(ms)"]
    assert lines[2].split() == ["filter", "10", "0", "3.00", "6.00", "20.00", "20.00"]
    assert results.as_csv(ROWS).splitlines()[2] == "filter,10,0,3.0,6.0,20.0,20.0"


def test_ratios_are_to_the_echo_of_the_same_verb():
    assert results.ratios(ROWS) == {"filter": {"p50": 1.5, "p90": 3.0, "p99": 10.0}}


@pytest.mark.parametrize(
    "rows",
    [
        [row("filter", 3.0)],
        [row("filter", 3.0), row("echo prioritize", 1.0)],
        [row("filter", 3.0), row("echo filter", 0.0)],
        [row("filter", 0.0, requests=0), row("echo filter", 1.0)],
        [],
    ],
)
def test_without_an_echo_of_the_verb_there_is_no_ratio(rows):
    assert results.ratios(rows) == {}


def test_each_ratio_is_reported_with_what_is_typical():
    found = results.compare(results.ratios(ROWS), TYPICAL)

    assert found == [
        "filter p50: 1.50x the echo's p50 (1.0–2.0): as usual",
        "filter p90: 3.00x the echo's p50 (4.0–5.0): faster than usual by 1.33",
        "filter p99: 10.00x the echo's p50 (1.0–8.0): SLOWER than usual by 1.25",
    ]
    assert results.compare(results.ratios(ROWS), {})[0] == "filter p50: 1.50x the echo's p50"


def test_only_what_is_above_its_range_is_slower():
    assert results.slower(results.ratios(ROWS), TYPICAL)
    assert not results.slower(results.ratios(ROWS), {"filter": {"p90": (4.0, 5.0)}})
    assert not results.slower(results.ratios(ROWS), {})


def test_the_ranges_are_of_scenarios_that_there_are():
    assert set(results.read_ranges()) <= set(scenarios.names())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steady: {filter: {p50: [2.0, 1.0]}}", r"steady\.filter\.p50: 2\.0 is more than 1\.0"),
        ("steady: {filter: {p75: [1.0, 2.0]}}", r"steady\.filter\.p75 is not measured; there are"),
        ("steady: {filter: {p50: 1.0}}", "Expected `array`"),
        ("steady: {filter: {p50: [0, 1]}}", "> 0"),
        ("steady: [", "ranges.yaml: "),
    ],
)
def test_a_bad_range_says_where_it_is(tmp_path, text, words):
    (tmp_path / "ranges.yaml").write_text(text)

    with pytest.raises(scenarios.ScenarioError, match=words):
        results.read_ranges(tmp_path / "ranges.yaml")
