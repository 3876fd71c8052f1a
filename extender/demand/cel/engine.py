"""An expression compiled once, and evaluated on device after device.

Source: dynamic-resource-allocation cel/compile.go, which says what an expression may result in
and how a device is presented to it.
"""

from __future__ import annotations

from collections.abc import Mapping

from extender.demand.cel import (
    checker,
    environment,
    parser,
    patterns,
    planner,
    signatures,
    syntax,
    validation,
)
from extender.demand.cel.meter import (
    CostLimitError,
    EvaluationError,
    InvalidError,
    Meter,
    UnansweredError,
)
from extender.demand.cel.run import Run
from extender.demand.cel.values import Optional, Value

# As the API server limits it.
MOST_CHARACTERS = 10 * 1024
# At most 40 ms of Python; selectors that people write take below 100.
STEPS = 20_000


class Program:
    """One expression, ready to be evaluated."""

    def __init__(self, tree: syntax.Node, planned: planner.Planned, slots: int) -> None:
        self.tree = tree
        self._planned = planned
        self._slots = slots

    def evaluate(self, device: dict[str, Value]) -> bool:
        """Whether the device, given as field → value, satisfies the expression.

        EvaluationError where upstream fails too, UnansweredError beyond our budget.
        """
        value = self.value(device)
        while type(value) is Optional:
            # Upstream converts an optional by converting what it holds.
            if not value.present:
                raise EvaluationError("optional.none() dereference")
            value = value.value
        if type(value) is not bool:
            raise EvaluationError("the result could not be converted to bool")
        return value

    def value(self, device: dict[str, Value]) -> Value:
        """What the expression evaluates to, of whatever type."""
        run = Run(Meter(STEPS), device, self._slots)
        try:
            value = self._planned.evaluate(run)
        except CostLimitError as problem:
            raise EvaluationError(str(problem)) from None
        except EvaluationError:
            run.meter.settle()
            raise
        run.meter.settle()
        return value


def compile_selector(text: str, *, list_attributes: bool, consumable_capacity: bool) -> Program:
    """The program of a selector; InvalidError or UnansweredError if there is none."""
    program = compile_expression(
        text, list_attributes=list_attributes, consumable_capacity=consumable_capacity
    )
    result = program.tree.type or signatures.ERROR
    allowed = {"bool", "any", "dyn"} if list_attributes else {"bool", "any"}
    if result.kind not in allowed:
        raise InvalidError(f"must evaluate to bool or the unknown type, not {result.name}")
    return program


def compile_expression(text: str, *, list_attributes: bool, consumable_capacity: bool) -> Program:
    """The program of an expression of any type; InvalidError or UnansweredError if none."""
    if len(text) > MOST_CHARACTERS:
        raise UnansweredError("the expression is longer than the API allows")
    tree = parser.parse(text)
    functions = environment.FUNCTIONS_WITH_LISTS if list_attributes else environment.FUNCTIONS
    checker.check(
        tree, functions=functions, names=environment.NAMES,
        fields=_fields(list_attributes, consumable_capacity),
    )  # fmt: skip
    validation.validate(tree)
    making = planner.Planner(
        functions=functions, singletons=environment.SINGLETONS, patterns=patterns.CONSTANT
    )
    return Program(tree, making.plan(tree), making.slots)


def _fields(lists: bool, shares: bool) -> Mapping[str, Mapping[str, signatures.Type]]:
    return environment.fields(lists_allowed=lists, shares_allowed=shares)
