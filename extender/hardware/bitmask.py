"""Sets of devices as the bits of an int: bit i is device i of a shape."""

from __future__ import annotations


def positions(mask: int) -> list[int]:
    """The positions of the bits that are set, lowest first; `mask` is not negative."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found
