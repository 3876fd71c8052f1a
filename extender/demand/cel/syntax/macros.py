"""Expands macros the way cel-go does.

What a macro expands to matters for the type-checker: `map` is a fold over `accumulator + [x]`, and
types flow through that sum. Sources: cel-go parser/macro.go, ext/bindings.go,
ext/comprehensions.go, ext/lists.go, cel/library.go (optMap, optFlatMap).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from extender.demand.cel.runtime.meter import InvalidError
from extender.demand.cel.syntax import syntax_tree
from extender.demand.cel.syntax.tree_builder import TreeBuilder

_INPUT = "@input"

_Arguments: TypeAlias = list[syntax_tree.Expr]
_Macro: TypeAlias = "Callable[[TreeBuilder, syntax_tree.Expr, _Arguments], syntax_tree.Expr | None]"


def expand(
    build: TreeBuilder,
    function: str,
    target: syntax_tree.Expr | None,
    arguments: list[syntax_tree.Expr],
) -> syntax_tree.Expr:
    """The call, or what its macro makes of it."""
    if target is None:
        if function == "has" and len(arguments) == 1:
            return _has(build, arguments[0])
    else:
        macro = _MACROS.get((function, len(arguments)))
        expanded = macro(build, target, arguments) if macro else None
        if expanded is not None:
            return expanded
    return build.plain_call(function, target, arguments)


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


def _has(build: TreeBuilder, argument: syntax_tree.Expr) -> syntax_tree.Expr:
    if not isinstance(argument, syntax_tree.Select):
        raise InvalidError("invalid argument to has() macro")
    return build.select(argument.operand, argument.field, test=True)


def _all(variables: int) -> _Macro:
    def expand(
        build: TreeBuilder, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
    ) -> syntax_tree.Expr:
        return build.fold(
            target, _variables(arguments, variables), build.literal(value=True),
            build.call("_&&_", build.result(), arguments[variables]),
            condition=build.call("@not_strictly_false", build.result()),
        )  # fmt: skip

    return expand


def _exists(variables: int) -> _Macro:
    def expand(
        build: TreeBuilder, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
    ) -> syntax_tree.Expr:
        return build.fold(
            target, _variables(arguments, variables), build.literal(value=False),
            build.call("_||_", build.result(), arguments[variables]),
            condition=build.call("@not_strictly_false", build.call("!_", build.result())),
        )  # fmt: skip

    return expand


def _exists_one(variables: int) -> _Macro:
    def expand(
        build: TreeBuilder, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
    ) -> syntax_tree.Expr:
        more = build.call("_+_", build.result(), build.literal(1))
        return build.fold(
            target, _variables(arguments, variables), build.literal(0),
            build.call("_?_:_", arguments[variables], more, build.result()),
            result=build.call("_==_", build.result(), build.literal(1)),
        )  # fmt: skip

    return expand


def _transform_list(variables: int) -> _Macro:
    def expand(
        build: TreeBuilder, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
    ) -> syntax_tree.Expr:
        names = _variables(arguments, variables)
        more = build.call("_+_", build.result(), build.list_of([arguments[-1]]))
        return build.fold(
            target, names, build.list_of([]), _filtered(build, arguments[variables:-1], more)
        )

    return expand


def _filtered(
    build: TreeBuilder, condition: list[syntax_tree.Expr], step: syntax_tree.Expr
) -> syntax_tree.Expr:
    return build.call("_?_:_", condition[0], step, build.result()) if condition else step


def _filter(
    build: TreeBuilder, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
) -> syntax_tree.Expr:
    names = _variables(arguments, 1)
    more = build.call("_+_", build.result(), build.list_of([arguments[0]]))
    return build.fold(target, names, build.list_of([]), _filtered(build, [arguments[1]], more))


def _transform_map(
    build: TreeBuilder, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
) -> syntax_tree.Expr:
    names = _variables(arguments, 2)
    more = build.call("@put", build.result(), build.name(names[0]), arguments[-1])
    return build.fold(target, names, build.map_of([]), _filtered(build, arguments[2:-1], more))


def _transform_entry(
    build: TreeBuilder, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
) -> syntax_tree.Expr:
    names = _variables(arguments, 2)
    more = build.call("@put", build.result(), arguments[-1])
    return build.fold(target, names, build.map_of([]), _filtered(build, arguments[2:-1], more))


def _simple_name(node: syntax_tree.Expr) -> str:
    if not isinstance(node, syntax_tree.Name):
        raise InvalidError("variable name must be a simple identifier")
    return node.name


def _bind(
    build: TreeBuilder, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
) -> syntax_tree.Expr | None:
    if not isinstance(target, syntax_tree.Name) or target.name != "cel":
        return None
    name = _simple_name(arguments[0])
    return build.bound(name, arguments[1], arguments[2])


def _sort_by(
    build: TreeBuilder, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
) -> syntax_tree.Expr:
    if isinstance(target, (syntax_tree.Literal, syntax_tree.MapOf)):
        raise InvalidError("sortBy can only be applied to a list")
    keys = _transform_list(1)(build, build.name(_INPUT), arguments)
    if keys is None:
        raise TypeError("map always expands")
    return build.bound(_INPUT, target, build.member("@sort_by", build.name(_INPUT), keys))


def _optional_map(
    build: TreeBuilder, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
) -> syntax_tree.Expr:
    inner = _optional_value(build, target, arguments)
    return build.call(
        "_?_:_", build.member("hasValue", target), _optional(build, "of", inner),
        _optional(build, "none"),
    )  # fmt: skip


def _optional_flat_map(
    build: TreeBuilder, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
) -> syntax_tree.Expr:
    inner = _optional_value(build, target, arguments)
    return build.call("_?_:_", build.member("hasValue", target), inner, _optional(build, "none"))


def _optional_value(
    build: TreeBuilder, target: syntax_tree.Expr, arguments: list[syntax_tree.Expr]
) -> syntax_tree.Expr:
    name = _simple_name(arguments[0])
    return build.bound(name, build.member("value", build.copy(target)), arguments[1])


def _optional(build: TreeBuilder, function: str, *arguments: syntax_tree.Expr) -> syntax_tree.Expr:
    return build.call(f"optional.{function}", *arguments)


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
