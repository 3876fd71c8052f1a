"""An expression compiled once, and evaluated on device after device.

Source: dynamic-resource-allocation cel/compile.go, which says what an expression may result in
and how a device is presented to it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeAlias

from extender.demand.cel.library import patterns
from extender.demand.cel.runtime import planner
from extender.demand.cel.runtime.evaluation import Evaluation
from extender.demand.cel.runtime.meter import (
    CostLimitError,
    EvaluationError,
    InvalidError,
    Meter,
    UnansweredError,
)
from extender.demand.cel.runtime.values import Optional, Value
from extender.demand.cel.syntax import lexer, parser, syntax_tree, validation
from extender.demand.cel.typecheck import checker, environment, signatures
from extender.demand.cel.typecheck.environment import Dialect

# What comes to a program step by step.
Turns: TypeAlias = Generator[None, None, "Program"]

# As the API server limits it.
MOST_CHARACTERS = 10 * 1024
# At most 12 ms of Python, as one evaluation cannot be gone on with; selectors that people write
# take below 100.
STEPS = 12_000


class Program:
    """One expression, ready to be evaluated."""

    def __init__(self, tree: syntax_tree.Expr, planned: planner.Planned, slots: int) -> None:
        self.tree = tree
        self._planned = planned
        self._slots = slots
        self.steps = 0  # of the last evaluation

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
        run = Evaluation(Meter(STEPS), device, self._slots)
        try:
            value = self._planned.evaluate(run)
        except CostLimitError as problem:
            raise EvaluationError(str(problem)) from None
        except EvaluationError:
            run.meter.settle()
            raise
        finally:
            self.steps = STEPS - run.meter.left
        run.meter.settle()
        return value


def compile_selector(text: str, dialect: Dialect) -> Program:
    """The program of a selector; InvalidError or UnansweredError if there is none."""
    return _at_once(selector_in_turns(text, dialect))


def compile_expression(text: str, dialect: Dialect) -> Program:
    """The program of an expression of any type; InvalidError or UnansweredError if none."""
    return _at_once(expression_in_turns(text, dialect))


def _at_once(turns: Turns) -> Program:
    while True:
        try:
            next(turns)
        except StopIteration as end:
            program: Program = end.value
            return program


def selector_in_turns(text: str, dialect: Dialect) -> Turns:
    """Do what `compile_selector` does, in turns between which other work may be done."""
    program = yield from expression_in_turns(text, dialect)
    result = program.tree.type or signatures.ERROR
    if result.kind not in dialect.results:
        raise InvalidError(f"must evaluate to bool or the unknown type, not {result.name}")
    return program


def expression_in_turns(text: str, dialect: Dialect) -> Turns:
    """Do what `compile_expression` does, in turns: parse, check types, validate, plan."""
    if len(text) > MOST_CHARACTERS:
        raise UnansweredError("the expression is longer than the API allows")
    tokens = lexer.tokens(text)
    yield
    tree = parser.tree_of(tokens)
    yield
    checker.check(tree, functions=dialect.functions, names=environment.NAMES, fields=dialect.fields)
    yield
    validation.validate(tree)
    making = planner.ExpressionPlanner(
        functions=dialect.functions,
        singletons=environment.SINGLETONS,
        patterns=patterns.CONSTANT,
        newer=dialect.newer,
    )
    return Program(tree, making.plan(tree), making.slots)
