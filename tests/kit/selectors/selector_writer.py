"""Writes random CEL: mostly well typed, over every function there is.

An expression of a wanted type comes from literals, variables, macros and the overloads of the
environment; now and then another type is drawn on purpose.
"""

from __future__ import annotations

import random

from extender.demand.cel.typecheck import environment, signatures
from extender.demand.cel.typecheck.signatures import Overload, Type
from tests.kit.selectors import selector_values, selector_words

_SKIPPED = frozenset({
    "@put", "@sort_by", "@not_strictly_false", "_[?_]", "_?:_", "_?_:_",
})  # fmt: skip
_INFIX = {
    f"_{one}_": one
    for one in ("+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "&&", "||")
} | {"@in": "in"}


class Writer:
    """Writes one random expression."""

    def __init__(self, rng: random.Random, *, lists: bool) -> None:
        self._rng = rng
        self._variables: list[tuple[str, Type]] = []
        self._lists = lists
        functions = environment.Dialect().functions
        self._overloads = [
            one
            for name, overloads in functions.items()
            if name not in _SKIPPED
            for one in overloads
            if "authorization" not in repr(one)
        ]

    def expression(self) -> str:
        depth = self._rng.choice((1, 2, 2, 3, 3, 4, 5))
        wanted = signatures.BOOL if self._rng.random() < 0.97 else self._some_type()
        return self.of(wanted, depth)

    def single(self, given: selector_values.Json) -> str:
        """One call on literals, compared with the value that we find it to have."""
        overload = self._rng.choice(self._overloads)
        bound: dict[str, Type] = {}
        text = self._written(overload, bound, 0)
        shown = selector_values.shown(text, given, lists=self._lists)
        return text if shown is None else f"{text} == {shown}"

    def equation(self, given: selector_values.Json) -> str:
        """An expression compared with the value that we find it to have."""
        wanted = self._rng.choice(
            (*selector_words.SCALARS, *selector_words.SCALARS, signatures.IP, signatures.CIDR)
        )
        drawn = self._rng.random()
        if drawn < 0.3:
            wanted = signatures.list_of(wanted)
        elif drawn < 0.4:
            wanted = signatures.map_of(signatures.STRING, wanted)
        elif drawn < 0.5:
            wanted = signatures.optional_of(wanted)
        text = self._call(wanted, self._rng.choice((1, 1, 2, 2, 3)))
        shown = selector_values.shown(text, given, lists=self._lists)
        return f"{text} == {self.of(wanted, 1) if shown is None else shown}"

    def of(self, wanted: Type, depth: int) -> str:
        """An expression of a type, usually."""
        rng = self._rng
        if rng.random() < 0.012:
            wanted = self._some_type()
        if rng.random() < 0.01:
            return f"dyn({self.of(wanted, depth)})"
        if depth <= 0:
            return self._leaf(wanted)
        drawn = rng.random()
        if drawn < 0.18:
            return self._leaf(wanted)
        if drawn < 0.28:
            return self._attribute(wanted)
        if drawn < 0.48:
            return self._macro(wanted, depth - 1)
        if drawn < 0.53:
            condition = self.of(signatures.BOOL, depth - 1)
            return f"({condition} ? {self.of(wanted, depth - 1)} : {self.of(wanted, depth - 1)})"
        return self._call(wanted, depth - 1)

    def _some_type(self) -> Type:
        rng = self._rng
        drawn = rng.random()
        if drawn < 0.7:
            return rng.choice(selector_words.SCALARS)
        if drawn < 0.85:
            return signatures.list_of(rng.choice(selector_words.SCALARS))
        if drawn < 0.93:
            return signatures.map_of(signatures.STRING, rng.choice(selector_words.SCALARS))
        return signatures.optional_of(rng.choice(selector_words.SCALARS))

    def _leaf(self, wanted: Type) -> str:
        rng = self._rng
        known = [name for name, one in self._variables if one == wanted]
        if known and rng.random() < 0.7:
            return rng.choice(known)
        literals = selector_words.LITERALS.get(wanted)
        if literals is not None:
            return rng.choice(literals)
        if wanted.kind == "list":
            size = rng.choice((0, 1, 2, 3))
            return f"[{', '.join(self._leaf(wanted.parameters[0]) for _ in range(size))}]"
        if wanted.kind == "map":
            key, value = wanted.parameters
            if key == signatures.BYTES:
                key = signatures.STRING  # upstream panics when it looks for bytes in a map
            size = rng.choice((0, 1, 1, 2))
            entries = (f"{self._leaf(key)}: {self._leaf(value)}" for _ in range(size))
            return "{" + ", ".join(entries) + "}"
        if wanted.kind == "opaque" and wanted.name == "optional_type":
            inner = self._leaf(wanted.parameters[0])
            return rng.choice(("optional.none()", f"optional.of({inner})"))
        return self._attribute(wanted)

    def _attribute(self, wanted: Type) -> str:
        rng = self._rng
        domain = rng.choice(selector_words.DOMAINS)
        place = f"['{domain}']" if rng.random() < 0.9 else "[device.driver]"
        if wanted == signatures.QUANTITY:
            return f"device.capacity{place}.{rng.choice(selector_words.IDS[5:])}"
        identifier = {"int": "index", "bool": "healthy", "object": "driverVersion"}.get(
            wanted.kind, rng.choice(selector_words.IDS)
        )
        if rng.random() < 0.2:
            identifier = rng.choice(selector_words.IDS)
        attribute = f"device.attributes{place}"
        drawn = rng.random()
        if wanted == signatures.BOOL and drawn < 0.25:
            return rng.choice((
                f"has({attribute}.{identifier})", f"'{identifier}' in {attribute}",
                f"'{domain}' in device.attributes", f"{attribute} == {{}}",
                f"device.attributes.exists(d, d == '{domain}')",
                f"device.capacity{place}.all(k, k != '{identifier}')",
                "device.allowMultipleAllocations", "device.attributes.size() > 1",
            ))  # fmt: skip
        if wanted == signatures.STRING and drawn < 0.2:
            return "device.driver"
        if drawn < 0.5:
            return f"{attribute}.{identifier}"
        if drawn < 0.7:
            return f"{attribute}['{identifier}']"
        if drawn < 0.8:
            return f"{attribute}.?{identifier}.orValue({self._leaf(wanted)})"
        if drawn < 0.85:
            return f"{attribute}[?'{identifier}'].orValue({self._leaf(wanted)})"
        there = f"{attribute}.?{identifier}.hasValue()"
        return f"({there} ? {attribute}.{identifier} : {self._leaf(wanted)})"

    def _call(self, wanted: Type, depth: int) -> str:
        """A call whose result is of the type."""
        rng = self._rng
        for _ in range(20):
            overload = rng.choice(self._overloads)
            bound: dict[str, Type] = {}
            if _fits(overload.result, wanted, bound):
                return self._written(overload, bound, depth)
        return self._leaf(wanted)

    def _written(self, overload: Overload, bound: dict[str, Type], depth: int) -> str:
        arguments = [self.of(self._concrete(one, bound), depth) for one in overload.parameters]
        name = overload.function
        if name == "lists.range":
            # Upstream makes any list that is asked for, until its memory ends.
            return f"lists.range({self._rng.randint(-1, 20)})"
        if name in _INFIX:
            return f"({arguments[0]} {_INFIX[name]} {arguments[1]})"
        if name in {"!_", "-_"}:
            return f"{name[0]}({arguments[0]})"
        if name == "_[_]":
            return f"{arguments[0]}[{arguments[1]}]"
        if overload.member:
            return f"{arguments[0]}.{name}({', '.join(arguments[1:])})"
        return f"{name}({', '.join(arguments)})"

    def _concrete(self, one: Type, bound: dict[str, Type]) -> Type:
        if one.kind == "variable":
            if one.name not in bound:
                bound[one.name] = self._rng.choice(selector_words.SCALARS[:6])
            return bound[one.name]
        if one.kind == "dyn":
            return self._rng.choice(selector_words.SCALARS)
        if one.kind == "map" and one.parameters[0].kind == "variable":
            # Upstream panics when it looks for bytes in a map.
            keys = (signatures.STRING, signatures.INT, signatures.BOOL, signatures.UINT)
            bound.setdefault(one.parameters[0].name, self._rng.choice(keys))
        return Type(one.kind, one.name, tuple(self._concrete(p, bound) for p in one.parameters))

    def _macro(self, wanted: Type, depth: int) -> str:
        rng = self._rng
        if rng.random() < 0.25:
            inner = rng.choice((*selector_words.SCALARS, signatures.list_of(signatures.INT)))
            start = self.of(inner, depth)
            name = f"v{len(self._variables)}"
            return f"cel.bind({name}, {start}, {self._with([(name, inner)], wanted, depth)})"
        if wanted == signatures.BOOL:
            return self._quantifier(depth)
        if wanted.kind == "list":
            return self._list_macro(wanted, depth)
        if wanted.kind == "map":
            return self._map_macro(wanted, depth)
        if wanted.name == "optional_type":
            return self._optional_macro(wanted, depth)
        inner = self.of(signatures.optional_of(wanted), depth)
        return f"{inner}.orValue({self.of(wanted, depth)})"

    def _with(self, variables: list[tuple[str, Type]], wanted: Type, depth: int) -> str:
        """An expression of a type in which more variables are known."""
        self._variables += variables
        text = self.of(wanted, depth)
        del self._variables[-len(variables) :]
        return text

    def _source(self, depth: int) -> tuple[str, list[tuple[str, Type]], list[tuple[str, Type]]]:
        """Something to iterate over, with the variables of one or two names."""
        rng = self._rng
        element = rng.choice(selector_words.SCALARS[:6])
        one, two = f"v{len(self._variables)}", f"w{len(self._variables)}"
        if rng.random() < 0.75:
            text = self.of(signatures.list_of(element), depth)
            return text, [(one, element)], [(one, signatures.INT), (two, element)]
        text = self.of(signatures.map_of(signatures.STRING, element), depth)
        return text, [(one, signatures.STRING)], [(one, signatures.STRING), (two, element)]

    def _quantifier(self, depth: int) -> str:
        rng = self._rng
        source, single, double = self._source(depth)
        variables = rng.choice((single, single, double))
        names = ", ".join(name for name, _ in variables)
        macro = rng.choice(("all", "exists", "exists_one"))
        if variables is double and rng.random() < 0.3:
            macro = "existsOne"
        return f"{source}.{macro}({names}, {self._with(variables, signatures.BOOL, depth)})"

    def _list_macro(self, wanted: Type, depth: int) -> str:
        rng = self._rng
        element = wanted.parameters[0]
        source, single, double = self._source(depth)
        drawn = rng.random()
        if drawn < 0.2:
            own = self.of(wanted, depth)
            key = self._with([("k", element)], rng.choice(selector_words.SCALARS[:6]), depth)
            return f"{own}.sortBy(k, {key})"
        if drawn < 0.4:
            own = self.of(wanted, depth)
            return f"{own}.filter(k, {self._with([('k', element)], signatures.BOOL, depth)})"
        variables = double if drawn > 0.7 else single
        macro = "transformList" if variables is double else "map"
        names = ", ".join(name for name, _ in variables)
        inner = self._with(variables, element, depth)
        if rng.random() < 0.4:
            inner = f"{self._with(variables, signatures.BOOL, depth)}, {inner}"
        return f"{source}.{macro}({names}, {inner})"

    def _map_macro(self, wanted: Type, depth: int) -> str:
        rng = self._rng
        key, value = wanted.parameters
        source, _, double = self._source(depth)
        names = ", ".join(name for name, _ in double)
        inner = self._with(double, value, depth)
        macro = "transformMap"
        if rng.random() < 0.5:
            macro = "transformMapEntry"
            inner = "{" + f"{self._with(double, key, depth)}: {inner}" + "}"
        if rng.random() < 0.4:
            inner = f"{self._with(double, signatures.BOOL, depth)}, {inner}"
        return f"{source}.{macro}({names}, {inner})"

    def _optional_macro(self, wanted: Type, depth: int) -> str:
        rng = self._rng
        inner = rng.choice(selector_words.SCALARS)
        source = self.of(signatures.optional_of(inner), depth)
        if rng.random() < 0.5:
            body = self._with([("o", inner)], wanted.parameters[0], depth)
            return f"{source}.optMap(o, {body})"
        if rng.random() < 0.5:
            return f"{source}.optFlatMap(o, {self._with([('o', inner)], wanted, depth)})"
        container = self.of(signatures.list_of(wanted.parameters[0]), depth)
        return f"{container}[?{self.of(signatures.INT, depth)}]"


def _fits(result: Type, wanted: Type, bound: dict[str, Type]) -> bool:
    """Whether a result type can be the wanted one; binds the result's variables."""
    if result.kind == "variable":
        return bound.setdefault(result.name, wanted) == wanted
    if result.kind != wanted.kind or result.name != wanted.name:
        return False
    pairs = zip(result.parameters, wanted.parameters, strict=False)
    return all(_fits(mine, yours, bound) for mine, yours in pairs)
