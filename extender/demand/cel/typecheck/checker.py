"""Gives every node its type and every call its overloads, as cel-go's checker does.

InvalidError at the first thing that does not fit; upstream collects them, the verdict is the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from extender.demand.cel.runtime import values
from extender.demand.cel.runtime.meter import InvalidError
from extender.demand.cel.syntax import syntax_tree
from extender.demand.cel.typecheck import signatures, unify
from extender.demand.cel.typecheck.signatures import Overload, Type

# Python type of a constant → CEL type
_CONSTANTS: dict[type, Type] = {
    type(None): signatures.NULL, bool: signatures.BOOL, int: signatures.INT,
    values.Uint: signatures.UINT, float: signatures.DOUBLE, str: signatures.STRING,
    bytes: signatures.BYTES,
}  # fmt: skip
_LOGICAL = frozenset({"_&&_", "_||_"})


def check(
    tree: syntax_tree.Expr,
    *,
    functions: Mapping[str, tuple[Overload, ...]],
    names: Mapping[str, Type],
    fields: Mapping[str, Mapping[str, Type]],
) -> Type:
    """Annotate the tree and return its type.

    `functions`: name → overloads in order; `names`: variables and types, dots included; `fields`:
    name of an object type → field → type.
    """
    checker = _Checker(functions, names, fields)
    checker.visit(tree)
    checker.finish(tree)
    if tree.type is None:
        raise TypeError(tree)
    return tree.type


class _Checker:
    def __init__(
        self,
        functions: Mapping[str, tuple[Overload, ...]],
        names: Mapping[str, Type],
        fields: Mapping[str, Mapping[str, Type]],
    ) -> None:
        self._functions = functions
        self._fields = fields
        self._names = names
        self._scopes: list[dict[str, Type]] = []  # innermost last: variable → type
        self._types = unify.Unifier()

    def finish(self, node: syntax_tree.Expr) -> None:
        """Replace what is left of type variables by dyn, in the whole tree."""
        if node.type is not None:
            node.type = self._types.substitute(node.type, free=signatures.DYN)
        for child in node.children():
            self.finish(child)

    def visit(self, node: syntax_tree.Expr) -> Type:
        """Check a node and what is below it; the type is kept at the node."""
        match node:
            case syntax_tree.Literal():
                found = _CONSTANTS[type(node.value)]
            case syntax_tree.Name():
                found = self._name(node)
            case syntax_tree.Select():
                found = self._select(node)
            case syntax_tree.Call():
                found = self._call(node)
            case syntax_tree.ListOf():
                found = self._list(node)
            case syntax_tree.MapOf():
                found = self._map(node)
            case syntax_tree.Fold():
                found = self._fold(node)
            case _:
                raise TypeError(node)
        node.type = found
        return found

    def _look_up(self, name: str) -> Type | None:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return self._names.get(name)

    def _name(self, node: syntax_tree.Name) -> Type:
        found = self._look_up(node.name)
        if found is None:
            raise InvalidError(f"undeclared reference to {node.name!r}")
        node.is_type = found.kind == "type" and not any(node.name in one for one in self._scopes)
        return found

    def _select(self, node: syntax_tree.Select) -> Type:
        name = _qualified(node)
        found = None if name is None else self._look_up(name)
        if found is not None:
            node.type_name = name
            return found
        found = self._field(node.operand, node.field, optional=False)
        return signatures.BOOL if node.test else self._types.substitute(found)

    def _field(self, operand: syntax_tree.Expr, field: str, *, optional: bool) -> Type:
        whole = self._types.substitute(self.visit(operand))
        target = unify.unwrapped(whole)
        if target.kind == "map":
            found = target.parameters[1]
        elif target.kind == "object":
            fields = self._fields.get(target.name, {})
            if field not in fields:
                raise InvalidError(f"undefined field {field!r}")
            found = fields[field]
        elif target.kind == "variable":
            self._types.assignable(signatures.DYN, target)
            found = signatures.DYN
        elif unify.is_wild(target):
            found = signatures.DYN
        else:
            raise InvalidError(f"type {target.name!r} does not support field selection")
        return signatures.optional_of(found) if optional or target is not whole else found

    def _call(self, node: syntax_tree.Call) -> Type:
        if node.function == "_?._":
            field = node.arguments[1]
            if not isinstance(field, syntax_tree.Literal):
                raise TypeError(node)
            self.visit(field)
            found = self._field(node.arguments[0], field.value, optional=True)
            return self._types.substitute(found)
        for argument in node.arguments:
            self.visit(argument)
        if node.target is not None:
            prefix = _qualified(node.target)
            if prefix is not None and f"{prefix}.{node.function}" in self._functions:
                node.function, node.target = f"{prefix}.{node.function}", None
            else:
                self.visit(node.target)
        node.function = node.function.removeprefix(".")
        if node.function not in self._functions:
            raise InvalidError(f"undeclared reference to {node.function!r}")
        return self._resolve(node)

    def _resolve(self, node: syntax_tree.Call) -> Type:
        given = [child.type or signatures.ERROR for child in node.children()]
        if node.function in _LOGICAL:
            if not all(self._types.assignable(one, signatures.BOOL) for one in given):
                raise InvalidError("&& and || take bools")
            return signatures.BOOL
        result: Type | None = None
        for overload in self._functions[node.function]:
            if overload.member != (node.target is not None):
                continue
            wanted, gives = self._instance(overload)
            if not self._types.all_assignable(given, wanted):
                continue
            node.overloads = (*node.overloads, overload)
            gives = self._types.substitute(gives)
            if result is None:
                result = gives
            elif not unify.is_dynamic(result) and gives != result:
                result = signatures.DYN
        if result is None:
            raise InvalidError(f"found no matching overload for {node.function!r}")
        return result

    def _instance(self, overload: Overload) -> tuple[tuple[Type, ...], Type]:
        """The overload's parameters and result with type variables of their own."""
        if not overload.generic:
            return overload.parameters, overload.result
        own: dict[str, Type] = {}

        def renamed(one: Type) -> Type:
            if one.kind == "variable":
                if one.name not in own:
                    own[one.name] = self._types.fresh()
                return own[one.name]
            return Type(one.kind, one.name, tuple(map(renamed, one.parameters)))

        return tuple(map(renamed, overload.parameters)), renamed(overload.result)

    def _element(self, node: syntax_tree.Expr, *, optional: bool) -> Type:
        found = self.visit(node)
        if not optional:
            return found
        if not unify.is_optional(found) and not unify.is_dynamic(found):
            raise InvalidError("an element marked ? must be optional")
        return unify.unwrapped(found)

    def _join(self, previous: Type | None, current: Type) -> Type:
        if previous is None:
            return current
        if not self._types.assignable(previous, current):
            return signatures.DYN  # `validation` refuses it outside of format()
        return unify.most_general(previous, current)

    def _list(self, node: syntax_tree.ListOf) -> Type:
        element: Type | None = None
        for number, one in enumerate(node.elements):
            element = self._join(element, self._element(one, optional=number in node.optional))
        return signatures.list_of(self._types.fresh() if element is None else element)

    def _map(self, node: syntax_tree.MapOf) -> Type:
        key: Type | None = None
        value: Type | None = None
        for one, content, optional in node.entries:
            key = self._join(key, self.visit(one))
            value = self._join(value, self._element(content, optional=optional))
        if key is None or value is None:
            return signatures.map_of(self._types.fresh(), self._types.fresh())
        return signatures.map_of(key, value)

    def _fold(self, node: syntax_tree.Fold) -> Type:
        self.visit(node.source)
        start = self.visit(node.start)
        first, second = self._iterated(node)
        self._scopes.append({node.accumulator: start})
        self._scopes.append({node.variable: first})
        if node.second:
            self._scopes[-1][node.second] = second
        self._demand(node.condition, signatures.BOOL)
        self._demand(node.step, start)
        self._scopes.pop()
        found = self.visit(node.result)
        self._scopes.pop()
        return self._types.substitute(found)

    def _demand(self, node: syntax_tree.Expr, wanted: Type) -> None:
        if not self._types.assignable(wanted, self.visit(node)):
            raise InvalidError(f"expected type {wanted.name!r}")

    def _iterated(self, node: syntax_tree.Fold) -> tuple[Type, Type]:
        """The types of a fold's variables."""
        source = self._types.substitute(node.source.type or signatures.ERROR)
        if source.kind == "list":
            element = source.parameters[0]
            return (signatures.INT, element) if node.second else (element, element)
        if source.kind == "map":
            return source.parameters[0], source.parameters[1]
        if source.kind in {"dyn", "error", "variable"}:
            self._types.assignable(signatures.DYN, source)
            return signatures.DYN, signatures.DYN
        raise InvalidError(f"type {source.name!r} cannot be the range of a comprehension")


def _qualified(node: syntax_tree.Expr) -> str | None:
    """`a.b.c` as a name, None if the node is anything else."""
    if isinstance(node, syntax_tree.Name):
        return node.name
    if isinstance(node, syntax_tree.Select) and not node.test:
        prefix = _qualified(node.operand)
        return None if prefix is None else f"{prefix}.{node.field}"
    return None
