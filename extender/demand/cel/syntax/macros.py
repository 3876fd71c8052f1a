"""Makes the nodes of a tree, counting them, and expands macros the way cel-go does.

What a macro expands to matters for the type-checker: `map` is a fold over `accumulator + [x]`, and
types flow through that sum. Sources: cel-go parser/macro.go, ext/bindings.go,
ext/comprehensions.go, ext/lists.go, cel/library.go (optMap, optFlatMap).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from extender.demand.cel.runtime.meter import InvalidError, UnansweredError
from extender.demand.cel.runtime.values import Value
from extender.demand.cel.syntax import syntax_tree

_RESULT = "@result"
_UNUSED = "#unused"
_INPUT = "@input"

_Arguments: TypeAlias = list[syntax_tree.Expr]
_Macro: TypeAlias = "Callable[[Workshop, syntax_tree.Expr, _Arguments], syntax_tree.Expr | None]"


# The text of 10 KiB that the API allows has about 1,500 nodes where people write it.
MOST_NODES = 1800
# Levels of the tree: checking and evaluating one costs up to four of Python's 1,000 frames.
MOST_LEVELS = 64


class Workshop:
    """Makes nodes; UnansweredError once there are too many, or too many on top of each other."""

    def __init__(self) -> None:
        self._left = MOST_NODES

    def _made(self, node: syntax_tree.Expr, *, children: bool = True) -> None:
        self._left -= 1
        if self._left < 0:
            raise UnansweredError("the expression is too large")
        for child in node.children() if children else ():
            if child.level >= node.level:
                node.level = child.level + 1
        if node.level > MOST_LEVELS:
            raise UnansweredError("the expression is nested too deeply")

    def literal(self, value: Value) -> syntax_tree.Literal:
        node = syntax_tree.Literal(value)
        self._made(node)
        return node

    def name(self, name: str) -> syntax_tree.Name:
        node = syntax_tree.Name(name)
        self._made(node)
        return node

    def select(
        self, operand: syntax_tree.Expr, field: str, *, test: bool = False
    ) -> syntax_tree.Select:
        node = syntax_tree.Select(operand, field, test)
        self._made(node)
        return node

    def call(self, function: str, *arguments: syntax_tree.Expr) -> syntax_tree.Call:
        node = syntax_tree.Call(function, None, list(arguments))
        self._made(node)
        return node

    def member(
        self, function: str, target: syntax_tree.Expr, *arguments: syntax_tree.Expr
    ) -> syntax_tree.Call:
        node = syntax_tree.Call(function, target, list(arguments))
        self._made(node)
        return node

    def list_of(
        self, elements: list[syntax_tree.Expr], optional: frozenset[int] = frozenset()
    ) -> syntax_tree.ListOf:
        node = syntax_tree.ListOf(elements, optional)
        self._made(node)
        return node

    def map_of(
        self, entries: list[tuple[syntax_tree.Expr, syntax_tree.Expr, bool]]
    ) -> syntax_tree.MapOf:
        node = syntax_tree.MapOf(entries)
        self._made(node)
        return node

    def extend(self, call: syntax_tree.Call, argument: syntax_tree.Expr) -> None:
        """One more term for a chain of && or ||."""
        call.arguments.append(argument)
        call.level = max(call.level, argument.level + 1)
        self._made(call, children=False)

    def copy(self, node: syntax_tree.Expr) -> syntax_tree.Expr:
        """A second tree of the same form: each is checked where it stands."""
        made = self._copy(node)
        self._made(made)
        return made

    def _copy(self, node: syntax_tree.Expr) -> syntax_tree.Expr:
        match node:
            case syntax_tree.Literal():
                return syntax_tree.Literal(node.value)
            case syntax_tree.Name():
                return syntax_tree.Name(node.name)
            case syntax_tree.Select():
                return syntax_tree.Select(self.copy(node.operand), node.field, node.test)
            case syntax_tree.Call():
                target = None if node.target is None else self.copy(node.target)
                return syntax_tree.Call(
                    node.function, target, [self.copy(a) for a in node.arguments]
                )
            case syntax_tree.ListOf():
                return syntax_tree.ListOf([self.copy(one) for one in node.elements], node.optional)
            case syntax_tree.MapOf():
                return syntax_tree.MapOf([
                    (self.copy(key), self.copy(value), optional)
                    for key, value, optional in node.entries
                ])  # fmt: skip
            case syntax_tree.Fold():
                return syntax_tree.Fold(
                    self.copy(node.source), node.variable, node.second, node.accumulator,
                    self.copy(node.start), self.copy(node.condition), self.copy(node.step),
                    self.copy(node.result),
                )  # fmt: skip
        raise TypeError(node)

    def expand(
        self,
        function: str,
        target: syntax_tree.Expr | None,
        arguments: list[syntax_tree.Expr],
    ) -> syntax_tree.Expr:
        """The call, or what its macro makes of it."""
        if target is None:
            if function == "has" and len(arguments) == 1:
                return _has(self, arguments[0])
        else:
            macro = _MACROS.get((function, len(arguments)))
            expanded = macro(self, target, arguments) if macro else None
            if expanded is not None:
                return expanded
        node = syntax_tree.Call(function, target, arguments)
        self._made(node)
        return node

    def bound(
        self, name: str, start: syntax_tree.Expr, result: syntax_tree.Expr
    ) -> syntax_tree.Fold:
        """`result` with `name` standing for `start`: a fold over nothing."""
        node = syntax_tree.Fold(
            self.list_of([]), _UNUSED, "", name, start, self.literal(value=False),
            self.name(name), result,
        )  # fmt: skip
        self._made(node)
        return node

    def fold(
        self, source: syntax_tree.Expr, variables: tuple[str, str], start: syntax_tree.Expr,
        step: syntax_tree.Expr, *, condition: syntax_tree.Expr | None = None,
        result: syntax_tree.Expr | None = None,
    ) -> syntax_tree.Fold:  # fmt: skip
        node = syntax_tree.Fold(
            source, *variables, _RESULT, start, condition or self.literal(value=True), step,
            result or self.name(_RESULT),
        )  # fmt: skip
        self._made(node)
        return node

    def result(self) -> syntax_tree.Name:
        return self.name(_RESULT)


def _variable(node: syntax_tree.Expr) -> str:
    if not isinstance(node, syntax_tree.Name):
        raise InvalidError("argument must be a simple name")
    if node.name == "__result__":
        raise InvalidError("iteration variable overwrites accumulator variable")
    return node.name


def _variables(arguments: list[syntax_tree.Expr], count: int) -> tuple[str, str]:
    first = _variable(arguments[0])
    if count == 1:
        return first, ""
    second = _variable(arguments[1])
    if first == second:
        raise InvalidError(f"duplicate variable name: {first}")
    return first, second


def _has(shop: Workshop, argument: syntax_tree.Expr) -> syntax_tree.Expr:
    if not isinstance(argument, syntax_tree.Select):
        raise InvalidError("invalid argument to has() macro")
    return shop.select(argument.operand, argument.field, test=True)


def _all(variables: int) -> _Macro:
    def expand(
        shop: Workshop, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
    ) -> syntax_tree.Expr:
        return shop.fold(
            target, _variables(arguments, variables), shop.literal(value=True),
            shop.call("_&&_", shop.result(), arguments[variables]),
            condition=shop.call("@not_strictly_false", shop.result()),
        )  # fmt: skip

    return expand


def _exists(variables: int) -> _Macro:
    def expand(
        shop: Workshop, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
    ) -> syntax_tree.Expr:
        return shop.fold(
            target, _variables(arguments, variables), shop.literal(value=False),
            shop.call("_||_", shop.result(), arguments[variables]),
            condition=shop.call("@not_strictly_false", shop.call("!_", shop.result())),
        )  # fmt: skip

    return expand


def _exists_one(variables: int) -> _Macro:
    def expand(
        shop: Workshop, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
    ) -> syntax_tree.Expr:
        more = shop.call("_+_", shop.result(), shop.literal(1))
        return shop.fold(
            target, _variables(arguments, variables), shop.literal(0),
            shop.call("_?_:_", arguments[variables], more, shop.result()),
            result=shop.call("_==_", shop.result(), shop.literal(1)),
        )  # fmt: skip

    return expand


def _transform_list(variables: int) -> _Macro:
    def expand(
        shop: Workshop, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
    ) -> syntax_tree.Expr:
        names = _variables(arguments, variables)
        more = shop.call("_+_", shop.result(), shop.list_of([arguments[-1]]))
        return shop.fold(
            target, names, shop.list_of([]), _filtered(shop, arguments[variables:-1], more)
        )

    return expand


def _filtered(
    shop: Workshop, condition: list[syntax_tree.Expr], step: syntax_tree.Expr
) -> syntax_tree.Expr:
    return shop.call("_?_:_", condition[0], step, shop.result()) if condition else step


def _filter(
    shop: Workshop, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
) -> syntax_tree.Expr:
    names = _variables(arguments, 1)
    more = shop.call("_+_", shop.result(), shop.list_of([arguments[0]]))
    return shop.fold(target, names, shop.list_of([]), _filtered(shop, [arguments[1]], more))


def _transform_map(
    shop: Workshop, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
) -> syntax_tree.Expr:
    names = _variables(arguments, 2)
    more = shop.call("@put", shop.result(), shop.name(names[0]), arguments[-1])
    return shop.fold(target, names, shop.map_of([]), _filtered(shop, arguments[2:-1], more))


def _transform_entry(
    shop: Workshop, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
) -> syntax_tree.Expr:
    names = _variables(arguments, 2)
    more = shop.call("@put", shop.result(), arguments[-1])
    return shop.fold(target, names, shop.map_of([]), _filtered(shop, arguments[2:-1], more))


def _simple_name(node: syntax_tree.Expr) -> str:
    if not isinstance(node, syntax_tree.Name):
        raise InvalidError("variable name must be a simple identifier")
    return node.name


def _bind(
    shop: Workshop, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
) -> syntax_tree.Expr | None:
    if not isinstance(target, syntax_tree.Name) or target.name != "cel":
        return None
    name = _simple_name(arguments[0])
    return shop.bound(name, arguments[1], arguments[2])


def _sort_by(
    shop: Workshop, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
) -> syntax_tree.Expr:
    if isinstance(target, (syntax_tree.Literal, syntax_tree.MapOf)):
        raise InvalidError("sortBy can only be applied to a list")
    keys = _transform_list(1)(shop, shop.name(_INPUT), arguments)
    if keys is None:
        raise TypeError("map always expands")
    return shop.bound(_INPUT, target, shop.member("@sort_by", shop.name(_INPUT), keys))


def _optional_map(
    shop: Workshop, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
) -> syntax_tree.Expr:
    inner = _optional_value(shop, target, arguments)
    return shop.call(
        "_?_:_", shop.member("hasValue", target), _optional(shop, "of", inner),
        _optional(shop, "none"),
    )  # fmt: skip


def _optional_flat_map(
    shop: Workshop, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
) -> syntax_tree.Expr:
    inner = _optional_value(shop, target, arguments)
    return shop.call("_?_:_", shop.member("hasValue", target), inner, _optional(shop, "none"))


def _optional_value(
    shop: Workshop, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
) -> syntax_tree.Expr:
    name = _simple_name(arguments[0])
    return shop.bound(name, shop.member("value", shop.copy(target)), arguments[1])


def _optional(shop: Workshop, function: str, *arguments: syntax_tree.Expr) -> syntax_tree.Expr:
    return shop.call(f"optional.{function}", *arguments)


# (name, number of arguments) → expander; a target is always there
_MACROS: dict[tuple[str, int], _Macro] = {
    ("all", 2): _all(1), ("all", 3): _all(2),
    ("exists", 2): _exists(1), ("exists", 3): _exists(2),
    ("exists_one", 2): _exists_one(1), ("exists_one", 3): _exists_one(2),
    ("existsOne", 3): _exists_one(2),
    ("map", 2): _transform_list(1), ("map", 3): _transform_list(1),
    ("filter", 2): _filter,
    ("transformList", 3): _transform_list(2), ("transformList", 4): _transform_list(2),
    ("transformMap", 3): _transform_map, ("transformMap", 4): _transform_map,
    ("transformMapEntry", 3): _transform_entry, ("transformMapEntry", 4): _transform_entry,
    ("bind", 3): _bind, ("sortBy", 2): _sort_by,
    ("optMap", 2): _optional_map, ("optFlatMap", 2): _optional_flat_map,
}  # fmt: skip
