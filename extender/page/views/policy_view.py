"""The policy in force as it would be written out, and what a candidate writes otherwise.

Both are worked out in turns: a policy may be a megabyte long.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
from collections.abc import Generator, Iterator, Mapping
from typing import Any

import msgspec
import yaml

from extender.policy import config

_MOST_FIELDS = 100  # that differ, of two policies
_TURN = 32  # fields compared before others get their turn
# Two policies that agree so often, and whose other choices cost so little, are called equal: a
# hundredth of a GPU is less than the page shows of a cost.
_ALIKE, _CHEAP = 0.9, 0.01
_NOTHING = "(not there)"


@dataclasses.dataclass(frozen=True, slots=True)
class Differing:
    """A field of two policies: what is in force, and what the candidate has."""

    path: str
    active: str
    candidate: str


def verdict(shadow: Mapping[str, Any]) -> str:
    """How a candidate compares with the policy in force, in a sentence; empty before it can."""
    agreement, judged = shadow.get("agreement"), shadow.get("judged", 0)
    if agreement is None or not judged:
        return ""
    more, own = shadow.get("meanRegretActive"), shadow.get("meanRegretCandidate")
    equal = agreement >= _ALIKE and max(more or 0.0, own or 0.0) < _CHEAP
    text = (
        f"{'Practically equal' if equal else 'They differ'}: the same node in "
        f"{agreement * 100:.0f} % of {judged:,} decisions"
    )
    if more is not None and own is not None:
        text += (
            f"; on average the candidate's choice costs {more:.3f} GPUs more by the policy in "
            f"force, and the choice in force {own:.3f} more by the candidate (less is better)"
        )
    return f"{text}."


def written(policy: config.Policy) -> Generator[None, None, str]:
    """The policy as YAML; what it leaves out stands there with its default."""
    parts = []
    for name, value in _plain(policy).items():
        if isinstance(value, list) and value:
            parts.append(f"{name}:\n")
            for item in value:
                parts.append(_dumped([item]))
                yield
        else:
            parts.append(_dumped({name: value}))
            yield
    return "".join(parts)


def differing(
    active: config.Policy, candidate: config.Policy
) -> Generator[None, None, tuple[list[Differing], bool]]:
    """The fields in which two policies differ, and whether there are more of them."""
    mine = yield from _fields(active)
    theirs = yield from _fields(candidate)
    found: list[Differing] = []
    for number, path in enumerate(dict.fromkeys((*mine, *theirs))):
        one, other = mine.get(path, _NOTHING), theirs.get(path, _NOTHING)
        if one != other:
            if len(found) >= _MOST_FIELDS:
                return found, True
            found.append(Differing(path, one, other))
        if number % _TURN == 0:
            yield
    return found, False


def _fields(policy: config.Policy) -> Generator[None, None, dict[str, str]]:
    found: dict[str, str] = {}
    leaves = _leaves("", _plain(policy))
    while some := dict(itertools.islice(leaves, _TURN)):
        found |= some
        yield
    return found


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - plain YAML
    """Yield (path, value) of all fields; of a list of named things by their names."""
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _leaves(f"{path}.{name}" if path else name, each)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, each in enumerate(value):
            yield from _leaves(f"{path}[{each.get('name') or number}]", each)
    else:
        yield path, _dumped(value).removesuffix("...\n").strip() if value != "" else '""'


def _dumped(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


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
