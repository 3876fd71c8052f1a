"""JSON values one after the other, and what can be saved of those that are broken.

A file that was cut short, or one bad object in a long list, costs no more than itself: reading goes
on at the next line that begins a value, and the members of a broken List are read one by one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

_CONTENT = re.compile(r"\S")
_NEXT_VALUE = re.compile(r"^[\[{]", re.MULTILINE)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_ITEMS = re.compile(r'"items"\s*:\s*\[')
_KIND = re.compile(r'"kind"\s*:\s*"(\w+)"')
_VERSION = re.compile(r'"apiVersion"\s*:\s*"([^"]+)"')
_MOST_BEFORE_ITEMS = 2000  # characters: kind, version and metadata of a List
_DECODER = json.JSONDecoder()


class Value(NamedTuple):
    """A value as it is written, its line, and (apiVersion, kind) of the List it was saved from."""

    line: int
    text: str
    of_list: tuple[str, str] = ("", "")


class NotJson(NamedTuple):
    """Text that is no JSON from this line on."""

    line: int
    what: str


def values(text: str) -> Iterator[Value | NotJson]:
    """All values of the text in order, and where it is broken."""
    lines = _Lines(text)
    stop = 0
    while found := _CONTENT.search(text, stop):
        start = found.start()
        try:
            stop = _end(text, start)
        except _BrokenError as error:
            yield from _saved(text, start, lines)
            yield NotJson(text.count("\n", 0, error.at) + 1, error.what)
            following = _NEXT_VALUE.search(text, max(error.at, start + 1))
            if following is None:
                return
            stop = following.start()
        else:
            yield Value(lines.of(start), text[start:stop])


def _saved(text: str, start: int, lines: _Lines) -> Iterator[Value]:
    """The whole members of a List that is itself broken."""
    items = _ITEMS.search(text, start, start + _MOST_BEFORE_ITEMS)
    if items is None:
        return
    before = text[start : items.start()]
    bare = _STRING.sub("", before)
    if sum(map(bare.count, "{[")) - sum(map(bare.count, "}]")) != 1:
        return  # the items of something inside
    kind, version = _KIND.search(before), _VERSION.search(before)
    of_list = (version[1] if version else "", kind[1] if kind else "List")
    stop = items.end()
    while (found := _CONTENT.search(text, stop)) and text[found.start()] == "{":
        at = found.start()
        try:
            stop = _end(text, at)
        except _BrokenError as error:
            # Pretty-printed members begin in the same column.
            column = at - text.rfind("\n", 0, at)
            again = re.compile(rf"^ {{{column - 1}}}(?={{)", re.MULTILINE)
            following = again.search(text, max(error.at, at + 1)) if column > 1 else None
            if following is None:
                return
            stop = following.end()
            continue
        yield Value(lines.of(at), text[at:stop], of_list)
        comma = _CONTENT.search(text, stop)
        if comma is None or text[comma.start()] != ",":
            return
        stop = comma.end()


class _BrokenError(Exception):
    def __init__(self, what: str, at: int) -> None:
        self.what = what
        self.at = at
        super().__init__(what)


def _end(text: str, start: int) -> int:
    try:
        return _DECODER.raw_decode(text, start)[1]
    except json.JSONDecodeError as error:
        cut = not text[error.pos :].strip() or error.msg.startswith("Unterminated string")
        hint = " (the file is cut short)" if cut else ""
        raise _BrokenError(f"not JSON: {error.msg}{hint}", error.pos) from None
    except RecursionError:
        raise _BrokenError("not JSON: nested too deeply", start) from None


class _Lines:
    """Line numbers of growing positions."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1

    def of(self, position: int) -> int:
        self._line += self._text.count("\n", self._at, position)
        self._at = position
        return self._line
