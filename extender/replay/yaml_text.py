"""One YAML document as Kubernetes reads it, with the lines of its List items, and fast.

PyYAML builds a node for every scalar before it builds the value; most documents need none of what
that is for (anchors, tags, merge keys), so their values are made from the parser's events, in a
third of the time. The others go the long way.
"""

from __future__ import annotations

import itertools
import re
from typing import Any, NamedTuple

import yaml

_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_TEXT = "tag:yaml.org,2002:str"
# What YAML 1.1 knows and Kubernetes does not: dates, and a bare = that stands for a default value.
_NOT_KNOWN = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}
_REPLACED = {_INT, _FLOAT, *_NOT_KNOWN}
_MERGE = "<<"
_MERGE_TAG = "tag:yaml.org,2002:merge"
_ITEMS = "items"


class _SnapshotLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # either base
    """YAML as Kubernetes reads it: no dates, and 10:20 is text, not a number to base 60."""


_SnapshotLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_SnapshotLoader.add_implicit_resolver(
    _INT,
    re.compile(r"[-+]?(?:0b[01_]+|0[0-7_]*|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$"),
    list("-+0123456789"),
)
_SnapshotLoader.add_implicit_resolver(
    _FLOAT,
    re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)
# As a key it merges mappings; as a value it is text.
_SnapshotLoader.add_constructor(_MERGE_TAG, yaml.SafeLoader.construct_yaml_str)


class Parsed(NamedTuple):
    """The value (None if there is none), its line, and those of its members, or of its `items`."""

    value: Any
    line: int = 0
    item_lines: tuple[int, ...] = ()


class Member(NamedTuple):
    """One member of a List as text, its line, and (apiVersion, kind) that it has from the List."""

    line: int
    text: str
    inherited: tuple[str, str]


_TOP_KEY = re.compile(r"^[^\s#-]", re.MULTILINE)
_LIST_ITEMS = re.compile(r"^items:[ \t]*\n(?=( *)- )", re.MULTILINE)
_LIST_KIND = re.compile(r"^kind:[ \t]*[\"']?(\w+?)List\b", re.MULTILINE)
_LIST_VERSION = re.compile(r"^apiVersion:[ \t]*[\"']?([\w./-]+)", re.MULTILINE)


def members(text: str) -> list[Member]:
    """The members of the List in the text, which need not parse; none where it is no block List.

    Their lines count from 0.
    """
    items = _LIST_ITEMS.search(text)
    if items is None:
        return []
    kind, version = _LIST_KIND.search(text), _LIST_VERSION.search(text)
    inherited = (version[1] if version else "", kind[1]) if kind and kind[1] else ("", "")
    over = _TOP_KEY.search(text, items.end())
    stop = over.start() if over else len(text)
    dash = re.compile(rf"^{items[1]}- ", re.MULTILINE)
    starts = [match.start() for match in dash.finditer(text, items.end(), stop)]
    line = text.count("\n", 0, items.end())
    found = []
    for start, end in itertools.pairwise([*starts, stop]):
        part = text[start:end]
        found.append(Member(line, part.replace("- ", "  ", 1), inherited))
        line += part.count("\n")
    return found


class _NotPlainError(Exception):
    """The document uses what only the long way understands."""


def parse(text: str) -> Parsed:
    """Read one document; raises what PyYAML raises. Lines count from 0."""
    try:
        return _from_events(text)
    except _NotPlainError:
        return _from_nodes(text)


def _from_nodes(text: str) -> Parsed:
    loader = _SnapshotLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return Parsed(None)
        value = loader.construct_document(root)
    finally:
        loader.dispose()
    lines: tuple[int, ...] = ()
    if isinstance(root, yaml.SequenceNode):
        lines = tuple(member.start_mark.line for member in root.value)
    for key, node in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value == _ITEMS and isinstance(node, yaml.SequenceNode):
            lines = tuple(member.start_mark.line for member in node.value)
    return Parsed(value, root.start_mark.line, lines)


class _Collection:
    """A mapping or sequence under construction; a mapping remembers the key that it waits with."""

    __slots__ = ("key", "value", "waiting")

    def __init__(self, value: dict[Any, Any] | list[Any]) -> None:
        self.value = value
        self.key: Any = None
        self.waiting = False  # for the value of `key`

    def add(self, value: object) -> None:
        if isinstance(self.value, list):
            self.value.append(value)
        elif self.waiting:
            self.value[self.key] = value
            self.waiting = False
        else:
            if not isinstance(value, str):
                raise _NotPlainError  # numbers as keys are legal, collections are an error
            self.key, self.waiting = value, True


def _from_events(text: str) -> Parsed:
    builder = _ValueBuilder()
    for event in yaml.parse(text, _SnapshotLoader):
        if isinstance(event, yaml.ScalarEvent):
            builder.add(builder.scalar(event), event)
        elif isinstance(event, yaml.CollectionStartEvent):
            builder.open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            builder.inside.pop()
        elif isinstance(event, yaml.AliasEvent):
            raise _NotPlainError
        elif isinstance(event, yaml.DocumentStartEvent):
            builder.documents += 1
    if builder.root is None or builder.documents != 1:
        raise _NotPlainError
    return Parsed(builder.root.value, builder.line, tuple(builder.item_lines))


class _ValueBuilder:
    """The value so far, and the collections that are open, the outermost first."""

    def __init__(self) -> None:
        self.root: _Collection | None = None
        self.line = 0
        self.documents = 0
        self.item_lines: list[int] = []
        self.inside: list[_Collection] = []
        self._items: list[Any] | None = None
        self._known: dict[str, object] = {}  # plain text → what it means
        self._loader = _SnapshotLoader("")

    def open(self, event: yaml.CollectionStartEvent) -> None:
        if event.anchor or not event.implicit:
            raise _NotPlainError
        mapping = isinstance(event, yaml.MappingStartEvent)
        opened = _Collection({} if mapping else [])
        if self.root is None:
            self.root, self.line = opened, _line(event)
            self._items = opened.value if isinstance(opened.value, list) else None
        self.add(opened.value, event)
        self.inside.append(opened)

    def add(self, value: object, event: yaml.NodeEvent) -> None:
        if not self.inside:
            return
        inner = self.inside[-1]
        if inner.value is self._items:
            self.item_lines.append(_line(event))
        if inner is self.root and inner.waiting and inner.key == _ITEMS:
            self._items, self.item_lines = value if isinstance(value, list) else None, []
        inner.add(value)

    def scalar(self, event: yaml.ScalarEvent) -> object:
        if event.anchor or event.tag:
            raise _NotPlainError
        text = event.value
        if not event.implicit[0]:
            return text  # quoted
        if text not in self._known:
            if text == _MERGE:
                raise _NotPlainError
            tag = self._loader.resolve(yaml.ScalarNode, text, (True, False))
            node = yaml.ScalarNode(tag, text)
            self._known[text] = text if tag == _TEXT else self._loader.construct_object(node)
        return self._known[text]


def _line(event: yaml.Event) -> int:
    return event.start_mark.line if event.start_mark is not None else 0
