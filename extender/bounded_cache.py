"""What is remembered has a name and a stated bound; what was put in first goes first.

Every cache of the service is one of these, or tells its `Figures` like one: metrics show all of
them, and docs/design/caches.md lists their bounds.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")

BYTES, ENTRIES = "bytes", "entries"
MIB = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """How full a cache is: `used` of `bound`, both in its unit; bytes are estimates."""

    name: str
    used: int
    bound: int
    unit: str = BYTES


class BoundedCache(Generic[_K, _V]):
    """Values by key, as long as the sum of their sizes is within the bound.

    A size is in the cache's unit: bytes, as whoever puts a value in estimates them, or entries, of
    which each value is one.
    """

    def __init__(self, name: str, bound: int, unit: str = BYTES) -> None:
        self.name = name
        self.bound = bound
        self.unit = unit
        self.used = 0
        self._values: OrderedDict[_K, tuple[_V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[_K]:
        """The keys, the next to go first."""
        return iter(self._values)

    @property
    def figures(self) -> Figures:
        """How full it is."""
        return Figures(self.name, self.used, self.bound, self.unit)

    def get(self, key: _K) -> _V | None:
        """The value, None where it is not kept."""
        known = self._values.get(key)
        return None if known is None else known[0]

    def use(self, key: _K) -> _V | None:
        """As `get`; of all that is kept this goes last from now on."""
        known = self._values.get(key)
        if known is None:
            return None
        self._values.move_to_end(key)
        return known[0]

    def put(self, key: _K, value: _V, size: int = 1) -> None:
        """Keep a value, in place of the one before; what is larger than the bound is not kept."""
        self.pop(key)
        if size > self.bound:
            return
        while self.used + size > self.bound:
            _, (_, freed) = self._values.popitem(last=False)
            self.used -= freed
        self._values[key] = value, size
        self.used += size

    def clear(self) -> None:
        """Forget all values."""
        self._values.clear()
        self.used = 0

    def pop(self, key: _K) -> None:
        """Forget the value, if there is one."""
        known = self._values.pop(key, None)
        if known is not None:
            self.used -= known[1]


# name → how full the cache of a function is; filled where the functions are defined
_FUNCTIONS: dict[str, Callable[[], Figures]] = {}


def remembered(
    name: str, most: int
) -> Callable[[Callable[..., _V]], functools._lru_cache_wrapper[_V]]:
    """Remember the answers of a pure function: `functools.lru_cache` with a name in the metrics."""

    def decorated(function: Callable[..., _V]) -> functools._lru_cache_wrapper[_V]:
        cached = functools.lru_cache(maxsize=most)(function)

        def figures() -> Figures:
            return Figures(name, cached.cache_info().currsize, most, ENTRIES)

        _FUNCTIONS[name] = figures
        return cached

    return decorated


def of_functions() -> tuple[Figures, ...]:
    """How full the caches of functions are, in the order of their names."""
    return tuple(_FUNCTIONS[name]() for name in sorted(_FUNCTIONS))
