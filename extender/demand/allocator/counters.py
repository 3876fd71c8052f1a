"""The counters that devices of a pool share: what is left of them, and what this pod draws.

Source: k8s.io/dynamic-resource-allocation allocator_incubating.go, checkAvailableCounters.
"""

from __future__ import annotations

from typing import TypeAlias

from extender.demand.allocator.claims_on_shape import ClaimsOnShape
from extender.hardware import bitmask
from extender.hardware.usage import Usage

# (counter set, counter) → nano units
_Amounts: TypeAlias = dict[tuple[str, str], int]


class Counters:
    """The counters of one search. A pool's are first looked at when a device asks for some."""

    def __init__(self, prepared: ClaimsOnShape, usage: Usage) -> None:
        self._prepared = prepared
        self._usage = usage
        self._by_name = prepared.features.key
        # Keyed by pool index, or by pool name where that defect is replayed.
        self._available: dict[int | str, _Amounts] = {}
        self._overdrawn: set[int | str] = set()
        self._drawn: dict[int | str, _Amounts] = {}

    def reserve(self, device: int) -> bool:
        """Draw the device's counters, if that leaves none of the pool's below zero."""
        key = self._key(device)
        available = self._available.get(key)
        if available is None:
            available = self._open(key, self._prepared.pool_of[device])
        if key in self._overdrawn:
            return False
        # What was drawn before has been checked then: only this device's counters can fail.
        drawn = self._drawn[key]
        draws = self._prepared.draws(device)
        for name, amount in draws:
            if name in available and drawn.get(name, 0) + amount > available[name]:
                return False
        for name, amount in draws:
            drawn[name] = drawn.get(name, 0) + amount
        return True

    def release(self, device: int) -> None:
        """Give back what `reserve` drew for the device."""
        drawn = self._drawn[self._key(device)]
        for name, amount in self._prepared.draws(device):
            drawn[name] -= amount

    def _key(self, device: int) -> int | str:
        pool = self._prepared.pool_of[device]
        return self._prepared.machine.pools[pool].name if self._by_name else pool

    def _open(self, key: int | str, pool: int) -> _Amounts:
        available = self._available[key] = self._left(pool)
        self._drawn[key] = {}
        if any(amount < 0 for amount in available.values()):
            # One overdrawn counter blocks every device that uses counters.
            self._overdrawn.add(key)
        return available

    def _left(self, pool: int) -> _Amounts:
        """Count what devices in use, here and on other nodes, leave of the pool's counters."""
        left = dict(self._prepared.totals(pool))
        used = self._usage.taken
        if not self._prepared.features.shared_uncounted:
            for device, _ in self._usage.shared:
                used |= 1 << device
        own = self._prepared.machine.pools[pool]
        for device in bitmask.positions(used & ((1 << own.stop) - (1 << own.start))):
            for name, amount in self._prepared.draws(device):
                if name in left:
                    left[name] -= amount
        for elsewhere, counter_set, counter, amount in self._usage.drawn:
            if elsewhere == pool and (counter_set, counter) in left:
                left[counter_set, counter] -= amount
        return left
