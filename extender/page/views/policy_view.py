"""The policy in force as it would be written out, with every default in it."""

from __future__ import annotations

import enum
from typing import Any

import msgspec
import yaml

from extender.policy import config


def written(policy: config.Policy) -> str:
    """The policy as YAML; what it leaves out stands there with its default."""
    return yaml.safe_dump(_plain(policy), sort_keys=False, allow_unicode=True, width=100)


def _plain(value: object) -> Any:  # noqa: ANN401 - whatever YAML can hold
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        return {each.encode_name: _plain(getattr(value, each.name)) for each in fields}
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if isinstance(value, enum.Enum):
        return value.name
    return value if isinstance(value, str | int | float | bool | None) else str(value)
