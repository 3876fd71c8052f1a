"""A memory with a bound in bytes: what was put in first goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class BoundedCache(Generic[_K, _V]):
    """Values by key; sizes are in bytes, as whoever puts a value in estimates them."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        self._values: OrderedDict[_K, tuple[_V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: _K) -> _V | None:
        """The value, None where it is not kept."""
        known = self._values.get(key)
        return None if known is None else known[0]

    def put(self, key: _K, value: _V, size: int) -> None:
        """Keep a value, in place of the one before; what is larger than the bound is not kept."""
        self.pop(key)
        if size > self.most_bytes:
            return
        while self.bytes + size > self.most_bytes:
            _, (_, freed) = self._values.popitem(last=False)
            self.bytes -= freed
        self._values[key] = value, size
        self.bytes += size

    def clear(self) -> None:
        """Forget all values."""
        self._values.clear()
        self.bytes = 0

    def pop(self, key: _K) -> None:
        """Forget the value, if there is one."""
        known = self._values.pop(key, None)
        if known is not None:
            self.bytes -= known[1]
