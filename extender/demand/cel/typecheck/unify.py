"""Whether one type may stand where another is asked for, solving type variables on the way.

The rules are cel-go's (checker/types.go), with what makes them matter: dyn fits everything, null
fits objects, a variable once bound is only ever made more general.
"""

from __future__ import annotations

from collections.abc import Sequence

from extender.demand.cel.typecheck.signatures import Type

_DYNAMIC = frozenset({"dyn", "any"})
_WILD = frozenset({"dyn", "any", "error"})
_NULLABLE = frozenset({"opaque", "object", "any", "duration", "timestamp", "null"})
_GENERIC = frozenset({"opaque", "list", "map"})


class Unifier:
    """The type variables of one expression, and what they are bound to."""

    def __init__(self) -> None:
        self._bound: dict[str, Type] = {}  # variable's name → type
        self._trail: list[tuple[str, Type | None]] = []  # what to restore, newest last
        self._fresh = 0

    def fresh(self) -> Type:
        """A new variable."""
        self._fresh += 1
        return Type("variable", f"@{self._fresh}")

    def assignable(self, left: Type, right: Type) -> bool:
        """Whether `left` fits `right`; binds variables if so, and only then."""
        return self.all_assignable((left,), (right,))

    def all_assignable(self, left: Sequence[Type], right: Sequence[Type]) -> bool:
        """Whether the types fit one by one; binds variables if all do, and only then."""
        self._trail.clear()
        if self._each(left, right):
            return True
        for name, previous in reversed(self._trail):
            if previous is None:
                del self._bound[name]
            else:
                self._bound[name] = previous
        return False

    def substitute(self, one: Type, *, free: Type | None = None) -> Type:
        """The type with bound variables replaced, and the unbound ones by `free` if given."""
        if one.kind == "variable":
            bound = self._bound.get(one.name)
            if bound is not None:
                return self.substitute(bound, free=free)
            return one if free is None else free
        if not one.parameters:
            return one
        return Type(
            one.kind, one.name, tuple(self.substitute(p, free=free) for p in one.parameters)
        )

    def _each(self, left: Sequence[Type], right: Sequence[Type]) -> bool:
        return len(left) == len(right) and all(map(self._fits, left, right))

    def _fits(self, left: Type, right: Type) -> bool:
        if right.kind == "variable":
            valid, bound = self._bind(left, right)
            if valid or bound:
                return valid
        if left.kind == "variable":
            return self._bind(right, left)[0]
        if left.kind in _WILD or right.kind in _WILD:
            return True
        if left.kind == "null":
            return right.kind in _NULLABLE
        if right.kind == "null":
            return left.kind in _NULLABLE
        if left.kind != right.kind:
            return False
        if left.kind == "type":
            return True
        if left.kind in _GENERIC:
            return left.name == right.name and self._each(left.parameters, right.parameters)
        return left.name == right.name

    def _bind(self, one: Type, variable: Type) -> tuple[bool, bool]:
        """Whether the type can stand for the variable, and whether the variable was bound."""
        if one == variable:
            return True, True
        bound = self._bound.get(variable.name)
        if bound is None:
            if not self._free_of(one, variable):
                return False, False
            self._set(variable.name, one)
            return True, False
        if one == bound:
            return True, True
        if not self._fits(one, bound):
            return False, True
        general = most_general(one, bound)
        if self._free_of(general, variable):
            self._set(variable.name, general)
        return True, True

    def _set(self, name: str, one: Type) -> None:
        self._trail.append((name, self._bound.get(name)))
        self._bound[name] = one

    def _free_of(self, within: Type, variable: Type) -> bool:
        if within == variable:
            return False
        if within.kind == "variable":
            bound = self._bound.get(within.name)
            return bound is None or self._free_of(bound, variable)
        return all(self._free_of(parameter, variable) for parameter in within.parameters)


def most_general(left: Type, right: Type) -> Type:
    """The less specific of two types that fit each other."""
    return left if _covers(left, right) else right


def _covers(left: Type, right: Type) -> bool:
    if left.kind in _DYNAMIC or left.kind == "variable":
        return True
    if right.kind in _DYNAMIC or right.kind == "variable" or left.kind != right.kind:
        return False
    if left.kind == "type":
        return True
    if left.kind in _GENERIC:
        return (
            left.name == right.name
            and len(left.parameters) == len(right.parameters)
            and all(map(_covers, left.parameters, right.parameters))
        )
    return left == right


def is_optional(one: Type) -> bool:
    return one.kind == "opaque" and one.name == "optional_type"


def unwrapped(one: Type) -> Type:
    """What an optional holds; any other type as it is."""
    return one.parameters[0] if is_optional(one) else one


def is_dynamic(one: Type) -> bool:
    return one.kind in _DYNAMIC


def is_wild(one: Type) -> bool:
    return one.kind in _WILD
