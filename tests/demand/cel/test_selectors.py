"""Device selectors: upstream's own table, the limits, the memory."""

import inspect
import json
import pathlib
import random
import sys

import hypothesis
import hypothesis.strategies as st
import pytest

from extender import errors
from extender.demand import selectors, work
from tests.kit.selectors import hostile_selectors, selector_cases, selector_values, selector_writer

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "cel" / "cel_v1.36.json"


def verdict(engine, expression, given):
    """True, False, "compile", "runtime" or "unknown"."""
    try:
        return engine.matches(expression, given)
    except errors.SelectorError as problem:
        return "runtime" if problem.compiled else "compile"
    except errors.UnknownSelectorError:
        return "unknown"


def upstream(case):
    actual = case["actual"]
    if actual.get("compileError"):
        return "compile"
    return "runtime" if actual.get("matchError") else actual["match"]


CASES = [
    pytest.param(case, id=f"{number}-{case['name']}")
    for number, case in enumerate(json.loads(GOLDEN.read_text()))
]


@pytest.mark.parametrize("case", CASES)
def test_upstream_cases_have_the_same_result_or_error_class(case):
    # Stored expressions know all there is, whatever the gates say.
    stored = not case["newExpressionsEnv"]
    engine = selectors.Selectors(
        list_attributes=case["enableListTypeAttributes"],
        consumable_capacity=stored or case["enableConsumableCapacity"],
        minor=36 if stored or case["enableListTypeAttributes"] else 35,
    )
    assert verdict(engine, case["expression"], selector_values.as_device(case)) == upstream(case)


SEMANTICS = json.loads((GOLDEN.parent / "semantics.json").read_text())
DEVICE = {
    "driver": "gpu.example.com",
    "attributes": {
        "model": {"string": "H100"},
        "index": {"int": 3},
        "healthy": {"bool": True},
        "version": {"version": "1.2.3"},
        "other.example.com/rank": {"int": 7},
    },
    "capacity": {"memory": {"value": "80Gi"}},
}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in SEMANTICS])
def test_every_rule_of_the_language_is_upstreams(case):
    found = verdict(selectors.Selectors(), case["expression"], selector_values.as_device(DEVICE))
    assert str(found).lower() == case["verdict"]


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(seed=st.integers(0, 2**32))
def test_a_remembered_answer_is_the_direct_one(seed):
    rng = random.Random(seed)
    engine = selectors.Selectors(results=20)
    cases = [selector_cases.device(rng, lists=False) for _ in range(6)]
    devices = [selector_values.as_device(case) for case in cases]
    texts = [selector_writer.Writer(rng, lists=False).expression() for _ in range(3)]
    for _ in range(20):
        text, given = rng.choice(texts), rng.choice(devices)
        assert verdict(engine, text, given) == verdict(selectors.Selectors(), text, given)


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(seed=st.integers(0, 2**32))
def test_an_answer_depends_on_no_attribute_but_those_named(seed):
    rng = random.Random(seed)
    engine = selectors.Selectors()
    text = selector_writer.Writer(rng, lists=False).expression()
    given = selector_cases.device(rng, lists=False)
    names = engine.attributes(text)
    hypothesis.assume(names is not None)
    changed = {
        name: {"string": "renumbered"} if "string" in value else value
        for name, value in given["attributes"].items()
        if name.rpartition("/")[2] not in names
    }
    other = {**given, "attributes": {**given["attributes"], **changed}}
    direct = [
        verdict(selectors.Selectors(), text, selector_values.as_device(one))
        for one in (given, other)
    ]
    assert direct[0] == direct[1]


