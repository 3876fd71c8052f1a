"""Device selectors: upstream's own table, the limits, the memory."""

import json
import pathlib

import pytest

from extender import errors
from extender.demand import selectors
from extender.hardware import shape
from extender.kube import quantity

GOLDEN = pathlib.Path(__file__).parent / "golden" / "cel" / "cel_v1.36.json"


def device(case):
    """The device of a case in the API's JSON."""
    attributes = {
        name: (kind, tuple(value) if isinstance(value, list) else value)
        for name, attribute in (case.get("attributes") or {}).items()
        for kind, value in attribute.items()
    }
    capacity = {
        name: shape.Capacity(quantity.nano(amount["value"]))
        for name, amount in (case.get("capacity") or {}).items()
    }
    return shape.Device(
        case["driver"],
        "device-0",
        attributes,
        capacity,
        allow_multiple_allocations=bool(case.get("allowMultipleAllocations")),
    )


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
    engine = selectors.Selectors(
        list_attributes=case["enableListTypeAttributes"],
        # Stored expressions know all fields, whatever the gates say.
        consumable_capacity=case["enableConsumableCapacity"] or not case["newExpressionsEnv"],
    )
    assert verdict(engine, case["expression"], device(case)) == upstream(case)
