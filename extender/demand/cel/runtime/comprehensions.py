"""Comprehensions: a loop over a list or map, as macros have written it down.

Only macros make folds, so their forms are few: a bound variable, `all`, `exists`, or a result that
grows. Source: cel-go interpreter/interpretable.go (evalFold).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from extender.demand.cel.runtime import logic
from extender.demand.cel.runtime.evaluation import Evaluation
from extender.demand.cel.runtime.lookups import Evaluate
from extender.demand.cel.runtime.meter import EvaluationError, no_such_overload
from extender.demand.cel.runtime.values import Map, Value
from extender.demand.cel.syntax import syntax_tree

if TYPE_CHECKING:
    from extender.demand.cel.runtime.planner import ExpressionPlanner

_UNSET: Any = object()


def plan(planner: ExpressionPlanner, node: syntax_tree.Fold) -> Evaluate:
    """How to evaluate a fold."""
    if node.variable == "#unused":
        return _bound(planner, node)
    source = planner.evaluate(node.source)
    first, second = planner.slot(), planner.slot()
    weight = _size(node.step)
    variables = [(node.variable, _reader(planner, first))]
    if node.second:
        variables.append((node.second, _reader(planner, second)))
    if isinstance(node.condition, syntax_tree.Call):
        planner.enter(*variables)
        predicate = planner.evaluate(_predicate(node.step))
        planner.leave(len(variables))
        decisive = (
            node.step.function == "_||_" if isinstance(node.step, syntax_tree.Call) else False
        )
        names = {name for name, _ in variables}
        if not _mentions(_predicate(node.step), names):
            return _invariant(source, predicate, decisive)
        return _quantifier(source, predicate, (first, second), weight, decisive, node.second)
    return _growing(planner, node, source, (first, second), variables, weight)


def _predicate(step: syntax_tree.Expr) -> syntax_tree.Expr:
    if not isinstance(step, syntax_tree.Call):
        raise TypeError(step)
    return step.arguments[1]


def _reader(planner: ExpressionPlanner, slot: int) -> Evaluate:
    reread = planner.reread
    return lambda run: reread(run.slots[slot])


def _mentions(node: syntax_tree.Expr, names: set[str]) -> bool:
    if isinstance(node, syntax_tree.Name):
        return node.name in names
    return any(_mentions(child, names) for child in node.children())


def _size(node: syntax_tree.Expr) -> int:
    return 1 + sum(map(_size, node.children()))


def _bound(planner: ExpressionPlanner, node: syntax_tree.Fold) -> Evaluate:
    """A variable's value is computed when it is first read, if it ever is."""
    start = planner.evaluate(node.start)
    slot = planner.slot()
    reread = planner.reread

    def read(run: Evaluation) -> Value:
        value = run.slots[slot]
        if value is _UNSET:
            try:
                value = start(run)
            except EvaluationError as problem:
                value = problem
            run.slots[slot] = value
        if isinstance(value, EvaluationError):
            raise value
        return reread(value)

    planner.enter((node.accumulator, read))
    result = planner.evaluate(node.result)
    planner.leave(1)

    def evaluate(run: Evaluation) -> Value:
        run.slots[slot] = _UNSET
        return result(run)

    return evaluate


def _pairs(source: Value, *, second: bool) -> Iterable[tuple[Value, Value]]:
    """What the variables take, in turn; EvaluationError if the source is no list or map."""
    if type(source) is list:
        return enumerate(source) if second else ((one, None) for one in source)
    if type(source) is Map:
        return source.entries.values()
    raise EvaluationError("expected an iterable type")


def _quantifier(
    source: Evaluate,
    predicate: Evaluate,
    slots: tuple[int, int],
    weight: int,
    decisive: bool,
    second: str,
) -> Evaluate:
    """`all` (decided by False) or `exists` (by True)."""
    one, two = slots

    def rounds(run: Evaluation) -> Iterator[Evaluate]:
        for first, other in _pairs(source(run), second=bool(second)):
            run.meter.charge(weight)
            run.slots[one], run.slots[two] = first, other
            yield predicate

    return lambda run: logic.decided(run, rounds(run), decisive=decisive)


