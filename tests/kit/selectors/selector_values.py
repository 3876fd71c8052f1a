"""Devices of test cases, and what we find an expression's value to be, written as CEL again."""

from __future__ import annotations

import math
from typing import Any

from extender.demand import selectors
from extender.demand.cel.library import temporal
from extender.demand.cel.runtime import compiler, values
from extender.demand.cel.runtime.meter import EvaluationError, InvalidError, UnansweredError
from extender.demand.cel.typecheck import environment
from extender.hardware import shape
from extender.kube.api import quantity

Json = dict[str, Any]


def as_device(case: Json) -> shape.Device:
    """The device of a case in the API's JSON."""
    attributes = {
        name: (kind, tuple(value) if isinstance(value, list) else value)
        for name, attribute in (case.get("attributes") or {}).items()
        for kind, value in attribute.items()
    }
    capacity = {
        name: shape.Capacity(quantity.nano(amount["value"]))
        for name, amount in (case.get("capacity") or {}).items()
    }
    multiple = bool(case.get("allowMultipleAllocations"))
    return shape.Device(
        case["driver"], "device-0", attributes, capacity, allow_multiple_allocations=multiple
    )


def shown(text: str, case: Json, *, lists: bool) -> str | None:
    """The value of an expression of any type as a literal; None if we cannot write it."""
    judge = selectors.Selectors(list_attributes=lists)
    try:
        program = compiler.compile_expression(text, environment.Dialect(dynamic=lists))
        return _literal(program.value(judge._presented(as_device(case))))
    except (InvalidError, EvaluationError, UnansweredError, KeyError):
        return None


def _literal(value: values.Value) -> str:
    """CEL that has the value; KeyError if there is none."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float() if math.isfinite(value):
            return repr(value) if "e" in repr(value) or "." in repr(value) else f"{value!r}.0"
        case str():
            return '"' + "".join(_escaped(one) for one in value) + '"'
        case bytes():
            return "b'" + "".join(f"\\x{one:02x}" for one in value) + "'"
        case list():
            return f"[{', '.join(map(_literal, value))}]"
        case values.Map():
            pairs = (f"{_literal(key)}: {_literal(held)}" for key, held in value.entries.values())
            return "{" + ", ".join(pairs) + "}"
        case values.Optional():
            return f"optional.of({_literal(value.value)})" if value.present else "optional.none()"
        case _:
            return _WRITTEN[values.type_name(value)](value)


def _escaped(one: str) -> str:
    return f"\\U{ord(one):08x}" if one in '"\\' or not one.isprintable() else one


# name of a type → how to write a value of it
_WRITTEN = {
    "int": str,
    "uint": lambda value: f"{value.value}u",
    "google.protobuf.Duration": lambda value: f"duration('{value.nanos}ns')",
    "google.protobuf.Timestamp": lambda value: f"timestamp('{temporal.timestamp_text(value)}')",
    "kubernetes.Quantity": lambda value: f"quantity('{value.unscaled}e{value.scale}')",
    "net.IP": lambda value: f"ip('{value.identity}')",
    "net.CIDR": lambda value: f"cidr('{value.identity[0]}/{value.identity[1]}')",
}
