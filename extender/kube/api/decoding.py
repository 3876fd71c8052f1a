"""From the API server's JSON to typed objects: events of a watch, pages of a list.

There are two kinds of trouble. A line or body that is not JSON was damaged on its way:
`MalformedError`, ask again. JSON that is not what we expect will be the same next time:
`UndecodableError`, skip it. What Go reads all the same is read: null for any value that is not set,
and half a surrogate pair.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from extender import errors
from extender.kube.api import conversion, null_values, objects, quantity_fields
from extender.kube.watch import undecodable_json

_T = TypeVar("_T")

# The server marks the bookmark that ends the initial events of a WatchList so.
_END_OF_LIST = "k8s.io/initial-events-end"


class UndecodableError(ValueError):
    """An object or event of an unknown form; `meta` is what is known of whose it is."""

    def __init__(self, message: str, meta: objects.ObjectMeta | None = None) -> None:
        self.meta = meta
        super().__init__(message)


class Event(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw


class WatchEvent(msgspec.Struct, Generic[_T], gc=False):
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


class _TypeOfObject(msgspec.Struct):
    kind: str = ""


class _Meta(msgspec.Struct):
    metadata: objects.ObjectMeta = objects.ObjectMeta()


_PLAIN = re.compile(rb'\s*\{"type":"([A-Z]+)","object":')
_EVENT = msgspec.json.Decoder(Event)
_PAGE = msgspec.json.Decoder(Page)
_KIND = msgspec.json.Decoder(_TypeOfObject)
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
        self._changes: msgspec.json.Decoder[WatchEvent[objects.Object]] = msgspec.json.Decoder(
            WatchEvent[objects.KINDS[kind]]  # type: ignore[valid-type]  # known when it runs
        )
        self._usual = re.compile(rb'\{"type":"(?:ADDED|MODIFIED)","object":' + opening)

    def change(self, line: bytes) -> WatchEvent[objects.Object] | None:
        """The line at once if it is a usual one; None where `event` and `item` must look closer."""
        if not self._usual.match(line):
            return None
        try:
            found = self._changes.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None  # they tell what is wrong
        if not found.object.metadata.name:
            return None
        found.object = self._condense(conversion.convert_to_v1(found.object))
        return None if quantity_fields.malformed(found.object) else found

    def event(self, line: bytes) -> Event:
        """One line of a watch, its object still raw."""
        try:
            return _decoded(_EVENT, line)
        except UndecodableError:
            # One object that is nested too deeply is still one whose deletion is heard of.
            if (found := _PLAIN.match(line)) is None:
                raise
            return Event(found[1].decode(), msgspec.Raw(line[found.end() :].rstrip()[:-1]))

    def page(self, body: bytes) -> Page:
        """One page of a list, its items still raw."""
        try:
            page = _decoded(_PAGE, body)
        except UndecodableError:
            # One item that is nested too deeply must not take the list away.
            rest, items = undecodable_json.split(body)
            page = _decoded(_PAGE, rest)
            page.items = [msgspec.Raw(item) for item in items]
        if page.kind not in {f"{self._kind}List", "List"}:
            raise UndecodableError(f"a list of {page.kind[:64]!r}, not of {self._kind}")
        return page

    def item(self, raw: msgspec.Raw, *, named: bool) -> objects.Object:
        """An object in the shape of the newest API version; `named` ones must say our kind."""
        if named and not self._opening.match(raw):
            kind = _decoded(_KIND, raw).kind
            if kind != self._kind:
                raise UndecodableError(f"a {kind[:64]!r}, not a {self._kind}")
        try:
            item = self._read(raw)
        except UndecodableError as error:
            raise UndecodableError(str(error), undecodable_json.owner(raw)) from error
        except errors.MalformedError as error:
            if named:
                raise  # damaged on its way: the watch is asked again, and after some times a list
            raise UndecodableError(str(error), undecodable_json.owner(raw)) from error
        if not item.metadata.name:
            raise UndecodableError("an object without a name")
        item = self._condense(conversion.convert_to_v1(item))
        if wrong := quantity_fields.malformed(item):
            raise UndecodableError("; ".join(wrong[:3]), item.metadata)
        return item

    def _read(self, raw: msgspec.Raw) -> objects.Object:
        try:
            return _decoded(self._decoder, raw)
        except UndecodableError as error:
            if b"null" not in memoryview(raw).tobytes():
                raise
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                plain = msgspec.json.decode(mended(raw))
                return null_values.convert(plain, objects.KINDS[self._kind])
            raise error from None

    def deleted(self, raw: msgspec.Raw) -> objects.Object:
        """The last state of a deleted object; its metadata alone, should the rest not decode."""
        with contextlib.suppress(UndecodableError):
            return self.item(raw, named=True)
        meta = undecodable_json.owner(raw)
        if meta is None:
            raise UndecodableError("a deleted object without a name")
        return self.nothing_but(meta)

    def nothing_but(self, meta: objects.ObjectMeta) -> objects.Object:
        """An object of the kind of which only this is known."""
        return objects.KINDS[self._kind](metadata=meta)


def bookmark(raw: msgspec.Raw) -> tuple[str, bool]:
    """The resource version of a bookmark, and whether it ends the initial events."""
    meta = _decoded(_META, raw).metadata
    if not meta.resource_version:
        raise UndecodableError("a bookmark without a resource version")
    return meta.resource_version, (meta.annotations or {}).get(_END_OF_LIST) == "true"


# An escaped backslash, a pair of surrogates, or one that stands alone.
_SURROGATES = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def mended(data: bytes | msgspec.Raw) -> bytes:
    """The JSON with U+FFFD for escapes that are no Unicode, as Go reads them."""
    text = memoryview(data).tobytes()
    return _SURROGATES.sub(lambda match: match[1] or rb"\ufffd", text)


def _decoded(decoder: msgspec.json.Decoder[_T], data: bytes | msgspec.Raw) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.ValidationError, RecursionError) as error:
        raise UndecodableError(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        better = mended(data)
        if better != memoryview(data):
            return _decoded(decoder, better)
        raise errors.MalformedError(str(error)) from error
