"""Calls: the first overload whose parameters take the arguments' run-time types.

As in cel-go, a list or map is judged by its first element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from extender.demand.cel.runtime import values
from extender.demand.cel.runtime.evaluation import Evaluation
from extender.demand.cel.runtime.lookups import Evaluate
from extender.demand.cel.runtime.meter import no_such_overload
from extender.demand.cel.runtime.values import Value
from extender.demand.cel.typecheck.signatures import Implementation, Overload, Type

_Guard: TypeAlias = Callable[[Value], bool]

_OPEN = frozenset({"dyn", "any", "variable"})
# kind of type → the one Python type of its values
_PYTHON: dict[str, type] = {
    "bool": bool, "int": int, "uint": values.Uint, "double": float, "string": str, "bytes": bytes,
    "duration": values.Duration, "timestamp": values.Timestamp, "type": values.TypeValue,
}  # fmt: skip


def direct(implementation: Implementation, arguments: Sequence[Evaluate]) -> Evaluate:
    """A call of a function that looks at its arguments' types itself."""
    if len(arguments) == 2:
        first, second = arguments
        return lambda run: implementation(run.meter, first(run), second(run))
    return lambda run: implementation(run.meter, *[one(run) for one in arguments])


def by_type(overloads: Sequence[Overload], arguments: Sequence[Evaluate]) -> Evaluate:
    """A call of the first overload that takes the values."""
    candidates = [
        (tuple(map(_guard, one.parameters)), one.implementation)
        for one in overloads
        if len(one.parameters) == len(arguments) and one.implementation is not None
    ]

    def evaluate(run: Evaluation) -> Value:
        given = [one(run) for one in arguments]
        for guards, implementation in candidates:
            if all(guard(value) for guard, value in zip(guards, given, strict=True)):
                return implementation(run.meter, *given)
        raise no_such_overload(*given)

    return evaluate


def _guard(wanted: Type) -> _Guard:
    if wanted.kind in _OPEN:
        return lambda _: True
    if wanted.kind == "list":
        element = _guard(wanted.parameters[0])
        return lambda value: type(value) is list and (not value or element(value[0]))
    if wanted.kind == "map":
        key, content = map(_guard, wanted.parameters)
        return lambda value: type(value) is values.Map and _first_fits(value, key, content)
    python = _PYTHON.get(wanted.kind)
    if python is not None:
        return lambda value: type(value) is python
    name = wanted.name
    return lambda value: values.type_name(value) == name


def _first_fits(value: values.Map, key: _Guard, content: _Guard) -> bool:
    for first, held in value.entries.values():
        return key(first) and content(held)
    return True