READS = [
    pytest.param("device.driver == 'x'", set(), id="the driver is no attribute"),
    pytest.param("device.attributes['a'].b == 1", {"b"}, id="a field"),
    pytest.param("device.attributes['a']['b'] == 1", {"b"}, id="an index"),
    pytest.param("device.attributes[device.driver].b == 1", {"b"}, id="a computed domain"),
    pytest.param("has(device.attributes['a'].b)", {"b"}, id="has"),
    pytest.param("'b' in device.attributes['a']", {"b"}, id="in"),
    pytest.param("device.attributes['a'].?b.orValue(true)", {"b"}, id="an optional field"),
    pytest.param("device.attributes[?'a'].?b.hasValue()", {"b"}, id="an optional domain"),
    pytest.param("device.capacity['a'].c.isInteger()", {"c"}, id="a capacity"),
    pytest.param(
        "cel.bind(d, device.attributes['a'], d.b == 1 && d.c == 2)", {"b", "c"}, id="a binding"
    ),
    pytest.param("[1].exists(i, device.attributes['a'].b == i)", {"b"}, id="within a loop"),
    pytest.param("device.attributes['a'].b[0] == 1", {"b"}, id="an element of a list attribute"),
    pytest.param("device.attributes['a'][device.driver] == 1", None, id="a computed name"),
    pytest.param("device.attributes['a'] == {}", None, id="a whole domain"),
    pytest.param("'a' in device.attributes", None, id="a test for a domain"),
    pytest.param("device.attributes.exists(d, d == 'a')", None, id="a loop over domains"),
    pytest.param("device.attributes['a'].exists(k, k == 'b')", None, id="a loop over names"),
    pytest.param("size(device.capacity['a']) > 1", None, id="a call"),
    pytest.param("dyn(device).attributes['a'].b == 1", None, id="the device as a value"),
    pytest.param("cel.bind(d, device, d.driver == 'x')", set(), id="the device under a name"),
    pytest.param("?!", set(), id="what does not compile"),
]


@pytest.mark.parametrize(("expression", "names"), READS)
def test_what_an_expression_can_read_is_known(expression, names):
    assert selectors.Selectors().attributes(expression) == names


def test_a_list_attribute_fails_every_selector_while_its_gate_is_off():
    given = selector_values.as_device({"driver": "d", "attributes": {"unnamed": {"ints": [1, 2]}}})
    assert verdict(selectors.Selectors(), "device.driver == 'd'", given) == "runtime"
    with_gate = selectors.Selectors(list_attributes=True)
    assert verdict(with_gate, "device.driver == 'd'", given) is True
    assert verdict(with_gate, "device.attributes['d'].unnamed.includes(2)", given) is True


def test_the_failure_of_one_device_is_not_remembered_for_another():
    engine = selectors.Selectors()
    attributes = [{"x": {"ints": [1]}}, {"x": {"int": 1}}, {"x": {"version": "1"}}, {}]
    devices = [selector_values.as_device({"driver": "d", "attributes": one}) for one in attributes]
    found = [verdict(engine, "device.driver == 'd'", one) for one in devices]
    assert found == ["runtime", True, "runtime", True]


def test_a_failure_says_whether_the_expression_compiled():
    engine = selectors.Selectors()
    given = selector_values.as_device(DEVICE)
    for expression, compiled in (("1 +", False), ("device.attributes['x'].y", True)):
        for _ in range(2):
            with pytest.raises(errors.SelectorError) as failure:
                engine.matches(expression, given)
            assert failure.value.compiled is compiled


def test_caches_keep_to_their_bounds():
    engine = selectors.Selectors(programs=5, results=40)
    devices = [selector_values.as_device({**DEVICE, "driver": f"d{i}"}) for i in range(20)]
    for text in (f"device.driver == 'd{i}'" for i in range(12)):
        assert [engine.matches(text, one) for one in devices].count(True) == 1
        assert len(engine._expressions) <= 5
        held = sum(entry.size() for entry in engine._expressions.values())
        assert held == engine._results <= 40


TOO_MUCH = [
    pytest.param("'" + "a" * 10240 + "' == ''", id="longer than the API allows"),
    pytest.param("(" * 60 + "true" + ")" * 60, id="deep parentheses"),
    pytest.param("+".join(["1"] * 200) + " > 0", id="a long sum"),
    pytest.param("device" + ".a" * 500, id="a long path"),
    pytest.param(" || ".join(["1 == 1"] * 1000), id="a thousand terms"),
    pytest.param("lists.range(99999999).size() > 0", id="a long list"),
    pytest.param("lists.range(200).all(x, lists.range(200).all(y, x + y >= 0))", id="nested loops"),
    pytest.param(f"'{'a' * 3000}'.replace('a', '{'b' * 3000}').size() > 0", id="a long text"),
    pytest.param(r"'a'.matches('\\pL{900}\\pL{900}')", id="an immense pattern"),
    pytest.param("'%.99999f'.format([1.0]) == ''", id="endless digits"),
    pytest.param("quantity('1e99999').isInteger()", id="an immense quantity"),
    pytest.param("timestamp(0).getHours('Europe/Paris') > 0", id="named time zones"),
    pytest.param("google.protobuf.Int64Value{value: 1} == 1", id="messages"),
    pytest.param(
        "cel.bind(a, lists.range(99), cel.bind(b, [a, a, a, a], cel.bind(c, [b, b, b, b], c == c)))"
        .replace("c == c", "cel.bind(d, [c, c, c, c], cel.bind(e, [d, d, d, d], e == e))"),
        id="a value much larger than it is written",
    ),
]  # fmt: skip


