"""The counters that devices of a pool share: what is left of them, and what this pod draws.

Source: k8s.io/dynamic-resource-allocation allocator_incubating.go, checkAvailableCounters.
"""

from __future__ import annotations

from typing import TypeAlias

from extender.hardware import shape, versions
from extender.hardware.usage import Usage

# (counter set, counter) → nano units
_Amounts: TypeAlias = dict[tuple[str, str], int]


class Counters:
    """The counters of one search. A pool's are first looked at when a device asks for some."""

    def __init__(
        self,
        machine: shape.Shape,
        usage: Usage,
        pool_of: tuple[int, ...],  # device → index of its pool
        *,
        features: versions.Features,
    ) -> None:
        self._machine = machine
        self._usage = usage
        self._pool_of = pool_of
        self._features = features
        # Keyed by pool index, or by pool name where that defect is replayed.
        self._available: dict[int | str, _Amounts] = {}
        self._overdrawn: set[int | str] = set()
        self._drawn: dict[int | str, _Amounts] = {}

    def reserve(self, device: int) -> bool:
        """Draw the device's counters, if that leaves none of the pool's below zero."""
        pool = self._pool_of[device]
        key: int | str = self._machine.pools[pool].name if self._features.key else pool
        available = self._available.get(key)
        if available is None:
            available = self._available[key] = self._left(pool)
            self._drawn[key] = {}
            if any(amount < 0 for amount in available.values()):
                # One overdrawn counter blocks every device that uses counters.
                self._overdrawn.add(key)
        if key in self._overdrawn:
            return False
        # What was drawn before has been checked then: only this device's counters can fail.
        drawn = self._drawn[key]
        for name, amount in _draws(self._machine.devices[device]):
            drawn[name] = drawn.get(name, 0) + amount
        for name, _ in _draws(self._machine.devices[device]):
            if name in available and drawn[name] > available[name]:
                self.release(device)
                return False
        return True

    def release(self, device: int) -> None:
        """Give back what `reserve` drew for the device."""
        pool = self._pool_of[device]
        key: int | str = self._machine.pools[pool].name if self._features.key else pool
        drawn = self._drawn[key]
        for name, amount in _draws(self._machine.devices[device]):
            drawn[name] -= amount

    def _left(self, pool: int) -> _Amounts:
        """Count what devices in use, here and on other nodes, leave of the pool's counters."""
        own = self._machine.pools[pool]
        left = {
            (counter_set, counter): amount
            for counter_set, counters in own.counters.items()
            for counter, amount in counters.items()
        }
        shared = set() if self._features.shared_uncounted else {d for d, _ in self._usage.shared}
        for device in range(own.start, own.stop):
            if self._usage.taken >> device & 1 or device in shared:
                for name, amount in _draws(self._machine.devices[device]):
                    if name in left:
                        left[name] -= amount
        for elsewhere, counter_set, counter, amount in self._usage.drawn:
            if elsewhere == pool and (counter_set, counter) in left:
                left[counter_set, counter] -= amount
        return left


def _draws(device: shape.Device) -> list[tuple[tuple[str, str], int]]:
    return [
        ((counter_set, counter), amount)
        for counter_set, counters in device.consumes_counters
        for counter, amount in counters
    ]
