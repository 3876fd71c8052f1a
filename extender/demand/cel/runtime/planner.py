"""A checked tree to one Python closure: what can be decided before any device is, is.

Source: cel-go interpreter/planner.go and decorators.go. Constant conversions and regular
expressions that fail make the whole expression invalid, as there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from extender.demand.cel.runtime import comprehensions, dispatch, logic, lookups, values
from extender.demand.cel.runtime.evaluation import Evaluation
from extender.demand.cel.runtime.lookups import Evaluate
from extender.demand.cel.runtime.meter import EvaluationError, InvalidError, Meter, no_such_overload
from extender.demand.cel.runtime.values import Map, Optional, Value
from extender.demand.cel.syntax import syntax_tree
from extender.demand.cel.typecheck.signatures import Implementation, Overload

_CONVERSIONS = frozenset({
    "bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint",
})  # fmt: skip
_LOOKUPS = frozenset({"_[_]", "_[?_]", "_?._"})
# What folding constants may cost: a text of 10 KiB is far below.
_FOLDING = 20_000


@dataclasses.dataclass(slots=True)
class Planned:
    """How to evaluate a node; for constants also the value."""

    evaluate: Evaluate
    constant: bool = False
    value: Value = None


def _constant(value: Value) -> Planned:
    return Planned(lambda _: value, constant=True, value=value)


class ExpressionPlanner:
    """Plans one expression; afterwards `slots` says how many variables a run has."""

    def __init__(
        self,
        *,
        functions: Mapping[str, tuple[Overload, ...]],
        singletons: Mapping[str, Implementation],
        patterns: Mapping[str, Callable[[str], Implementation]],
        newer: bool = False,
    ) -> None:
        self._functions = functions
        self._singletons = singletons
        self._patterns = patterns
        self.newer = newer  # the cel-go of Kubernetes 1.37
        self.reread = lookups.sound if newer else lookups.reread
        self._scopes: list[tuple[str, Evaluate]] = []  # innermost last: variable → how to read it
        self.slots = 0
        self.meter = Meter(_FOLDING)

    def slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def enter(self, *variables: tuple[str, Evaluate]) -> None:
        self._scopes += variables

    def leave(self, count: int) -> None:
        del self._scopes[-count:]

    def plan(self, node: syntax_tree.Expr) -> Planned:
        match node:
            case syntax_tree.Literal():
                return _constant(node.value)
            case syntax_tree.Name():
                return self._name(node)
            case syntax_tree.Select():
                return self._select(node)
            case syntax_tree.Call():
                return self._call(node)
            case syntax_tree.ListOf():
                return self._list(node)
            case syntax_tree.MapOf():
                return self._map(node)
            case syntax_tree.Fold():
                return Planned(comprehensions.plan(self, node))
        raise TypeError(node)

    def evaluate(self, node: syntax_tree.Expr) -> Evaluate:
        return self.plan(node).evaluate

    def _name(self, node: syntax_tree.Name) -> Planned:
        if node.is_type and node.type is not None:
            return _constant(values.TypeValue(node.type.parameters[0].name))
        for name, read in reversed(self._scopes):
            if name == node.name:
                return Planned(read)
        return Planned(Evaluation.whole_device)

    def _is_device(self, node: syntax_tree.Expr) -> bool:
        return (
            isinstance(node, syntax_tree.Name)
            and node.name == "device"
            and not any(name == "device" for name, _ in self._scopes)
        )

    def _select(self, node: syntax_tree.Select) -> Planned:
        if node.type_name is not None and node.type is not None:
            return _constant(values.TypeValue(node.type.parameters[0].name))
        if node.test:
            base, steps = self._chain(node.operand)
            return Planned(lookups.presence(base, steps, node.field))
        base, steps = self._chain(node)
        return Planned(lookups.chain(base, steps) if steps else base)

    def _chain(self, node: syntax_tree.Expr) -> tuple[Evaluate, list[lookups.Step]]:
        """The value a chain of lookups starts from, and the lookups."""
        if isinstance(node, syntax_tree.Select) and not node.test and node.type_name is None:
            if self._is_device(node.operand):
                return _field(node.field), []
            base, steps = self._chain(node.operand)
            return base, [*steps, lookups.constant_step(node.field, optional=False)]
        if isinstance(node, syntax_tree.Call) and node.function in _LOOKUPS:
            base, steps = self._chain(node.arguments[0])
            return base, [*steps, self._key(node)]
        return self.evaluate(node), []

    def _key(self, node: syntax_tree.Call) -> lookups.Step:
        key = self.plan(node.arguments[1])
        optional = node.function != "_[_]"
        if key.constant:
            return lookups.constant_step(key.value, optional=optional)
        return lookups.computed_step(key.evaluate, optional=optional)

    def _call(self, node: syntax_tree.Call) -> Planned:
        special = _SPECIAL.get(node.function)
        if special is not None:
            return Planned(special(self, node))
        if node.function in _LOOKUPS:
            base, steps = self._chain(node)
            return Planned(lookups.chain(base, steps))
        arguments = [self.plan(child) for child in node.children()]
        if node.function == "@in" and arguments[1].constant and arguments[1].value == []:
            return _constant(value=False)
        pattern = self._patterns.get(node.function)
        if pattern and arguments[1].constant and type(arguments[1].value) is str:
            implementation = pattern(arguments[1].value)
            return Planned(dispatch.direct(implementation, _evaluates(arguments)))
        planned = Planned(self._dispatch(node, _evaluates(arguments)))
        if node.function in _CONVERSIONS and len(arguments) == 1 and arguments[0].constant:
            return self._folded(planned)
        return planned

    def _dispatch(self, node: syntax_tree.Call, arguments: list[Evaluate]) -> Evaluate:
        singleton = self._singletons.get(node.function)
        if singleton is not None:
            return dispatch.direct(singleton, arguments)
        candidates = node.overloads
        if len(candidates) != 1:
            candidates = self._functions[node.function]
        return dispatch.by_type(candidates, arguments)

    def _folded(self, planned: Planned) -> Planned:
        try:
            return _constant(planned.evaluate(Evaluation(self.meter, {}, 0)))
        except EvaluationError as problem:
            raise InvalidError(str(problem)) from None

    def _list(self, node: syntax_tree.ListOf) -> Planned:
        elements = [self.plan(one) for one in node.elements]
        pairs = [(one.evaluate, i in node.optional) for i, one in enumerate(elements)]

        def evaluate(run: Evaluation) -> list[Value]:
            made: list[Value] = []
            for element, optional in pairs:
                value = element(run)
                if optional:
                    found = _optional(value)
                    if not found.present:
                        continue
                    value = found.held
                made.append(value)
            return made

        planned = Planned(evaluate)
        # The empty list may become an accumulator, which grows in place.
        if elements and all(one.constant for one in elements):
            return self._folded(planned)
        return dataclasses.replace(planned, constant=not elements, value=[])

    def _map(self, node: syntax_tree.MapOf) -> Planned:
        entries = [(self.plan(k), self.plan(v), optional) for k, v, optional in node.entries]
        triples = [(key.evaluate, value.evaluate, optional) for key, value, optional in entries]

        def evaluate(run: Evaluation) -> Map:
            made = Map()
            for key, content, optional in triples:
                name, value = key(run), content(run)
                if optional:
                    found = _optional(value)
                    if not found.present:
                        made.remove(name)
                        continue
                    value = found.held
                made.put(name, value)
            return made

        planned = Planned(evaluate)
        if entries and all(key.constant and value.constant for key, value, _ in entries):
            return self._folded(planned)
        return dataclasses.replace(planned, constant=not entries, value=Map())


def _evaluates(arguments: list[Planned]) -> list[Evaluate]:
    return [one.evaluate for one in arguments]


def _optional(value: Value) -> Optional:
    """The value of an entry that is written with `?`."""
    if type(value) is not Optional:
        raise EvaluationError("cannot initialize from a value not optional")
    return value


def _field(name: str) -> Evaluate:
    return lambda run: run.device[name]


def _and(planner: ExpressionPlanner, node: syntax_tree.Call) -> Evaluate:
    return _logical(planner, node, decisive=False)


def _or(planner: ExpressionPlanner, node: syntax_tree.Call) -> Evaluate:
    return _logical(planner, node, decisive=True)


def _logical(planner: ExpressionPlanner, node: syntax_tree.Call, *, decisive: bool) -> Evaluate:
    terms = [planner.evaluate(one) for one in node.arguments]
    return lambda run: logic.decided(run, terms, decisive=decisive)


def _conditional(planner: ExpressionPlanner, node: syntax_tree.Call) -> Evaluate:
    condition, first, second = (planner.evaluate(one) for one in node.arguments)
    first, second = (
        branch if _is_lookup(one) else _reread(planner.reread, branch)
        for branch, one in zip((first, second), node.arguments[1:], strict=True)
    )

    def evaluate(run: Evaluation) -> Value:
        value = condition(run)
        if value is True:
            return first(run)
        if value is False:
            return second(run)
        raise no_such_overload(value)

    return evaluate


def _is_lookup(node: syntax_tree.Expr) -> bool:
    return isinstance(node, syntax_tree.Select) or (
        isinstance(node, syntax_tree.Call) and node.function in _LOOKUPS
    )


def _reread(reread: Callable[[Value], Value], branch: Evaluate) -> Evaluate:
    return lambda run: reread(branch(run))


def _equals(planner: ExpressionPlanner, node: syntax_tree.Call) -> Evaluate:
    left, right = (planner.evaluate(one) for one in node.arguments)
    return lambda run: values.equal(run.meter, left(run), right(run))


def _differs(planner: ExpressionPlanner, node: syntax_tree.Call) -> Evaluate:
    left, right = (planner.evaluate(one) for one in node.arguments)
    return lambda run: not values.matches(run.meter, left(run), right(run))


def _or_optional(planner: ExpressionPlanner, node: syntax_tree.Call) -> Evaluate:
    return _alternative(planner, node, unwrap=False)


def _or_value(planner: ExpressionPlanner, node: syntax_tree.Call) -> Evaluate:
    return _alternative(planner, node, unwrap=True)


def _alternative(planner: ExpressionPlanner, node: syntax_tree.Call, *, unwrap: bool) -> Evaluate:
    first, second = (planner.evaluate(one) for one in node.children())
    newer = planner.newer

    def evaluate(run: Evaluation) -> Value:
        value = first(run)
        if type(value) is not Optional:
            if newer:
                raise no_such_overload(value)
            return value
        if value.present:
            return value.value if unwrap else value
        return second(run)

    return evaluate


# function → planner, for those that do not just take their arguments' values
_SPECIAL: dict[str, Callable[[ExpressionPlanner, syntax_tree.Call], Evaluate]] = {
    "_&&_": _and, "_||_": _or, "_?_:_": _conditional, "_==_": _equals, "_!=_": _differs,
    "or": _or_optional, "orValue": _or_value,
}  # fmt: skip
