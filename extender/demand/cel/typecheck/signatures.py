"""Types of CEL and the signatures of functions, written the way the CEL documentation writes them.

"list(A)::indexOf(A) -> int" is a member with a type variable, "quantity(string) -> Quantity" a free
function.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any, TypeAlias

# What an overload runs: (meter, argument values…) → value. The values are those of `values`.
Implementation: TypeAlias = Callable[..., Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Type:
    """A type of CEL: `kind` decides assignability, `name` is what `type()` shows at run time.

    Kinds: bool bytes double duration int null string timestamp uint, dyn any error, list map type,
    object (fields or none, may be null), opaque (the same without fields), variable.
    """

    kind: str
    name: str
    parameters: tuple[Type, ...] = ()


BOOL = Type("bool", "bool")
BYTES = Type("bytes", "bytes")
DOUBLE = Type("double", "double")
DURATION = Type("duration", "google.protobuf.Duration")
INT = Type("int", "int")
NULL = Type("null", "null_type")
STRING = Type("string", "string")
TIMESTAMP = Type("timestamp", "google.protobuf.Timestamp")
UINT = Type("uint", "uint")
DYN = Type("dyn", "dyn")
# Like dyn, but not to be iterated over: what an attribute is without list attributes.
ANY = Type("any", "google.protobuf.Any")
ERROR = Type("error", "error")
TYPE = Type("type", "type")
DEVICE = Type("object", "kubernetes.DRADevice")
QUANTITY = Type("object", "kubernetes.Quantity")
SEMVER = Type("object", "kubernetes.Semver")
URL = Type("object", "kubernetes.URL")
FORMAT = Type("object", "kubernetes.NamedFormat")
IP = Type("opaque", "net.IP")
CIDR = Type("opaque", "net.CIDR")

# name in a signature → type
_NAMED = {
    "bool": BOOL, "bytes": BYTES, "double": DOUBLE, "duration": DURATION, "dyn": DYN, "int": INT,
    "null": NULL, "string": STRING, "timestamp": TIMESTAMP, "uint": UINT, "type": TYPE,
    "Quantity": QUANTITY, "Semver": SEMVER, "URL": URL, "Format": FORMAT, "IP": IP, "CIDR": CIDR,
    "A": Type("variable", "A"), "B": Type("variable", "B"),
    # The authoriser of admission policies: declared in the same environment, never to be had here.
    **{name: Type("object", f"kubernetes.authorization.{name}") for name in (
        "Authorizer", "PathCheck", "GroupCheck", "ResourceCheck", "Decision")},
}  # fmt: skip
_TOKEN = re.compile(r"[A-Za-z]+|[(),]")
_FORM = re.compile(
    r"(?:(?P<target>\w+(?:\([^:]*\))?)::)?(?P<name>[^(]+)\((?P<rest>.*)\) -> (?P<to>.+)"
)


def list_of(element: Type) -> Type:
    return Type("list", "list", (element,))


def map_of(key: Type, value: Type) -> Type:
    return Type("map", "map", (key, value))


def optional_of(value: Type) -> Type:
    return Type("opaque", "optional_type", (value,))


def type_of(instance: Type) -> Type:
    return Type("type", "type", (instance,))


_GENERIC: dict[str, Callable[..., Type]] = {
    "list": list_of,
    "map": map_of,
    "optional": optional_of,
    "type": type_of,
}


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Overload:
    """One signature of a function with what it runs; a member's target is its first parameter."""

    function: str
    member: bool
    parameters: tuple[Type, ...]
    result: Type
    implementation: Implementation | None
    generic: bool  # whether a type variable occurs


def overload(text: str, implementation: Implementation | None = None) -> Overload:
    """The overload a signature describes: `target::name(parameters) -> result`, target optional."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError(f"{text!r} is not a signature")
    parameters = _types(form["rest"])
    if form["target"]:
        parameters = (*_types(form["target"]), *parameters)
    result = _types(form["to"])[0]
    generic = any(_varies(one) for one in (*parameters, result))
    return Overload(form["name"], bool(form["target"]), parameters, result, implementation, generic)


def _types(text: str) -> tuple[Type, ...]:
    found, rest = _read(_TOKEN.findall(text))
    if rest:
        raise ValueError(f"{text!r} is not a list of types")
    return found


def _read(tokens: list[str]) -> tuple[tuple[Type, ...], list[str]]:
    found: list[Type] = []
    while tokens and tokens[0] != ")":
        name, tokens = tokens[0], tokens[1:]
        if tokens and tokens[0] == "(":
            parameters, tokens = _read(tokens[1:])
            found.append(_GENERIC[name](*parameters))
            tokens = tokens[1:]
        else:
            found.append(_NAMED[name])
        if tokens and tokens[0] == ",":
            tokens = tokens[1:]
    return tuple(found), tokens


def _varies(one: Type) -> bool:
    return one.kind == "variable" or any(_varies(parameter) for parameter in one.parameters)
