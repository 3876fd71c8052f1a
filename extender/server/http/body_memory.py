"""How much of the bodies that arrive is held at once, over all connections of a port.

Names-only bodies need less than 8 MiB and share one amount of memory; a larger body (whole Nodes)
is read alone. Where there is not enough, the body that has been arriving longest is given up: a
scheduler's comes within milliseconds, one that drips takes seconds.
"""

from __future__ import annotations

from typing import Protocol

from extender.errors import WireError
from extender.settings import Limits


class Sender(Protocol):
    """Who sends a body."""

    def give_up(self, refused: WireError) -> None:
        """Answer that the body is read no further, and let go of it."""


class Bodies:
    """Counts bytes as they arrive; what a head announces counts nothing."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held: dict[Sender, int] = {}  # → bytes, in the order in which bodies began
        self._total = 0
        self._large: tuple[Sender, float] | None = None  # and when it became large

    @property
    def held(self) -> int:
        """Bytes held now."""
        return self._total

    def count(self, sender: Sender, held: int, *, now: float) -> None:
        """Note that a body takes so many bytes by now; WireError 503 if it takes too many."""
        self._total += held - self._held.get(sender, 0)
        self._held[sender] = held
        if held > self._limits.small_body_bytes:
            self._enlarge(sender, now)
        while self._small > self._limits.small_bodies_bytes:
            oldest = next(each for each in self._held if not self._is_large(each))
            self.release(oldest)
            if oldest is sender:
                raise _too_many()
            oldest.give_up(_too_many())

    def release(self, sender: Sender) -> None:
        """Note that a body is held no longer."""
        self._total -= self._held.pop(sender, 0)
        if self._is_large(sender):
            self._large = None

    @property
    def _small(self) -> int:
        large = self._held.get(self._large[0], 0) if self._large else 0
        return self._total - large

    def _is_large(self, sender: Sender) -> bool:
        return self._large is not None and self._large[0] is sender

    def _enlarge(self, sender: Sender, now: float) -> None:
        if self._is_large(sender):
            return
        if self._large is not None:
            other, began = self._large
            if now - began < self._limits.large_body_seconds:
                self.release(sender)
                raise _too_many()
            self.release(other)
            other.give_up(_too_many())
        self._large = (sender, now)


def _too_many() -> WireError:
    return WireError(503, "too many large bodies at once")
