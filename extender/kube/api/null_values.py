"""JSON's null where Go has no nil: Go leaves the zero value, and so every client may send it.

The decoder refuses null for a string, a number, a struct or an element of a list; what it refused
is read once more with the value that Go would have left there.

Source: encoding/json, Unmarshal ("null ... has no effect"), Quantity.UnmarshalJSON.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import inspect

T = TypeVar("T")

_NULLABLE = (inspect.NoneType, inspect.AnyType, inspect.RawType)


def convert(value: object, kind: type[T], *, strict: bool = True) -> T:
    """Decoded JSON as a type of ours, with null read as Go reads it."""
    return msgspec.convert(zeroed(value, inspect.type_info(kind)), kind, strict=strict)


def zeroed(value: Any, kind: inspect.Type) -> Any:  # noqa: ANN401 - any JSON value
    """The value with the zero value of its type for each null that the type does not admit."""
    if value is None:
        return _zero(kind)
    for each in kind.types if isinstance(kind, inspect.UnionType) else (kind,):
        if isinstance(each, inspect.StructType) and isinstance(value, dict):
            fields = {field.encode_name: field.type for field in each.fields}
            return {key: zeroed(item, fields[key]) for key, item in value.items() if key in fields}
        if isinstance(each, inspect.DictType) and isinstance(value, dict):
            return {key: zeroed(item, each.value_type) for key, item in value.items()}
        if isinstance(each, inspect.VarTupleType | inspect.ListType) and isinstance(value, list):
            return [zeroed(item, each.item_type) for item in value]
    return value


def _zero(kind: inspect.Type) -> object:
    members = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    if any(isinstance(each, _NULLABLE) for each in members):
        return None
    for wanted, zero in _ZEROES:
        if any(isinstance(each, wanted) for each in members):
            return zero
    return None


# A quantity is a number or a text: the number comes first, as "" is none.
_ZEROES: tuple[tuple[type[inspect.Type] | tuple[type[inspect.Type], ...], object], ...] = (
    (inspect.IntType, 0),
    (inspect.FloatType, 0.0),
    (inspect.StrType, ""),
    (inspect.BoolType, False),
    ((inspect.StructType, inspect.DictType), {}),
    ((inspect.ListType, inspect.VarTupleType), []),
)
