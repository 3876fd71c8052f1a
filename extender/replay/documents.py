"""The documents of a file: YAML or JSON, plain or gzipped, single, many, or inside Lists.

A broken document never hides the next one: YAML is cut at its `---` lines before it is parsed,
JSON values are found one after the other, members of Lists are judged one by one.
"""

from __future__ import annotations

import gzip
import itertools
import json
import pathlib
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import msgspec
import yaml

from extender.replay import yaml_text

Problem: TypeAlias = tuple[str, str]  # ("file:line", what is wrong)
Body: TypeAlias = msgspec.Raw | dict[str, Any]  # JSON stays text until it is typed

# (body of a List, its members) → the line of each, counted from the start of the body
_LinesOf: TypeAlias = Callable[[object, Sequence[Any]], Sequence[int]]

# A List inside a List is legal; deeper than this is a loop of YAML aliases.
_MOST_NESTED_LISTS = 4
_SEPARATOR = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_CONTENT = re.compile(r"\S")
_JSON = re.compile(r'\s*(\[|\{\s*["}])')
_GZIP = b"\x1f\x8b"


class Document(NamedTuple):
    """One object as it was written, before it is typed; `place` is "file:line"."""

    place: str
    api_version: str
    kind: str
    body: Body


class _Header(msgspec.Struct):
    kind: str | None = None
    api_version: str | None = msgspec.field(name="apiVersion", default=None)
    items: Any = msgspec.UNSET


class _JsonHeader(_Header):
    items: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def read(path: pathlib.Path, problems: list[Problem]) -> Iterator[Document]:
    """The documents of one file in their order; what cannot be parsed is added to `problems`."""
    try:
        data = path.read_bytes()
        if data.startswith(_GZIP):
            data = gzip.decompress(data)
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        problems.append((str(path), "no such file"))
        return
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        problems.append((f"{path}:1", str(error)))
        return
    reader = _File(path, text, problems)
    yield from reader.json() if _is_json(path, text) else reader.yaml()


def _is_json(path: pathlib.Path, text: str) -> bool:
    """Whether to read as JSON: by the look of the text, as names lie; YAML, too, may begin with {.

    `{{` is a template, and neither.
    """
    if _JSON.match(text):
        return True
    named = path.name.removesuffix(".gz").endswith(".json")
    return named and text.lstrip()[:1] == "{" and text.lstrip()[:2] != "{{"


class _File:
    def __init__(self, path: pathlib.Path, text: str, problems: list[Problem]) -> None:
        self._path = path
        self._text = text
        self._problems = problems

    def _problem(self, line: int, what: str) -> None:
        self._problems.append((f"{self._path}:{line}", what))

    # ------------------------------------------------------------ JSON

    def json(self) -> Iterator[Document]:
        try:
            whole = msgspec.json.decode(self._text, type=msgspec.Raw)
            yield from self._unfold(1, whole, _json_lines)
        except msgspec.DecodeError:  # several values in one file, or broken: one by one
            for line, value in self._json_values():
                yield from self._unfold(line, msgspec.Raw(value.encode()), _json_lines)

    def _json_values(self) -> Iterator[tuple[int, str]]:
        decoder = json.JSONDecoder()
        text = self._text
        stop = 0
        while found := _CONTENT.search(text, stop):
            start = found.start()
            try:
                _, stop = decoder.raw_decode(text, start)
            except json.JSONDecodeError as error:
                self._problem(error.lineno, f"not JSON: {error.msg}")
                return
            except RecursionError:
                self._problem(text.count("\n", 0, start) + 1, "not JSON: nested too deeply")
                return
            yield text.count("\n", 0, start) + 1, text[start:stop]

    # ------------------------------------------------------------ YAML

    def yaml(self) -> Iterator[Document]:
        starts = [0, *(match.start() for match in _SEPARATOR.finditer(self._text))]
        line = 1
        for start, stop in itertools.pairwise([*starts, len(self._text)]):
            part = self._text[start:stop]
            try:
                yield from self._yaml_document(line, part)
            except yaml.MarkedYAMLError as error:
                mark = error.problem_mark or error.context_mark
                at = line if mark is None else line + mark.line
                hint = " (is it a template?)" if "{{" in part else ""
                self._problem(at, f"not YAML: {error.problem or error.context}{hint}")
            except (yaml.YAMLError, ValueError, RecursionError) as error:
                self._problem(line, f"not YAML: {error}")
            line += part.count("\n")

    def _yaml_document(self, line: int, part: str) -> Iterator[Document]:
        parsed = yaml_text.parse(part)
        if parsed.value is None:
            return

        def lines_of(body: object, members: Sequence[Any]) -> Sequence[int]:
            if body is parsed.value and len(parsed.item_lines) == len(members):
                return [at - parsed.line for at in parsed.item_lines]
            return [0] * len(members)  # of an inner List

        yield from self._unfold(line + parsed.line, parsed.value, lines_of)

    # ------------------------------------------------------------ Lists

    def _unfold(
        self,
        line: int,
        body: object,
        lines_of: _LinesOf,
        inherited: tuple[str, str] = ("", ""),
        depth: int = 0,
    ) -> Iterator[Document]:
        """The document, or the members of the List it is, each with its own line.

        Members of typed lists ("PodList", as the API itself answers) have the kind of the list.
        """
        try:
            header = _header(body)
            api_version, kind = header.api_version or inherited[0], header.kind or inherited[1]
            is_list = kind == "List" or (
                kind.endswith("List") and header.items is not msgspec.UNSET
            )
            members = _members(header.items) if is_list else []
        except msgspec.DecodeError as error:
            self._problem(line, str(error))
            return
        if not is_list:
            place = f"{self._path}:{line}"
            yield Document(place, api_version, kind, cast("Body", body))
            return
        if depth >= _MOST_NESTED_LISTS:
            self._problem(line, "Lists are nested too deeply")
            return
        passed_on = ("", "") if kind == "List" else (api_version, kind.removesuffix("List"))
        for offset, member in zip(lines_of(body, members), members, strict=True):
            yield from self._unfold(line + offset, member, lines_of, passed_on, depth + 1)


def _header(body: object) -> _Header:
    if isinstance(body, msgspec.Raw):
        return msgspec.json.decode(body, type=_JsonHeader)
    return msgspec.convert(body, _Header)


def _members(items: object) -> list[Any]:
    if items is msgspec.UNSET:
        return []
    if isinstance(items, msgspec.Raw):
        return msgspec.json.decode(items, type=list[msgspec.Raw] | None) or []
    return msgspec.convert(items, list[Any] | None) or []


def _json_lines(body: object, members: Sequence[Any]) -> Sequence[int]:
    text = bytes(cast("msgspec.Raw", body))
    lines: list[int] = []
    line = at = 0
    for member in members:
        found = text.index(bytes(member), at)
        line += text.count(b"\n", at, found)
        at = found
        lines.append(line)
    return lines
