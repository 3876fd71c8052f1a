"""Which nodes are to be read anew because more attributes turned out to be apart."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Protocol

from extender.cluster import machines


class Row(Protocol):
    """What is read of a row of the index."""

    @property
    def name(self) -> str: ...

    @property
    def machine(self) -> machines.Machine: ...


class StaleNodes:
    """Nodes whose shapes keep values that are apart by now: their answers are right, but alone."""

    def __init__(self, builder: machines.Builder) -> None:
        self._builder = builder
        self._apart = builder.apart  # as it was when `_names` was filled
        self._names: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._names)

    def take(self, most: int, rows: Iterable[Row | None]) -> list[str]:
        """At most so many names, which are then no longer outdated; `rows` are all there are."""
        builder = self._builder
        if builder.apart is not self._apart:
            self._apart = builder.apart
            found = (row for row in rows if row is not None)
            self._names = {row.name for row in found if builder.is_outdated(row.machine)}
        names = list(itertools.islice(self._names, most))
        self._names.difference_update(names)
        return names
