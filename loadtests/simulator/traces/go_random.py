"""The random numbers of Go's math/rand: the published arrival orders were drawn with them.

An additive lagged Fibonacci generator over 64 bits, x[n] = x[n-607] + x[n-273]; a seed is mixed
into the state that one start is in after 7.8e12 numbers (gen_cooked.go beside Go's math/rand says
so). That state is worked out here, by a power of the recurrence's polynomial.
"""

import functools

import numpy as np

LENGTH = 607
TAP = 273
FEED = LENGTH - TAP
DRAWN = 7_800_000_000_000  # numbers that the common state is ahead of its start
SKIPPED = 20  # of the small generator that fills a state
MODULUS = (1 << 31) - 1
FACTOR = 48271
BITS31, BITS32, BITS63, BITS64 = ((1 << bits) - 1 for bits in (31, 32, 63, 64))


class Rand:
    """A source seeded as `rand.Seed(seed)` does, for seeds over 0."""

    def __init__(self, seed):
        filled = np.array(list(filling(seed, 40, 20)), dtype=np.uint64)
        self.state = (filled ^ common()).tolist()
        self.tap, self.feed = 0, FEED

    def int63(self):
        self.tap = (self.tap - 1) % LENGTH
        self.feed = (self.feed - 1) % LENGTH
        value = (self.state[self.feed] + self.state[self.tap]) & BITS64
        self.state[self.feed] = value
        return value & BITS63

    def intn(self, bound):
        """`rand.Intn` for bounds below 2^31: draws again where a remainder would favour some."""
        value = self.int63() >> 32
        if bound & (bound - 1) == 0:
            return value & (bound - 1)
        while value > BITS31 - (1 << 31) % bound:
            value = self.int63() >> 32
        return value % bound

    def perm(self, size):
        found = [0] * size
        for number in range(size):
            other = self.intn(number + 1)
            found[number] = found[other]
            found[other] = number
        return found

    def shuffle(self, items):
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]

    def below(self, bound):
        """The multiplying draw that `rand.Shuffle` uses (Lemire, 2018)."""
        product = (self.int63() >> 31) * bound
        if product & BITS32 < bound:
            least = (1 << 32) % bound
            while product & BITS32 < least:
                product = (self.int63() >> 31) * bound
        return product >> 32


def filling(seed, first, second):
    """The state's numbers from a seed: three draws of a small generator each, xor-ed together."""
    value = seed % MODULUS
    for _ in range(SKIPPED):
        value = value * FACTOR % MODULUS
    for _ in range(LENGTH):
        mixed = 0
        for shift in (first, second, 0):
            value = value * FACTOR % MODULUS
            mixed ^= value << shift
        yield mixed & BITS64


@functools.cache
def common():
    """The state that every seed is mixed into; numbers lie backwards from place 333 on."""
    places = (FEED - 1 - np.arange(LENGTH)) % LENGTH
    first = np.array(list(filling(1, 20, 10)), dtype=np.uint64)[places].tolist()
    for _ in range(LENGTH):
        first.append((first[-LENGTH] + first[-TAP]) & BITS64)
    numbers = np.array(first, dtype=np.uint64)
    ahead = power(DRAWN)
    state = np.zeros(LENGTH, dtype=np.uint64)
    for i in range(LENGTH):
        state[(FEED - 1 - DRAWN - i) % LENGTH] = (ahead * numbers[i : i + LENGTH]).sum()
    return state


def power(exponent):
    """x^exponent modulo x^607 = x^334 + 1, in 64-bit arithmetic."""
    found = np.zeros(LENGTH, dtype=np.uint64)
    found[0] = 1
    for bit in format(exponent, "b"):
        found = reduced(np.convolve(found, found))
        if bit == "1":
            found = reduced(np.concatenate([np.zeros(1, dtype=np.uint64), found]))
    return found


def reduced(polynomial):
    """Degrees from 607 on put where they belong, from the top in steps of what they fall by."""
    found = polynomial.copy()
    while len(found) > LENGTH:
        top = found[max(len(found) - TAP, LENGTH) :].copy()
        found = found[: len(found) - len(top)]
        found[len(found) - LENGTH : len(found) - LENGTH + len(top)] += top
        found[len(found) - TAP : len(found) - TAP + len(top)] += top
    return found
