"""Every problem of a document that should be a struct, each with its path and in plain words.

msgspec ends at the first problem; people who mend a policy want all of them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias, get_args, get_origin

import msgspec

Problem: TypeAlias = tuple[str, str]  # (path, what is wrong)

# msgspec's words for kinds → ours
_WORDS = {
    "`float`": "a number",
    "`int`": "a whole number",
    "`str`": "a text",
    "`object`": "a mapping",
    "`array`": "a list",
    "`bool`": "true or false",
    "`null`": "nothing",
}
_WORD = re.compile("|".join(_WORDS))
_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?", re.ASCII)
_LONGEST_SHOWN = 60  # characters of a value


def problems(value: object, kind: type[msgspec.Struct], location: str = "") -> Iterator[Problem]:
    """Yield what keeps `value` from being a `kind`; nothing where msgspec would take it."""
    if not isinstance(value, Mapping):
        yield location, f"expected a mapping, got {_shown(value)}"
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name, item in value.items():
        where = f"{location}.{_cut(name)}" if location else _cut(name)
        field = fields.get(name)
        if field is not None:
            yield from _of_value(item, field.type, where)
            continue
        close = difflib.get_close_matches(str(name)[:_LONGEST_SHOWN], fields, 1, cutoff=0.5)
        yield where, "unknown field" + (f"; did you mean {close[0]}?" if close else "")
    for name, field in fields.items():
        if field.required and name not in value:
            yield f"{location}.{name}" if location else name, "is missing"


def _of_value(value: object, kind: Any, location: str) -> Iterator[Problem]:  # noqa: ANN401  # a type
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from problems(value, kind, location)
    elif get_origin(kind) is tuple and isinstance(value, list):
        for number, item in enumerate(value):
            yield from _of_value(item, get_args(kind)[0], f"{location}[{number}]")
    elif get_origin(kind) is dict and isinstance(value, Mapping):
        names, items = get_args(kind)
        for name, item in value.items():
            yield from _of_value(name, names, location)
            yield from _of_value(item, items, f"{location}[{_cut(name)}]")
    elif get_origin(kind) is Literal and value not in get_args(kind):
        yield location, f"expected {' or '.join(get_args(kind))}, got {_shown(value)}"
    else:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            text, _, path = str(error).partition(" - at `$")
            text = _WORD.sub(lambda word: _WORDS[word[0]], text)
            problem = text.partition(", got ")[0].replace("Expected", "expected", 1)
            yield location + path.rstrip("`"), f"{problem}, got {_shown(value)}{_hint(value, kind)}"


def _hint(value: object, kind: Any) -> str:  # noqa: ANN401 - a type
    """What is wrong with a value that looks right, as it is or is not in quotes."""
    if kind is str and isinstance(value, int | float):
        return "; put it in quotes"
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return " in quotes; leave them out"
    return ""


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value) if isinstance(value, int | float | str) else type(value).__name__
    text = {"list": "a list", "dict": "a mapping"}.get(text, text)
    return _cut(text)


def _cut(text: object) -> str:
    reported = str(text)
    return reported if len(reported) <= _LONGEST_SHOWN else f"{reported[:_LONGEST_SHOWN]}…"