@pytest.mark.parametrize("expression", TOO_MUCH)
def test_what_costs_too_much_is_unknown_and_never_no_match(expression):
    given = selector_values.as_device(DEVICE)
    assert verdict(selectors.Selectors(), expression, given) == "unknown"


def test_a_nearly_exhausted_stack_is_no_answer_either():
    engine = selectors.Selectors()
    given = selector_values.as_device(DEVICE)
    text = "(" * 40 + "true" + ")" * 40

    def down(levels):
        return verdict(engine, text, given) if not levels else down(levels - 1)

    assert down(sys.getrecursionlimit() - len(inspect.stack()) - 60) == "unknown"


def test_hostile_texts_give_one_of_the_known_outcomes():
    rng = random.Random(7)
    engine = selectors.Selectors()
    outcomes = {
        hostile_selectors.judged(
            engine, hostile_selectors.text(rng), selector_cases.device(rng, lists=False)
        )
        for _ in range(250)
    }
    assert outcomes <= {"True", "False", "compile error", "runtime error", "unknown"}
    assert {"True", "unknown", "compile error"} <= outcomes


@pytest.mark.parametrize("case", CASES[::7])
def test_what_is_compiled_over_several_calls_says_the_same(case):
    spending = work.Work(patient=False)
    hurried, patient = selectors.Selectors(spending=spending), selectors.Selectors()
    expression, given = case["expression"], selector_values.as_device(case)
    for calls in range(1, 20):
        spending.allow(1)
        try:
            found = verdict(hurried, expression, given)
        except work.SpentError:
            continue
        assert calls > 1
        assert found == verdict(patient, expression, given)
        return
    raise AssertionError("it never came to an end")


def test_selectors_compiled_in_turns_do_not_keep_each_other_from_the_end():
    spending = work.Work(patient=False)
    engine = selectors.Selectors(spending=spending)
    left = {f"device.driver != '{number}'" for number in range(5)}
    for _ in range(4):
        for text in sorted(left):
            spending.allow(1)
            try:
                engine.attributes(text)
            except work.SpentError:
                continue
            left.discard(text)
    assert not left


def test_what_an_expression_reads_is_known_after_its_program_is_gone():
    spending = work.Work(patient=False)
    engine = selectors.Selectors(spending=spending, programs=1)
    spending.allow(10_000)
    names = engine.attributes("device.attributes['a'].b == 1")
    engine.attributes("device.attributes['a'].c == 1")
    spending.allow(0)
    assert engine.attributes("device.attributes['a'].b == 1") == names


# Terms of which none reads the variable of a loop: true, false, and errors that a side absorbs.
TERMS = (
    "true",
    "false",
    "1 / 0 == 1",
    "device.driver == 'gpu.example.com'",
    "device.attributes['gpu.example.com'].index > 5",
    "device.attributes['gpu.example.com'].absent",
    "size([1, 2, 3].filter(y, y > 1)) == 2",
)


@hypothesis.given(
    st.recursive(
        st.sampled_from(TERMS),
        lambda inner: st.tuples(inner, st.sampled_from(("&&", "||")), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        max_leaves=4,
    ),
    st.sampled_from(("all", "exists")),
    st.integers(0, 4),
)
@hypothesis.settings(max_examples=200, deadline=None)
def test_a_loop_whose_rounds_are_alike_says_what_its_rounds_say(term, macro, rounds):
    """One that does not read its variable runs once; reading it to no effect makes it a loop."""
    device = selector_values.as_device(DEVICE)
    values = list(range(rounds))
    at_once = f"{values}.{macro}(x, {term})"
    in_rounds = f"{values}.{macro}(x, {term} || x == -1)"

    engine = selectors.Selectors()
    assert verdict(engine, at_once, device) == verdict(engine, in_rounds, device)
