"""From the text of a policy to the policy: YAML within limits, every problem with its line.

Anybody who may edit the ConfigMap decides how long reading it takes, so size, nesting and number of
values are bounded before a value is made of anything. Of YAML only what JSON can say is read: no
anchors and aliases, no tags, no merge keys, no dates, no numbers to other bases.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from extender import errors
from extender.kube.api import objects
from extender.policy import config
from extender.policy.validation import Problem

KEY = "policy.yaml"  # of the ConfigMap's data
# A policy of eighty profiles that set every field has 70 KiB and 3,700 values; 4,000 events are
# read in 20 ms of CPU, by libyaml. The deepest field lies five levels down.
MOST_BYTES = 128 * 1024
MOST_EVENTS = 4_000
MOST_LEVELS = 12
_MOST_DIGITS = 40  # of a number: more is not meant as one

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Reading many %TAG lines takes quadratic time, and no policy needs one.
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)
_LEFT_OUT = object()  # a value that cannot be read; its problem is listed


def parse(text: str, *, source: str) -> config.Policy:
    """The policy in YAML or JSON text; ConfigError lists every problem."""
    document, problems = read(text, source=source)
    return _policy(document, problems, source=source)


def parse_file(text: str, *, source: str) -> config.Policy:
    """The policy in the text of a file: plain, or a ConfigMap manifest that holds it."""
    document, problems = read(text, source=source)
    items = document.get("items")
    if document.get("kind") in {"List", "ConfigMapList"} and isinstance(items, list):
        if len(items) != 1 or not isinstance(items[0], dict):
            problem = f"a List of {len(items)} objects; a policy is in one ConfigMap"
            raise errors.ConfigError(f"{source} is not a policy", [("items", problem)])
        document = {"kind": "ConfigMap", **items[0]}
    if document.get("kind") != "ConfigMap":
        return _policy(document, problems, source=source)
    data, binary = document.get("data"), document.get("binaryData")
    held = _text_of(data, binary, source=source)
    return parse(held, source=f"{source}: {KEY}")


def of_config_map(item: objects.ConfigMap, *, source: str) -> config.Policy:
    """The policy that a ConfigMap holds under `policy.yaml`."""
    return parse(_text_of(item.data, item.binary_data, source=source), source=source)


def _text_of(data: object, binary: object, *, source: str) -> str:
    """The policy's text among a ConfigMap's data; ConfigError says what is there instead."""
    held = data.get(KEY) if isinstance(data, dict) else None
    if isinstance(held, str):
        return held
    if isinstance(binary, dict) and KEY in binary:
        problem = f"{KEY} is binary: it was no UTF-8 text when the ConfigMap was made"
    elif isinstance(data, dict) and data:
        problem = f"no {KEY}; it has {', '.join(sorted(map(str, data)))[:200]}"
    else:
        problem = f"no {KEY}"
    raise errors.ConfigError(f"{source} holds no policy", [("data", problem)])


def _policy(document: dict[str, Any], problems: list[Problem], *, source: str) -> config.Policy:
    return config.parse(document, source=source, found=problems)


def read(text: str, *, source: str) -> tuple[dict[str, Any], list[Problem]]:
    """The mapping that the text holds, and what of it could not be read.

    ConfigError where there is no mapping: the text is too large, no YAML, or something else.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MOST_BYTES:
        problem = f"{size} bytes; at most {MOST_BYTES} are read"
        raise errors.ConfigError(f"{source} is too large for a policy", [("", problem)])
    directive = _DIRECTIVE.search(text)
    if directive is not None:
        where = f"line {text.count(chr(10), 0, directive.start()) + 1}"
        problem = "a line that begins with % is a directive, which a policy needs none of"
        raise errors.ConfigError(f"{source} cannot be read", [(where, problem)])
    reading = _Reading()
    try:
        for event in yaml.parse(text, _LOADER):
            reading.take(event)
    except yaml.YAMLError as error:
        raise errors.ConfigError(
            f"{source} is not YAML", [*reading.problems, _problem_of(error)]
        ) from (error)
    except _TooMuchError as error:
        where = f"line {error.line}"
        raise errors.ConfigError(f"{source} cannot be read", [(where, str(error))]) from None
    except (UnicodeError, ValueError) as error:
        raise errors.ConfigError(f"{source} is not YAML", [("", str(error)[:200])]) from error
    if reading.documents > 1:
        problem = f"{reading.documents} documents; a policy is one"
        raise errors.ConfigError(f"{source} is not a policy", [("", problem)])
    if isinstance(reading.value, dict):
        return reading.value, reading.problems
    if reading.value is None:
        problem = "is empty; {} stands for all the defaults"
    else:
        problem = "expected a mapping"
    raise errors.ConfigError(f"{source} is not a policy", [*reading.problems, ("", problem)])


