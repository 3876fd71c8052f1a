"""Random devices and CEL selectors: mostly well typed, over every function there is.

A generator draws an expression of a wanted type from literals, variables, macros and the overloads
of the environment; now and then it draws another type on purpose, or damages the text.
"""

from __future__ import annotations

import random
from typing import Any

from extender.demand.cel import environment, signatures
from extender.demand.cel.signatures import Overload, Type
from tests import selector_values

Json = dict[str, Any]

DRIVER = "gpu.example.com"
_DOMAINS = (DRIVER, DRIVER, DRIVER, "resource.example.org", "absent.example.com")
_IDS = ("model", "index", "healthy", "driverVersion", "root", "memory", "cores", "absent")
_STRINGS = (
    "", "a", "H100", "NVIDIA A100-SXM4-40GB", "pci0000:00", "a,b,,c", "héllo wörld", " x ", "1",
    "1.2.3", "40Gi", "true", "10.0.0.1", "https://example.com:80/a?b=c&b=d", "^[a-z]+$", "[", "\t",
    "2023-01-02T03:04:05Z", "1h30m", "dns1123Label", "example.com/Name", "10.0.0.0/8", "-0.5", "%s",
)  # fmt: skip
_VERSIONS = ("1.2.3", "0.0.1", "12.4.0", "1.2.3-alpha.1", "1.2.3-beta+build.5", "1.10.0")
_QUANTITIES = ("0", "1", "40Gi", "500m", "1k", "81559Mi", "1e3", "2", "1536Mi", "-3")
_SCALARS = (
    signatures.BOOL, signatures.INT, signatures.UINT, signatures.DOUBLE, signatures.STRING,
    signatures.BYTES, signatures.DURATION, signatures.TIMESTAMP, signatures.QUANTITY,
    signatures.SEMVER,
)  # fmt: skip
# type → literals of it
_LITERALS: dict[Type, tuple[str, ...]] = {
    signatures.BOOL: ("true", "false"),
    signatures.INT: (
        "0", "1", "2", "-1", "3", "7", "10", "100", "0x1F", "9223372036854775807",
        "-9223372036854775808", "4096",
    ),
    signatures.UINT: ("0u", "1u", "2u", "42u", "18446744073709551615u"),
    signatures.DOUBLE: (
        "0.0", "1.0", "-1.5", "0.1", "1e10", "3.14159", "1e-7", "2.5", "1e300", "-0.0",
        "1234567.891", "double('NaN')", "double('inf')",
    ),
    signatures.STRING: tuple(
        "'" + one.replace("\\", "\\\\").replace("'", "\\'").replace("\t", "\\t") + "'"
        for one in _STRINGS
    ),
    signatures.BYTES: ("b''", "b'abc'", r"b'\xff\x00'", "b'é'"),
    signatures.DURATION: (
        "duration('1h30m')", "duration('0s')", "duration('-1.5s')", "duration('100ms')",
        "duration('1000000h')", "duration('1ns')",
    ),
    signatures.TIMESTAMP: (
        "timestamp('2023-01-02T03:04:05Z')", "timestamp('1969-12-31T23:59:59.5Z')", "timestamp(0)",
        "timestamp('2024-02-29T12:00:00+05:30')", "timestamp('9999-12-31T23:59:59.999999999Z')",
        "timestamp('0001-01-01T00:00:00Z')",
    ),
    signatures.NULL: ("null",),
    signatures.QUANTITY: (
        *(f"quantity('{one}')" for one in _QUANTITIES), "quantity('1000m')", "quantity('1Ei')",
        "quantity('0.0000000001')", "quantity('123456789012345678901')", "quantity('abc')",
    ),
    signatures.SEMVER: (
        *(f"semver('{one}')" for one in _VERSIONS), "semver('v1.2', true)", "semver('01.2.3')",
        "semver('v01.02', true)",
    ),
    signatures.IP: ("ip('10.0.0.1')", "ip('::1')", "ip('fe80::1')", "ip('224.0.0.1')", "ip('x')"),
    signatures.CIDR: ("cidr('10.0.0.0/8')", "cidr('10.1.2.3/24')", "cidr('2001:db8::/32')"),
    signatures.URL: (
        "url('https://example.com:80/a%20b?b=c&b=d')", "url('https://user@[::1]:8080/')",
        "url('/path')", "url('mailto:x')", "url('https://example.com/päth?q=ü#f')",
    ),
    signatures.FORMAT: (
        "format.dns1123Label()", "format.uuid()", "format.labelValue()", "format.qualifiedName()",
        "format.date()", "format.datetime()", "format.byte()", "format.uri()",
        "format.dns1123SubdomainPrefix()",
    ),
    signatures.TYPE: ("int", "string", "type", "bool", "map", "list", "null_type", "double"),
}  # fmt: skip
_SKIPPED = frozenset({
    "@put", "@sort_by", "@not_strictly_false", "_[?_]", "_?:_", "_?_:_",
})  # fmt: skip
_INFIX = {
    f"_{one}_": one
    for one in ("+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "&&", "||")
} | {"@in": "in"}
_VERSION_KINDS = frozenset({"version", "versions"})


def case(rng: random.Random) -> Json:
    """A case as the oracle reads it."""
    lists = rng.random() < 0.2
    given = device(rng, lists=lists)
    writer = Writer(rng, lists=lists)
    drawn = rng.random()
    if drawn < 0.3:
        text = writer.single(given)
    elif drawn < 0.5:
        text = writer.equation(given)
    else:
        text = writer.expression()
    if rng.random() < 0.03:
        text = _damaged(rng, text)
    found: Json = {"expression": text, **given}
    if lists:
        found["features"] = ["DRAConsumableCapacity", "DRAListTypeAttributes"]
    return found


def device(rng: random.Random, *, lists: bool) -> Json:
    """A device in the API's JSON."""
    attributes = {
        _name(rng, one): _attribute(rng, one, lists=lists) for one in _IDS[:5] if rng.random() < 0.7
    }
    capacity = {
        _name(rng, one): {"value": rng.choice(_QUANTITIES)}
        for one in ("memory", "cores") if rng.random() < 0.8
    }  # fmt: skip
    found: Json = {"driver": DRIVER, "attributes": attributes, "capacity": capacity}
    if rng.random() < 0.5:
        found["allowMultipleAllocations"] = rng.random() < 0.5
    return found


def _name(rng: random.Random, identifier: str) -> str:
    domain = rng.choice(("", "", DRIVER, "resource.example.org"))
    return f"{domain}/{identifier}" if domain else identifier


def _attribute(rng: random.Random, identifier: str, *, lists: bool) -> Json:
    usual = {"index": "int", "healthy": "bool", "driverVersion": "version"}.get(
        identifier, "string"
    )
    kind = usual if rng.random() < 0.8 else rng.choice(("int", "bool", "version", "string"))
    if lists and rng.random() < 0.3:
        return {f"{kind}s": [_scalar(rng, kind) for _ in range(rng.randint(1, 3))]}
    return {kind: _scalar(rng, kind)}


def _scalar(rng: random.Random, kind: str) -> Any:
    if kind == "int":
        return rng.choice((0, 1, 2, 7, -1, 4096))
    if kind == "bool":
        return rng.random() < 0.6
    return rng.choice(_VERSIONS if kind == "version" else _STRINGS)


def _damaged(rng: random.Random, text: str) -> str:
    """The text with a piece dropped, doubled or replaced."""
    start = rng.randrange(len(text))
    end = min(len(text), start + rng.randint(0, 3))
    piece = rng.choice(
        ("", "", text[start:end] * 2, "(", ")", ".", "?", "'", "!", "\\", "@", "in ")
    )
    return text[:start] + piece + text[end:]


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

    def single(self, given: Json) -> str:
        """One call on literals, compared with the value that we find it to have."""
        overload = self._rng.choice(self._overloads)
        bound: dict[str, Type] = {}
        text = self._written(overload, bound, 0)
        shown = selector_values.shown(text, given, lists=self._lists)
        return text if shown is None else f"{text} == {shown}"

    def equation(self, given: Json) -> str:
        """An expression compared with the value that we find it to have."""
        wanted = self._rng.choice((*_SCALARS, *_SCALARS, signatures.IP, signatures.CIDR))
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
            return rng.choice(_SCALARS)
        if drawn < 0.85:
            return signatures.list_of(rng.choice(_SCALARS))
        if drawn < 0.93:
            return signatures.map_of(signatures.STRING, rng.choice(_SCALARS))
        return signatures.optional_of(rng.choice(_SCALARS))

    def _leaf(self, wanted: Type) -> str:
        rng = self._rng
        known = [name for name, one in self._variables if one == wanted]
        if known and rng.random() < 0.7:
            return rng.choice(known)
        literals = _LITERALS.get(wanted)
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
        domain = rng.choice(_DOMAINS)
        place = f"['{domain}']" if rng.random() < 0.9 else "[device.driver]"
        if wanted == signatures.QUANTITY:
            return f"device.capacity{place}.{rng.choice(_IDS[5:])}"
        identifier = {"int": "index", "bool": "healthy", "object": "driverVersion"}.get(
            wanted.kind, rng.choice(_IDS)
        )
        if rng.random() < 0.2:
            identifier = rng.choice(_IDS)
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
                bound[one.name] = self._rng.choice(_SCALARS[:6])
            return bound[one.name]
        if one.kind == "dyn":
            return self._rng.choice(_SCALARS)
        if one.kind == "map" and one.parameters[0].kind == "variable":
            # Upstream panics when it looks for bytes in a map.
            keys = (signatures.STRING, signatures.INT, signatures.BOOL, signatures.UINT)
            bound.setdefault(one.parameters[0].name, self._rng.choice(keys))
        return Type(one.kind, one.name, tuple(self._concrete(p, bound) for p in one.parameters))

    def _macro(self, wanted: Type, depth: int) -> str:
        rng = self._rng
        if rng.random() < 0.25:
            inner = rng.choice((*_SCALARS, signatures.list_of(signatures.INT)))
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
        element = rng.choice(_SCALARS[:6])
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
            key = self._with([("k", element)], rng.choice(_SCALARS[:6]), depth)
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
        inner = rng.choice(_SCALARS)
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
