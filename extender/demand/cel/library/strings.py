"""Strings: cel-go's ext.Strings version 2, and what the standard library has.

Source: cel-go ext/strings.go. Places count characters, not bytes.
"""

from __future__ import annotations

from extender.demand.cel.library import formatting
from extender.demand.cel.runtime.meter import EvaluationError, Meter
from extender.demand.cel.typecheck import signatures
from extender.demand.cel.typecheck.signatures import Implementation, Overload

# unicode.IsSpace: Python's own idea of white space has four control characters more.
_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
_QUOTED = str.maketrans({
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    "\\": "\\\\", '"': '\\"',
})  # fmt: skip


def _out_of_range(index: int) -> EvaluationError:
    return EvaluationError(f"index out of range: {index}")


def _char_at(_: Meter, text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise _out_of_range(index)
    return text[index : index + 1]


def _index_of(meter: Meter, text: str, part: str, offset: int = 0) -> int:
    meter.allow(len(text))
    if not part:
        return offset
    if offset < 0:
        raise _out_of_range(offset)
    return -1 if offset >= len(text) else text.find(part, offset)


def _last_index_of(meter: Meter, text: str, part: str) -> int:
    meter.allow(len(text))
    return len(text) if not part else text.rfind(part)


def _last_index_from(meter: Meter, text: str, part: str, offset: int) -> int:
    meter.allow(len(text))
    if not part:
        return offset
    if offset < 0:
        raise _out_of_range(offset)
    return -1 if offset >= len(text) else text.rfind(part, 0, offset + len(part))


def _index_search(search: Implementation) -> Implementation:
    """The newer rule for an offset: never negative, and an empty part is within the text."""

    def implementation(meter: Meter, text: str, part: str, offset: int = 0) -> int:
        if offset < 0:
            raise _out_of_range(offset)
        found: int = search(meter, text, part, offset)
        return found if part else min(found, len(text))

    return implementation


def _lower(meter: Meter, text: str) -> str:
    meter.allow(len(text))
    return text.translate(_LOWER)


def _upper(meter: Meter, text: str) -> str:
    meter.allow(len(text))
    return text.translate(_UPPER)


def _replace(meter: Meter, text: str, old: str, new: str, times: int = -1) -> str:
    meter.allow(len(text))
    found = text.count(old)
    if times >= 0:
        found = min(found, times)
    meter.allow(max(0, len(text) + found * (len(new) - len(old))))
    return text.replace(old, new, found)


def _split(meter: Meter, text: str, separator: str, parts: int = -1) -> list[str]:
    meter.allow(len(text))
    if parts == 0:
        return []
    if separator:
        meter.charge(text.count(separator) + 1)
        return text.split(separator, parts - 1 if parts > 0 else -1)
    meter.charge(len(text))
    if 0 < parts < len(text):
        return [*text[: parts - 1], text[parts - 1 :]]
    return list(text)


def _substring(meter: Meter, text: str, start: int) -> str:
    return _substring_range(meter, text, start, len(text)) if start <= len(text) else _fail(start)


def _fail(index: int) -> str:
    raise _out_of_range(index)


def _substring_range(meter: Meter, text: str, start: int, end: int) -> str:
    meter.allow(len(text))
    if start > end:
        raise EvaluationError(f"invalid substring range. start: {start}, end: {end}")
    for index in (start, end):
        if not 0 <= index <= len(text):
            raise _out_of_range(index)
    return text[start:end]


def _trim(meter: Meter, text: str) -> str:
    meter.allow(len(text))
    return text.strip(_SPACE)


def _quote(meter: Meter, text: str) -> str:
    meter.allow(2 * len(text))
    return f'"{text.translate(_QUOTED)}"'


def _join(meter: Meter, parts: list[str], separator: str = "") -> str:
    meter.charge(len(parts))
    for part in parts:
        if type(part) is not str:
            raise EvaluationError("join: invalid input")
    meter.allow(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


def _contains(meter: Meter, text: str, part: str) -> bool:
    meter.allow(len(text))
    meter.suspect((len(text) // 10 + 1) * (len(part) // 10 + 1))
    return part in text


OVERLOADS: tuple[Overload, ...] = tuple(
    signatures.overload(text, implementation)
    for text, implementation in (
        ("string::contains(string) -> bool", _contains),
        ("string::startsWith(string) -> bool", lambda _, text, part: text.startswith(part)),
        ("string::endsWith(string) -> bool", lambda _, text, part: text.endswith(part)),
        ("string::charAt(int) -> string", _char_at),
        ("string::indexOf(string) -> int", _index_of),
        ("string::indexOf(string, int) -> int", _index_of),
        ("string::lastIndexOf(string) -> int", _last_index_of),
        ("string::lastIndexOf(string, int) -> int", _last_index_from),
        ("string::lowerAscii() -> string", _lower),
        ("string::replace(string, string) -> string", _replace),
        ("string::replace(string, string, int) -> string", _replace),
        ("string::split(string) -> list(string)", _split),
        ("string::split(string, int) -> list(string)", _split),
        ("string::substring(int) -> string", _substring),
        ("string::substring(int, int) -> string", _substring_range),
        ("string::trim() -> string", _trim),
        ("string::upperAscii() -> string", _upper),
        ("string::format(list(dyn)) -> string", formatting.formatted),
        ("strings.quote(string) -> string", _quote),
        ("list(string)::join() -> string", _join),
        ("list(string)::join(string) -> string", _join),
    )
)

# Searches with an offset, up to 1.36 and since 1.37.
INDEX_OF: tuple[Overload, ...] = tuple(
    one
    for one in OVERLOADS
    if one.function in {"indexOf", "lastIndexOf"} and len(one.parameters) == 3
)
NEWER_INDEX_OF: tuple[Overload, ...] = (
    signatures.overload("string::indexOf(string, int) -> int", _index_search(_index_of)),
    signatures.overload("string::lastIndexOf(string, int) -> int", _index_search(_last_index_from)),
)