def _invariant(source: Evaluate, predicate: Evaluate, decisive: bool) -> Evaluate:
    """`all` or `exists` of something that is the same in every round: one round says it all."""
    default = not decisive

    def evaluate(run: Evaluation) -> bool:
        rounds = len(list(_pairs(source(run), second=False)))
        if not rounds:
            return default
        before = run.meter.certain
        try:
            value = predicate(run)
        except EvaluationError:
            run.meter.spend(rounds + (rounds - 1) * (run.meter.certain - before))
            raise
        if value is decisive:
            return not default
        run.meter.spend(rounds + (rounds - 1) * (run.meter.certain - before))
        if type(value) is not bool:
            raise no_such_overload(value)
        return default

    return evaluate


def _growing(
    planner: ExpressionPlanner,
    node: syntax_tree.Fold,
    source: Evaluate,
    slots: tuple[int, int],
    variables: list[tuple[str, Evaluate]],
    weight: int,
) -> Evaluate:
    """A result that every round adds to."""
    one, two = slots
    total = planner.slot()
    start = planner.evaluate(node.start)
    planner.enter((node.accumulator, _reader(planner, total)))
    planner.enter(*variables)
    step = _step(planner, node.step, total)
    planner.leave(len(variables))
    result = planner.evaluate(node.result)
    planner.leave(1)
    second = bool(node.second)

    def evaluate(run: Evaluation) -> Value:
        pairs = _pairs(source(run), second=second)
        run.slots[total] = start(run)
        for first, other in pairs:
            run.meter.charge(weight)
            run.slots[one], run.slots[two] = first, other
            run.slots[total] = step(run)
        return result(run)

    return evaluate


def _step(planner: ExpressionPlanner, node: syntax_tree.Expr, total: int) -> Evaluate:
    """The step of a growing fold; lists and maps grow in place, which nobody else sees yet."""
    if not isinstance(node, syntax_tree.Call):
        raise TypeError(node)
    if node.function == "_?_:_":
        return _if(
            planner.evaluate(node.arguments[0]), _step(planner, node.arguments[1], total), total
        )
    added = node.arguments[1:]
    if node.function == "_+_" and isinstance(added[0], syntax_tree.ListOf):
        return _append(planner.evaluate(added[0].elements[0]), total)
    if node.function == "@put":
        return _put([planner.evaluate(one) for one in added], total)
    return planner.evaluate(node)


def _if(condition: Evaluate, step: Evaluate, total: int) -> Evaluate:
    def evaluate(run: Evaluation) -> Value:
        value = condition(run)
        if value is True:
            return step(run)
        if value is False:
            return run.slots[total]
        raise no_such_overload(value)

    return evaluate


def _append(element: Evaluate, total: int) -> Evaluate:
    def evaluate(run: Evaluation) -> list[Value]:
        value = element(run)
        grown: list[Value] = run.slots[total]
        grown.append(value)
        return grown

    return evaluate


def _put(added: list[Evaluate], total: int) -> Evaluate:
    def evaluate(run: Evaluation) -> Map:
        given = [one(run) for one in added]
        grown: Map = run.slots[total]
        if len(given) == 2:
            _insert(grown, given[0], given[1])
        elif type(given[0]) is Map:
            run.meter.charge(len(given[0].entries))
            for key, value in given[0].entries.values():
                _insert(grown, key, value)
        else:
            raise no_such_overload(given[0])
        return grown

    return evaluate


def _insert(grown: Map, key: Value, value: Value) -> None:
    if grown.holds(key):
        raise EvaluationError(f"insert failed: key {key!r} already exists")
    grown.put(key, value)
