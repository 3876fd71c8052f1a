"""Device selectors: upstream's own table, the limits, the memory."""

import json
import pathlib

import pytest

from extender import errors
from extender.demand import selectors
from tests import selector_values

GOLDEN = pathlib.Path(__file__).parent / "golden" / "cel" / "cel_v1.36.json"


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
        includes=stored or case["enableListTypeAttributes"],
    )
    assert verdict(engine, case["expression"], selector_values.as_device(case)) == upstream(case)
