"""The documents of a text: YAML or JSON, single, many, in Lists, in arrays, or as watch events.

A broken document never hides the next one: YAML is cut at its `---` lines before it is parsed,
JSON values are found one after the other, members of Lists are judged one by one, also of a List
that is itself broken. What is no API object is skipped, and said.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import msgspec
import yaml

from extender.replay import files, json_text, other_text, yaml_text

Problem: TypeAlias = tuple[str, str]  # ("file:line", what is wrong)
Body: TypeAlias = msgspec.Raw | dict[str, Any]  # JSON stays text until it is typed

# (body of a List, its members) → the line of each, counted from the start of the body
_LinesOf: TypeAlias = Callable[[object, Sequence[Any]], Sequence[int]]

# A List inside a List is legal; deeper than this is a loop of YAML aliases.
_MOST_NESTED_LISTS = 4
_SEPARATOR = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_JSON = re.compile(r'\s*(\[|\{\s*["}])')
# What kubectl writes to the other stream, where both went into one file.
_WARNINGS = re.compile(r"(?:(?:Warning: |[IWEF]\d{4} )[^\n]*\n)+(?=\s*[\[{])")
# `kubectl cluster-info dump` on one stream puts each container's log between its lists.
_LOGS = re.compile(
    r"^==== START logs for container (.+? of pod .+?) ====$.*?"
    r"^==== END logs for container \1 ====$",
    re.MULTILINE | re.DOTALL,
)
_LOGS_BEGIN = "==== START logs for container "
NO_KIND = "no API object: it has no kind"


@dataclasses.dataclass(slots=True)
class ReadingReport:
    """What was not read: documents that are broken, and what is none of ours, each with why."""

    problems: list[Problem] = dataclasses.field(default_factory=list)
    skipped: list[Problem] = dataclasses.field(default_factory=list)
    missing: list[Problem] = dataclasses.field(default_factory=list)  # files and folders


class WrittenObject(NamedTuple):
    """One object as it was written, before it is typed; `location` is "file:line"."""

    location: str
    api_version: str
    kind: str
    body: Body
    deleted: bool = False  # a watch said so


class _Header(msgspec.Struct):
    kind: str | None = None
    api_version: str | None = msgspec.field(name="apiVersion", default=None)
    items: Any = msgspec.UNSET
    type: Any = msgspec.UNSET  # of a watch event
    object: Any = msgspec.UNSET


class _JsonHeader(_Header):
    items: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    object: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def read(path: pathlib.Path, report: ReadingReport) -> Iterator[WrittenObject]:
    """The documents of one file in their order; what cannot be read goes into the report."""
    for found in files.texts(path):
        if isinstance(found, files.FileText):
            yield from of_text(found, report)
        else:
            name, error = found
            report.problems.append((name, str(error)))


def of_text(given: files.FileText, report: ReadingReport) -> Iterator[WrittenObject]:
    """The documents of a text."""
    text = _LOGS.sub(_blank, given.text) if _LOGS_BEGIN in given.text else given.text
    if text.startswith(("Warning: ", "I", "W", "E", "F")):
        text = _WARNINGS.sub(_blank, text, count=1)
    if not text.strip():
        report.skipped.append((given.name, "empty"))
        return
    reader = _DocumentFile(given.name, text, report)
    yield from reader.json() if _is_json(given.name, text) else reader.yaml()


def _blank(match: re.Match[str]) -> str:
    """As many lines as there were."""
    return "\n" * match[0].count("\n")


def _is_json(name: str, text: str) -> bool:
    """Whether to read as JSON: by the look of the text, as names lie; YAML, too, may begin with {.

    `{{` is a template, and neither. JSON documents between `---` lines are YAML.
    """
    if _SEPARATOR.search(text):
        return False  # in JSON no line within a value begins so
    if _JSON.match(text):
        return True
    named = pathlib.PurePath(name).suffixes[-2:]
    return ".json" in named and text.lstrip()[:1] == "{" and text.lstrip()[:2] != "{{"


class _DocumentFile:
    def __init__(self, name: str, text: str, report: ReadingReport) -> None:
        self._name = name
        self._text = text
        self._report = report

    def _problem(self, line: int, what: str) -> None:
        self._report.problems.append((f"{self._name}:{line}", what))

    def _skipped(self, line: int, what: str) -> None:
        self._report.skipped.append((f"{self._name}:{line}", what))

    # ------------------------------------------------------------ JSON

    def json(self) -> Iterator[WrittenObject]:
        try:
            whole = msgspec.json.decode(self._text, type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError):
            yield from self._json_values()
        else:
            yield from self._unfold(1, whole, _json_lines)

    def _json_values(self) -> Iterator[WrittenObject]:
        """Several values in one file, or broken ones: one by one."""
        for value in json_text.values(self._text):
            if isinstance(value, json_text.NotJson):
                self._problem(value.line, value.what)
                continue
            version, kind = value.of_list
            inherited = ("", "") if kind in {"", "List"} else (version, kind.removesuffix("List"))
            body = msgspec.Raw(value.text.encode())
            yield from self._unfold(value.line, body, _json_lines, inherited)

    # ------------------------------------------------------------ YAML

    def yaml(self) -> Iterator[WrittenObject]:
        starts = [0, *(match.start() for match in _SEPARATOR.finditer(self._text))]
        line = 1
        for start, stop in itertools.pairwise([*starts, len(self._text)]):
            part = self._text[start:stop]
            try:
                parsed = yaml_text.parse(part)
            except (yaml.YAMLError, ValueError, RecursionError) as error:
                yield from self._broken_yaml(line, part, error)
            else:
                yield from self._yaml_document(line, part, parsed)
            line += part.count("\n")

    def _broken_yaml(self, line: int, part: str, error: Exception) -> Iterator[WrittenObject]:
        """What can be saved of a document that does not parse: the members of a List."""
        if other := other_text.recognise(part):
            self._skipped(line, other)
            return
        members = yaml_text.members(part)
        broken = 0
        for member in members:
            try:
                parsed = yaml_text.parse(member.text)
            except (yaml.YAMLError, ValueError, RecursionError) as own:
                broken += 1
                self._problem(*_yaml_problem(line + member.line, member.text, own))
            else:
                yield from self._yaml_document(
                    line + member.line, member.text, parsed, member.inherited
                )
        at, problem = _yaml_problem(line, part, error)
        if not members:
            self._problem(at, problem)
        elif not broken:
            self._skipped(at, f"{problem}; all members of the List were read")

    def _yaml_document(
        self,
        line: int,
        part: str,
        parsed: yaml_text.Parsed,
        inherited: tuple[str, str] = ("", ""),
    ) -> Iterator[WrittenObject]:
        if parsed.value is None:
            return
        if isinstance(parsed.value, str):
            self._skipped(line, other_text.recognise(part) or "text, not an API object")
            return

        def lines_of(body: object, members: Sequence[Any]) -> Sequence[int]:
            if body is parsed.value and len(parsed.item_lines) == len(members):
                return [at - parsed.line for at in parsed.item_lines]
            return [0] * len(members)  # of an inner List

        yield from self._unfold(line + parsed.line, parsed.value, lines_of, inherited)

    # ------------------------------------------------------------ Lists

    def _unfold(
        self,
        line: int,
        body: object,
        lines_of: _LinesOf,
        inherited: tuple[str, str] = ("", ""),
        depth: int = 0,
    ) -> Iterator[WrittenObject]:
        """The document, or the members of the List it is, each with its own line.

        Members of typed lists ("PodList", as the API itself answers) have the kind of the list.
        """
        array = _array(body)
        try:
            header = _Header() if array is not None else _header(body)
            api_version, kind = header.api_version or inherited[0], header.kind or inherited[1]
            is_list = (
                array is not None
                or kind == "List"
                or (kind.endswith("List") and header.items is not msgspec.UNSET)
            )
            members = array or (_members(header.items) if is_list else [])
        except (msgspec.DecodeError, RecursionError) as error:
            self._not_an_object(line, body, error)
            return
        if is_list and depth >= _MOST_NESTED_LISTS:
            self._problem(line, "Lists are nested too deeply")
        elif is_list:
            plain = array is not None or kind == "List"
            passed_on = ("", "") if plain else (api_version, kind.removesuffix("List"))
            for offset, member in zip(lines_of(body, members), members, strict=True):
                yield from self._unfold(line + offset, member, lines_of, passed_on, depth + 1)
        elif not kind and header.object is not msgspec.UNSET and header.type is not msgspec.UNSET:
            yield from self._event(line, header, lines_of, depth)
        elif not kind or kind in other_text.ANSWERS:
            self._skipped(line, self._other(kind, body))
        else:
            location = f"{self._name}:{line}"
            yield WrittenObject(location, api_version, kind, cast("Body", body))

    def _other(self, kind: str, body: object) -> str:
        """What a document is that is no object of a cluster."""
        if kind:
            return other_text.answer(kind, _plain(body))
        return (isinstance(body, dict) and other_text.recognise(self._text)) or NO_KIND

    def _event(
        self, line: int, header: _Header, lines_of: _LinesOf, depth: int
    ) -> Iterator[WrittenObject]:
        """The object of a watch event; a bookmark is no object, and an error none of ours."""
        what = _plain(header.type)
        if what == "BOOKMARK":
            return
        if depth >= _MOST_NESTED_LISTS:
            self._problem(line, "Lists are nested too deeply")
            return
        for found in self._unfold(line, header.object, lines_of, depth=depth + 1):
            yield found._replace(deleted=what == "DELETED")

    def _not_an_object(self, line: int, body: object, error: Exception) -> None:
        value = _plain(body)
        if value is None:
            self._skipped(line, "null, not an API object")
        elif isinstance(value, dict):
            self._problem(line, str(error))
        else:
            self._skipped(line, f"no API object, but {_KINDS.get(type(value), 'a value')}")


_KINDS = {str: "text", int: "a number", float: "a number", bool: "true or false", list: "a list"}


def _yaml_problem(line: int, part: str, error: Exception) -> tuple[int, str]:
    """The line and the sentence."""
    problem, at = str(error), line
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        problem = str(error.problem or error.context)
        at = line if mark is None else line + mark.line
    return at, f"not YAML: {problem}{other_text.hint(part, problem)}"


def _plain(value: object) -> object:
    """The value itself where it is still JSON text; as far as that can be seen."""
    if not isinstance(value, msgspec.Raw):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return {}  # nested too deeply to be anything but a collection


def _array(body: object) -> list[Any] | None:
    """The members of a top-level array, as jq prints them; None where the body is none."""
    if isinstance(body, msgspec.Raw):
        if not bytes(body).lstrip().startswith(b"["):
            return None
        return msgspec.json.decode(body, type=list[msgspec.Raw])
    return body if isinstance(body, list) else None


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
