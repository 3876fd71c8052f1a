"""From the API server's JSON to typed objects: events of a watch, pages of a list.

Two kinds of trouble are told apart. A line or body that is not JSON was damaged on its way:
`MalformedError`, ask again. JSON that is not what we expect will be the same next time:
`UndecodableError`, skip it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from extender import errors
from extender.kube import objects, upgrading

_T = TypeVar("_T")

# The server marks the bookmark that ends the initial events of a WatchList so.
_END_OF_LIST = "k8s.io/initial-events-end"


class UndecodableError(ValueError):
    """An object or event of an unknown form; the message is about its form, not its content."""


class Event(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw


class Change(msgspec.Struct, Generic[_T], gc=False):
    """An event and its object, decoded at once."""

    type: str
    object: _T


class ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class Page(msgspec.Struct):
    kind: str = ""
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)
    items: list[msgspec.Raw] | None = None


class _Kind(msgspec.Struct):
    kind: str = ""


class _Meta(msgspec.Struct):
    metadata: objects.ObjectMeta = objects.ObjectMeta()


_EVENT = msgspec.json.Decoder(Event)
_PAGE = msgspec.json.Decoder(Page)
_KIND = msgspec.json.Decoder(_Kind)
_META = msgspec.json.Decoder(_Meta)


class Decoder:
    """Decodes what concerns one kind; `condense` is applied to each object at once."""

    def __init__(
        self, kind: str, condense: Callable[[objects.Object], objects.Object] = lambda item: item
    ) -> None:
        self._kind = kind
        self._condense = condense
        self._decoder = msgspec.json.Decoder(objects.KINDS[kind])
        # Typed objects are printed with their kind first, custom ones with it after apiVersion.
        opening = rb'\s*\{(?:"apiVersion":"[^"]*",)?"kind":"%s"[,}]'
        opening %= re.escape(kind.encode())
        self._opening = re.compile(opening)
        self._changes: msgspec.json.Decoder[Change[objects.Object]] = msgspec.json.Decoder(
            Change[objects.KINDS[kind]]  # type: ignore[valid-type]  # known when it runs
        )
        self._usual = re.compile(rb'\{"type":"(?:ADDED|MODIFIED)","object":' + opening)

    def change(self, line: bytes) -> Change[objects.Object] | None:
        """The line at once if it is a usual one; None where `event` and `item` must look closer."""
        if not self._usual.match(line):
            return None
        try:
            found = self._changes.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None  # they tell what is wrong
        if not found.object.metadata.name:
            return None
        found.object = self._condense(upgrading.to_v1(found.object))
        return found

    def event(self, line: bytes) -> Event:
        """One line of a watch, its object still raw."""
        return _decoded(_EVENT, line)

    def page(self, body: bytes) -> Page:
        """One page of a list, its items still raw."""
        page = _decoded(_PAGE, body)
        if page.kind not in {f"{self._kind}List", "List"}:
            raise UndecodableError(f"a list of {page.kind[:64]!r}, not of {self._kind}")
        return page

    def item(self, raw: msgspec.Raw, *, named: bool) -> objects.Object:
        """An object in the shape of the newest API version; `named` ones must say our kind."""
        if named and not self._opening.match(raw):
            kind = _decoded(_KIND, raw).kind
            if kind != self._kind:
                raise UndecodableError(f"a {kind[:64]!r}, not a {self._kind}")
        item: objects.Object = _decoded(self._decoder, raw)
        if not item.metadata.name:
            raise UndecodableError("an object without a name")
        return self._condense(upgrading.to_v1(item))

    def deleted(self, raw: msgspec.Raw) -> objects.Object:
        """The last state of a deleted object; its metadata alone, should the rest not decode."""
        with contextlib.suppress(UndecodableError):
            return self.item(raw, named=True)
        meta = _decoded(_META, raw).metadata
        if not meta.name:
            raise UndecodableError("a deleted object without a name")
        return objects.KINDS[self._kind](metadata=meta)


def bookmark(raw: msgspec.Raw) -> tuple[str, bool]:
    """The resource version of a bookmark, and whether it ends the initial events."""
    meta = _decoded(_META, raw).metadata
    if not meta.resource_version:
        raise UndecodableError("a bookmark without a resource version")
    return meta.resource_version, (meta.annotations or {}).get(_END_OF_LIST) == "true"


def _decoded(decoder: msgspec.json.Decoder[_T], data: bytes | msgspec.Raw) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.ValidationError, RecursionError) as error:
        raise UndecodableError(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.MalformedError(str(error)) from error
