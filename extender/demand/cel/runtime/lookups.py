"""`a.b`, `a[b]`, `a.?b`, `a[?b]` and `has(a.b)`: one chain of steps down from a value.

Source: cel-go interpreter/attributes.go. Once a step is optional, or the value is, all further
steps are, and the result is an optional.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from extender.demand.cel.runtime import values
from extender.demand.cel.runtime.evaluation import Evaluation
from extender.demand.cel.runtime.meter import EvaluationError, InvalidError
from extender.demand.cel.runtime.values import Map, Optional, Value
from extender.demand.cel.typecheck import signatures

Evaluate: TypeAlias = Callable[[Evaluation], Value]
_NOT_REREAD = frozenset({
    signatures.QUANTITY.name, signatures.SEMVER.name, signatures.URL.name, signatures.IP.name,
    signatures.CIDR.name,
})  # fmt: skip
_KEYS = frozenset({str, int, bool, float, values.Uint})


class Step(NamedTuple):
    """One step: the key, constant or computed, and whether it was written with `?`."""

    constant: bool
    key: Value
    compute: Evaluate | None
    optional: bool


def sound(value: Value) -> Value:
    """The value, EvaluationError if it is one."""
    if isinstance(value, EvaluationError):
        raise value
    return value


def reread(value: Value) -> Value:
    """What reading a variable, or a branch of `?:`, made of a value up to 1.36.

    Upstream took an optional apart there and put it together again from Go's own types, which
    some values do not survive.
    """
    if isinstance(value, EvaluationError):
        raise value
    if type(value) is not Optional or not value.present:
        return value
    held = value.held
    if type(held) is Optional:
        inner = reread(held)
        return Optional(present=True, held=inner.held if inner.present else None)
    if type(held) is values.TypeValue:
        return Optional(present=True, held=held.name)
    if values.type_name(held) in _NOT_REREAD:
        return Optional(present=True, held=EvaluationError("unsupported conversion to ref.Val"))
    return value


def constant_step(key: Value, *, optional: bool) -> Step:
    """A step by a constant; InvalidError if nothing can have such a key."""
    if type(key) not in _KEYS:
        raise InvalidError("invalid qualifier type")
    return Step(constant=True, key=key, compute=None, optional=optional)


def computed_step(compute: Evaluate, *, optional: bool) -> Step:
    return Step(constant=False, key=None, compute=compute, optional=optional)


def chain(base: Evaluate, steps: list[Step]) -> Evaluate:
    """The value at the end of the steps."""
    if all(step.constant and not step.optional for step in steps):
        return _plain_chain(base, [step.key for step in steps])

    def evaluate(run: Evaluation) -> Value:
        value = base(run)
        optional = type(value) is Optional
        if optional:
            if not value.present:
                return value
            value = value.value
        for step in steps:
            optional = optional or step.optional
            present, value = _step(run, value, step, optional=optional)
            if not present:
                return values.NONE
        return Optional(present=True, held=value) if optional else value

    return evaluate


def _plain_chain(base: Evaluate, keys: list[Value]) -> Evaluate:
    def evaluate(run: Evaluation) -> Value:
        value = base(run)
        if type(value) is Optional:
            return _optional_chain(value, keys)
        for key in keys:
            value = _get(value, key)
        return value

    return evaluate


def _optional_chain(value: Optional, keys: list[Value]) -> Optional:
    if not value.present:
        return value
    present, found = True, value.value
    for key in keys:
        present, found = _find(found, key)
        if not present:
            return values.NONE
    return Optional(present=True, held=found)


def presence(base: Evaluate, steps: list[Step], field: str) -> Evaluate:
    """Whether `field` is there at the end of the steps: `has()`."""
    inner = chain(base, steps)

    def evaluate(run: Evaluation) -> bool:
        value = inner(run)
        if type(value) is Optional:
            return bool(value.present) and _find(value.value, field)[0]
        return _find(value, field)[0]

    return evaluate


def _step(run: Evaluation, value: Value, step: Step, *, optional: bool) -> tuple[bool, Value]:
    key = step.key if step.compute is None else step.compute(run)
    if step.compute is not None and type(key) not in _KEYS:
        raise EvaluationError("invalid qualifier type")
    return _find(value, key) if optional else (True, _get(value, key))


def _get(value: Value, key: Value) -> Value:
    present, found = _find(value, key)
    if not present:
        raise EvaluationError(f"no such key: {key!r}")
    if isinstance(found, EvaluationError):
        raise found
    return found


def _find(value: Value, key: Value) -> tuple[bool, Value]:
    kind = type(value)
    if kind is Map:
        found: tuple[bool, Value] = value.find(key)
        return found
    if kind is list:
        position = index(key)
        return (True, value[position]) if 0 <= position < len(value) else (False, None)
    return False, None


def index(key: Value) -> int:
    """An index of a list; EvaluationError unless the key is a whole number."""
    if type(key) is int:
        return key
    if type(key) is values.Uint and key.value <= values.MAX_INT:
        return int(key.value)
    if type(key) is float and key.is_integer() and abs(key) < 2.0**63:
        return int(key)
    raise EvaluationError("unsupported index type")
