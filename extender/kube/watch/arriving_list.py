"""A list that comes as the first events of a watch (WatchList), until a bookmark ends it."""

from __future__ import annotations

from extender.kube.api import objects


class ArrivingList:
    """What has come so far of what exists; nothing between two lists."""

    def __init__(self) -> None:
        # (namespace, name) → object; None where no list is arriving.
        self._items: dict[tuple[str, str], objects.Object] | None = None
        self._complete: tuple[list[objects.Object], str] | None = None  # with its version

    @property
    def open(self) -> bool:
        """Whether a list has begun and not ended."""
        return self._items is not None

    def begin(self) -> None:
        self._items = {}

    def take(self, event: str, item: objects.Object) -> None:
        """Take one event of an open list."""
        if self._items is None:
            return
        key = item.metadata.namespace, item.metadata.name
        self._items.pop(key, None)
        if event != "DELETED":
            self._items[key] = item

    def end(self, version: str) -> None:
        """All that exists has come."""
        self._complete = list((self._items or {}).values()), version
        self._items = None

    def taken(self) -> tuple[list[objects.Object], str] | None:
        """The list and its version once it is complete; whoever takes it has it alone."""
        found, self._complete = self._complete, None
        return found

    def drop(self) -> None:
        """Forget all: a list that was broken off is of no use, and may be large."""
        self._items = self._complete = None