def _problem_of(error: yaml.YAMLError) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        return where, error.problem or error.context or str(error)
    if isinstance(error, yaml.reader.ReaderError):
        return f"character {error.position + 1}", f"{error.reason}: {_named(error.character)}"
    return "", str(error)[:200]


def _named(character: object) -> str:
    if isinstance(character, int):
        return f"#x{character:04x}"
    return ascii(character)


class _TooMuchError(Exception):
    """The text goes beyond a limit at this line."""

    def __init__(self, message: str, line: int) -> None:
        self.line = line
        super().__init__(message)


class _OpenCollection:
    """A mapping or sequence being read; a mapping waits with a key for its value."""

    __slots__ = ("key", "path", "value", "waiting")

    def __init__(self, value: dict[str, Any] | list[Any], path: str) -> None:
        self.value = value
        self.path = path
        self.key: object = None
        self.waiting = False

    @property
    def awaits_key(self) -> bool:
        return isinstance(self.value, dict) and not self.waiting

    def next_path(self) -> str:
        """Where the next value stands."""
        if isinstance(self.value, list):
            return f"{self.path}[{len(self.value)}]"
        return f"{self.path}.{self.key}" if self.path else str(self.key)


class _Reading:
    """The value so far, what of it could not be read, and the collections that are open."""

    def __init__(self) -> None:
        self.value: Any = None
        self.problems: list[Problem] = []
        self.documents = 0
        self._events = 0
        self._open: list[_OpenCollection] = []

    def take(self, event: yaml.Event) -> None:
        """Take in the next event."""
        self._events += 1
        line = event.start_mark.line + 1 if event.start_mark is not None else 0
        if self._events > MOST_EVENTS:
            raise _TooMuchError(f"more than {MOST_EVENTS} values are not read", line)
        if isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event, line), line)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
        elif isinstance(event, yaml.AliasEvent):
            self._problem(line, f"an alias (*{str(event.anchor)[:60]}): write the value itself")
            self._add(_LEFT_OUT, line)
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1

    def _begin(self, event: yaml.CollectionStartEvent, line: int) -> None:
        if len(self._open) >= MOST_LEVELS:
            raise _TooMuchError(f"more than {MOST_LEVELS} levels are not read", line)
        self._marks(event, line, tagged=not event.implicit)
        made: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        path = self._open[-1].next_path() if self._open else ""
        self._add(made, line)
        self._open.append(_OpenCollection(made, path))

    def _add(self, value: object, line: int) -> None:
        if not self._open:
            if self.documents <= 1:
                self.value = None if value is _LEFT_OUT else value
            return
        inner = self._open[-1]
        if isinstance(inner.value, list):
            if value is not _LEFT_OUT:
                inner.value.append(value)
        elif inner.awaits_key:
            inner.key, inner.waiting = self._key(inner, value, line), True
        else:
            inner.waiting = False
            if inner.key is not _LEFT_OUT and value is not _LEFT_OUT:
                inner.value[str(inner.key)] = value

    def _key(self, inner: _OpenCollection, value: object, line: int) -> object:
        if value is _LEFT_OUT:
            return value
        if isinstance(value, dict | list):
            self._problem(line, "a mapping or a list is no name of a field")
            return _LEFT_OUT
        key = str(value)
        if key == "<<":
            self._problem(line, "a merge key (<<): write the fields themselves")
            return _LEFT_OUT
        if key in inner.value:
            path = f"{inner.path}.{key}" if inner.path else key
            self.problems.append((path[:200], f"stands twice, again in line {line}"))
        return key

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> object:
        self._marks(event, line, tagged=event.tag is not None)
        if event.tag is not None:
            return _LEFT_OUT
        names = bool(self._open) and self._open[-1].awaits_key
        return _plain(event.value) if event.implicit[0] and not names else event.value

    def _marks(self, event: yaml.NodeEvent, line: int, *, tagged: bool) -> None:
        if event.anchor:
            self._problem(line, f"an anchor (&{event.anchor[:60]}): nothing may refer to it")
        if tagged:
            tag = getattr(event, "tag", None)
            self._problem(line, f"a tag ({str(tag)[:60]}): values are read without")

    def _problem(self, line: int, problem: str) -> None:
        self.problems.append((f"line {line}", problem))


def _plain(text: str) -> object:
    """What text without quotes means: a word, a number, or itself."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _MOST_DIGITS or not text[:1].strip("abcdefghijklmnopqrstuvwxyz"):
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        found = float(text)
        return text if abs(found) == float("inf") else found
    return text
