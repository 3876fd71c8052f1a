"""Which attributes and capacities an expression can read, by name.

The answer may name too many, never too few: a device map may only be looked into by constant
names. Where it goes anywhere else (a function, a comparison, a loop) the answer is "any".
"""

from __future__ import annotations

from extender.demand.cel.syntax import syntax_tree
from extender.demand.cel.typecheck import signatures, unify
from extender.demand.cel.typecheck.signatures import Type

_LOOKUPS = frozenset({"_[_]", "_[?_]", "_?._"})


class _AnyError(Exception):
    """The expression may read everything."""


def names(tree: syntax_tree.Expr) -> frozenset[str] | None:
    """Ids of what the checked expression can read; None if it could be anything."""
    found: set[str] = set()
    try:
        if _is_map(tree):
            return None
        _visit(tree, found)
    except _AnyError:
        return None
    return frozenset(found)


def _visit(node: syntax_tree.Expr, found: set[str]) -> None:
    match node:
        case syntax_tree.Select():
            _look_up(node.operand, syntax_tree.Literal(node.field), found)
            _visit(node.operand, found)
        case syntax_tree.Call() if node.function in _LOOKUPS:
            _look_up(node.arguments[0], node.arguments[1], found)
            _visit(node.arguments[0], found)
            _visit_safe(node.arguments[1], found)
        case syntax_tree.Call(function="@in"):
            _domain_test(node.arguments[1])
            _look_up(node.arguments[1], node.arguments[0], found)
            _visit(node.arguments[1], found)
            _visit_safe(node.arguments[0], found)
        case syntax_tree.Fold(variable="#unused"):
            _visit(node.start, found)
            _visit(node.result, found)
        case _:
            for child in node.children():
                _visit_safe(child, found)


def _visit_safe(node: syntax_tree.Expr, found: set[str]) -> None:
    if _is_map(node):
        raise _AnyError
    _visit(node, found)


def _look_up(operand: syntax_tree.Expr, key: syntax_tree.Expr, found: set[str]) -> None:
    whole = unify.unwrapped(operand.type or signatures.ERROR)
    if whole.kind != "map" or whole.parameters[1].kind == "map":
        return  # a field of the device, a domain, or a value that is no device map
    if not isinstance(key, syntax_tree.Literal):
        raise _AnyError
    if isinstance(key.value, str):
        found.add(key.value)


def _domain_test(container: syntax_tree.Expr) -> None:
    # A domain is there if any attribute has it; looking one up gives a map in any case.
    whole = container.type or signatures.ERROR
    if whole.kind == "map" and whole.parameters[1].kind == "map":
        raise _AnyError


def _is_map(node: syntax_tree.Expr) -> bool:
    """Whether the node's value may hold a device map."""
    return _holds_map(node.type or signatures.ERROR)


def _holds_map(one: Type) -> bool:
    if one == signatures.DEVICE:
        return True
    if one.kind == "map" and one.parameters[1].kind in {"any", "dyn", "object"}:
        return True
    return any(map(_holds_map, one.parameters))
