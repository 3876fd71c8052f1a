"""JSON that no decoder takes, looked at all the same: where a list's items are, whose an object is.

A decoder gives up on a whole list for one item that is nested too deeply, and on an object without
telling its name. Here brackets are counted, so that depth costs nothing.
"""

from __future__ import annotations

import contextlib
import re

import msgspec

from extender.kube.api import objects

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
_TEXT = rb'\s*:\s*("(?:[^"\\]|\\.)*+")'
_META = re.compile(rb'"metadata"\s*:\s*\{')
_NAME, _NAMESPACE = re.compile(rb'"name"' + _TEXT), re.compile(rb'"namespace"' + _TEXT)
_VERSION = re.compile(rb'"resourceVersion"' + _TEXT)
_ITEMS = b'"items"'
_MOST_NAME = 253  # characters of a name in the API


class _Headed(msgspec.Struct):
    metadata: objects.ObjectMeta = objects.ObjectMeta()


_HEADED = msgspec.json.Decoder(_Headed)


def split(body: bytes) -> tuple[bytes, list[bytes]]:
    """A list without its items, and these; no items where the body holds no such list."""
    depth, start, end, inside = 0, -1, -1, -1
    items: list[bytes] = []
    last = b""
    for token in _TOKEN.finditer(body):
        mark = token[0]
        if mark in b"[{":
            if depth == 1 and mark == b"[" and last == _ITEMS and start < 0:
                start = token.end()
            elif depth == 2 and end < 0 <= start:
                inside = token.start()
            depth += 1
        elif mark in b"]}":
            depth -= 1
            if depth == 2 and inside >= 0:
                items.append(body[inside : token.end()])
                inside = -1
            elif depth == 1 and end < 0 <= start:
                end = token.start()
        elif depth == 1:
            last = mark
    if end < 0:
        return body, []
    return body[:start] + body[end:], items


def owner(raw: bytes | msgspec.Raw) -> objects.ObjectMeta | None:
    """Whose the JSON of an object is, as far as that can be seen; None without a name."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if (meta := _HEADED.decode(raw).metadata).name:
            return meta
    data = memoryview(raw).tobytes()
    opening = _META.search(data)
    start = opening.end() if opening else 0
    name = _first(_NAME, data, start)
    if not name:
        return None
    return objects.ObjectMeta(
        name=name,
        namespace=_first(_NAMESPACE, data, start),
        resource_version=_first(_VERSION, data, start),
    )


def _first(pattern: re.Pattern[bytes], data: bytes, start: int) -> str:
    match = pattern.search(data, start)
    if match is None:
        return ""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(match[1], type=str)[:_MOST_NAME]
    return ""
