"""The tree of an expression: what the parser makes, the checker annotates and the planner reads."""

from __future__ import annotations

import dataclasses
from typing import Any

from extender.demand.cel.typecheck.signatures import Overload, Type


@dataclasses.dataclass(slots=True, eq=False)
class Expr:
    """Any part of an expression; `type` is set by the checker, `level` counts what is below."""

    type: Type | None = dataclasses.field(default=None, init=False)
    level: int = dataclasses.field(default=1, init=False)

    def children(self) -> tuple[Expr, ...]:
        return ()


@dataclasses.dataclass(slots=True, eq=False)
class Literal(Expr):
    """A constant: null, bool, int, values.Uint, float, str or bytes."""

    value: Any


@dataclasses.dataclass(slots=True, eq=False)
class Name(Expr):
    """A variable or a type, by name; `is_type` is set by the checker."""

    name: str
    is_type: bool = dataclasses.field(default=False, init=False)


@dataclasses.dataclass(slots=True, eq=False)
class Select(Expr):
    """`operand.field`, or `has(operand.field)` where `test`; `type_name` if it names a type."""

    operand: Expr
    field: str
    test: bool = False
    type_name: str | None = dataclasses.field(default=None, init=False)

    def children(self) -> tuple[Expr, ...]:
        return (self.operand,)


@dataclasses.dataclass(slots=True, eq=False)
class Call(Expr):
    """A function or an operator (`_+_`, `_[_]`, `_?._`, …) on a target, if any, and arguments."""

    function: str
    target: Expr | None
    arguments: list[Expr]
    overloads: tuple[Overload, ...] = dataclasses.field(default=(), init=False)

    def children(self) -> tuple[Expr, ...]:
        return (*self.arguments,) if self.target is None else (self.target, *self.arguments)


@dataclasses.dataclass(slots=True, eq=False)
class ListOf(Expr):
    """`[a, ?b]`; `optional` holds the indexes of elements marked `?`."""

    elements: list[Expr]
    optional: frozenset[int] = frozenset()

    def children(self) -> tuple[Expr, ...]:
        return (*self.elements,)


@dataclasses.dataclass(slots=True, eq=False)
class MapOf(Expr):
    """`{key: value, ?key: value}` as (key, value, optional)."""

    entries: list[tuple[Expr, Expr, bool]]

    def children(self) -> tuple[Expr, ...]:
        return tuple(node for key, value, _ in self.entries for node in (key, value))


@dataclasses.dataclass(slots=True, eq=False)
class Fold(Expr):
    """A comprehension, as macros make it: fold `source` into `result` through `accumulator`."""

    source: Expr
    variable: str
    second: str  # empty, or the second variable: then the first is the index or the key
    accumulator: str
    start: Expr
    condition: Expr
    step: Expr
    result: Expr

    def children(self) -> tuple[Expr, ...]:
        return (self.source, self.start, self.condition, self.step, self.result)
