"""Reads a whole collection, in pages where the server has them.

The rules are client-go's (tools/pager/pager.go, and `list` in tools/cache/reflector.go).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from extender import errors
from extender.kube import client
from extender.kube.api import decoding, objects
from extender.kube.watch.api_resource import ApiResource

# A list without a watch cache behind it is read in pages; 100 slices decode in about 10 ms.
PAGE_SIZE = 100
# What is decoded before the event loop gets its turn: 0.2 to 0.5 ms of slices or of small events.
_TURN_BYTES = 64 << 10
_EVENT_BYTES = 1 << 10  # an event's own cost, in the bytes that take as long to decode


class YieldTurns:
    """Shares the event loop: a burst is decoded in small turns, so that no request waits long."""

    def __init__(self) -> None:
        self._spent = 0

    async def spend(self, size: int) -> None:
        """Count an object of `size` bytes; let others run once this turn has had its share."""
        self._spent += size + _EVENT_BYTES
        if self._spent > _TURN_BYTES:
            self._spent = 0
            await asyncio.sleep(0)


class Lister:
    """Lists one collection. `received` gets the bytes that came, `skip` what does not decode."""

    def __init__(
        self,
        api: client.Client,
        resource: ApiResource,
        decoder: decoding.Decoder,
        *,
        received: Callable[[int], None],
        skip: Callable[[decoding.UndecodableError], None],
    ) -> None:
        self._api = api
        self._resource = resource
        self._decoder = decoder
        self._received = received
        self._skip = skip
        self._turns = YieldTurns()
        self._paged = False  # the server pages also what it might serve from its watch cache

    async def read(self, version: str) -> tuple[list[objects.Object], str]:
        """Everything there is, not older than `version`, and the version of that.

        "0" is any version, empty the newest; `ExpiredError` if the server cannot serve it.
        """
        whole = self._resource.query(resourceVersion=version)
        # A server lists "not older than" a version from its watch cache, which has no pages.
        query = whole
        if version in {"", "0"} or self._paged:
            query = {**whole, "limit": str(PAGE_SIZE)}
        items: list[objects.Object] = []
        first: str | None = None
        while True:
            try:
                meta = await self._page(query, items)
            except errors.ExpiredError:
                if "continue" not in query:
                    raise
                query, first = whole, None  # it took too long to turn the pages
                items.clear()
                continue
            first = meta.resource_version if first is None else first
            if not meta.continue_:
                return items, first
            self._paged = self._paged or version == "0"
            query = self._resource.query(limit=str(PAGE_SIZE), **{"continue": meta.continue_})

    async def probe(self, version: str) -> None:
        """List nothing, not older than `version`; `ExpiredError` if that is yet to come."""
        query = self._resource.query(resourceVersion=version)
        selector = self._resource.field_selector
        if "metadata.name=" not in selector:  # else this is one object, and may be all we may see
            query["fieldSelector"] = ",".join(filter(None, (selector, "metadata.name=-")))
        await self._body(query)

    async def _page(self, query: dict[str, str], items: list[objects.Object]) -> decoding.ListMeta:
        """Append one page's objects to `items`."""
        try:
            page = self._decoder.page(await self._body(query))
        except decoding.UndecodableError as error:
            raise errors.ApiError(200, "Undecodable", str(error)) from error
        for raw in page.items or ():
            try:
                items.append(self._decoder.item(raw, named=False))
            except decoding.UndecodableError as error:
                self._skip(error)
            await self._turns.spend(len(memoryview(raw)))
        return page.metadata

    async def _body(self, query: dict[str, str]) -> bytes:
        parts = []
        async with self._api.stream(self._resource.path, query) as stream:
            while chunk := await stream.read():
                self._received(len(chunk))
                parts.append(chunk)
        return b"".join(parts)


def before(version: str, other: str) -> bool:
    """Whether a version is known to be older than another.

    They are numbers that can be compared since 1.35 (KEP-5504), and were before, in one collection
    of one server. Of what is no number of 64 bits nothing is known.
    """
    numbers = [int(text) for text in (version, other) if text.isdecimal() and len(text) <= 20]
    return len(numbers) == 2 and numbers[0] < numbers[1]
