"""Keys matched regardless of case, as Go's encoding/json does: the slow way, for other clients.

kube-scheduler writes every key as it is declared; a body typed by hand, or by a client in another
language, may not. Keys of maps (labels, resource names, node names) are data and stay as they are.
Of two spellings of one key the later counts, as in Go. A null is read as Go reads it, too.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from extender.kube.api import null_values

T = TypeVar("T")


def members(raw: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The members of a JSON object, by lower-case key, undecoded."""
    found = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    return {key.lower(): value for key, value in found.items()}


def convert(raw: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Decode JSON into a struct type whose keys may be spelt in any case."""
    respelled = _respelled(msgspec.json.decode(raw), inspect.type_info(kind))
    return null_values.convert(respelled, kind)


def _respelled(value: Any, kind: inspect.Type) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(kind, inspect.UnionType):
        wanted = (inspect.StructType, inspect.DictType, inspect.VarTupleType, inspect.ListType)
        kind = next((member for member in kind.types if isinstance(member, wanted)), kind)
    if isinstance(kind, inspect.StructType) and isinstance(value, dict):
        fields = {field.encode_name.lower(): field for field in kind.fields}
        return {
            fields[key.lower()].encode_name: _respelled(item, fields[key.lower()].type)
            for key, item in value.items()
            if key.lower() in fields
        }
    if isinstance(kind, inspect.DictType) and isinstance(value, dict):
        return {key: _respelled(item, kind.value_type) for key, item in value.items()}
    if isinstance(kind, inspect.VarTupleType | inspect.ListType) and isinstance(value, list):
        return [_respelled(item, kind.item_type) for item in value]
    return value
