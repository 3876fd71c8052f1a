"""Devices cut from shared counters (MIG, AMD partitions): what one takes from those to come.

A board is what a set of counters serves: usually one GPU, with a device for every placement of
every partition. Devices overlap where they draw the same counters, so room is the number of legal
placements, and a placement's loss is how many it closes (the "CC" measure; MFI and FGD's fragments
order the same placements the same way). The driver takes the first legal device of the first board
that has one; a node is judged by that device.

Source of looking ahead: loadtests.quality.mig_churn, which measures it. To the loss of an instance
comes that of the next one, whichever it is, where it costs least then: sum_k p_k * min over nodes
of loss_k. Under first-fit the losses alone order the nodes of one profile by one chain, whatever
the weights; what an instance does to the next one is what tells them apart.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from extender.hardware.shape import Device, Shape
from extender.hardware.usage import Usage

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int16]
_MOST_KEPT = 1 << 16  # states of one kind of board; a GPU of eight slices has 723
_MOST_CUTS = 256  # kinds of boards; a fleet has tens
# What a partition that fits nowhere costs, in dearest placements: more than any that fits. How much
# more does not matter (1 to 3 measured the same).
COST_OF_NO_PLACE = 4 / 3
_Counter = tuple[str, str]  # (counter set, counter)


class CounterLayout:
    """How a board may be cut; equal GPUs share one. Counters and devices go by their place."""

    def __init__(self, whole: tuple[int, ...], draws: tuple[tuple[int, ...], ...]) -> None:
        self._whole = whole  # counter → how much there is
        self._draws = draws  # device → counter → how much it takes
        self._possible: dict[tuple[int, tuple[int, ...]], int] = {}  # (taken, drawn) → devices

    def possible(self, taken: int, drawn: tuple[int, ...] = ()) -> int:
        """The devices that could be allocated now, each by itself, as bits.

        `taken` are the allocated ones; `drawn` is what others have taken of each counter.
        """
        found = self._possible.get((taken, drawn))
        if found is None:
            if len(self._possible) >= _MOST_KEPT:
                self._possible.clear()
            found = self._possible[taken, drawn] = self._fitting(taken, drawn)
        return found

    def _fitting(self, taken: int, drawn: tuple[int, ...]) -> int:
        left = list(self._whole)
        gone = [takes for place, takes in enumerate(self._draws) if taken >> place & 1]
        for takes in (*gone, drawn):
            for counter, amount in enumerate(takes):
                left[counter] -= amount
        fits = (
            not taken >> place & 1 and all(h >= a for h, a in zip(left, takes, strict=True))
            for place, takes in enumerate(self._draws)
        )
        return sum(1 << place for place, fit in enumerate(fits) if fit)


@dataclasses.dataclass(frozen=True, slots=True)
class PartitionedGpu:
    """One board of a shape: `devices` are indices into the shape, in the allocator's order."""

    pool: int
    cut: CounterLayout
    counters: tuple[_Counter, ...]
    devices: tuple[int, ...]

    def local(self, mask: int) -> int:
        """Those devices of a mask over the shape that are on this board, by their place here."""
        first, last = self.devices[0], self.devices[-1]
        if last - first + 1 == len(self.devices):
            return mask >> first & ((1 << len(self.devices)) - 1)
        return sum((mask >> device & 1) << place for place, device in enumerate(self.devices))

    def free(self, usage: Usage) -> int:
        """The devices of this board that could be allocated on a usage of its shape."""
        return self.cut.possible(self.local(usage.taken), self.drawn(usage.drawn))

    def drawn(self, amounts: Sequence[tuple[int, str, str, int]]) -> tuple[int, ...]:
        """What of `Usage.drawn` concerns this board, per counter; empty for nothing."""
        if not amounts:
            return ()
        here = {(g, c): amount for pool, g, c, amount in amounts if pool == self.pool}
        found = tuple(here.get(counter, 0) for counter in self.counters)
        return found if any(found) else ()


@dataclasses.dataclass(frozen=True, slots=True)
class GpuState:
    """What a board in one state offers to each ask.

    `legal[k]` placements of ask k; `first[k]` is the device that the driver would take for it, by
    its place, -1 if none; `lost[k, m]` are the placements of ask m that this one closes.
    """

    legal: Ints
    first: tuple[int, ...]
    lost: Ints


def partitioned_gpus(hardware: Shape) -> tuple[PartitionedGpu, ...]:
    """The boards of a machine, in the order in which the allocator comes to them."""
    found: list[PartitionedGpu] = []
    for number, pool in enumerate(hardware.pools):
        groups: list[tuple[set[str], list[int]]] = []  # (counter sets, devices that draw of them)
        for place in range(pool.start, pool.stop):
            names = {group for group, _ in hardware.devices[place].consumes_counters}
            joined = [group for group in groups if group[0] & names]
            if names and not joined:
                groups.append((names, [place]))
            elif names:
                for other in joined[1:]:
                    joined[0][0].update(other[0])
                    joined[0][1].extend(other[1])
                    groups.remove(other)
                joined[0][0].update(names)
                joined[0][1].append(place)
        found += [
            _board(hardware, number, sorted(names), sorted(devices)) for names, devices in groups
        ]
    known = [board for board in found if board.devices]
    return tuple(sorted(known, key=lambda board: board.devices[0]))


def gpu_state(
    cut: CounterLayout, taken: int, drawn: tuple[int, ...], suits: Sequence[int]
) -> GpuState:
    """Look at a board: `suits` says as bits which of its devices serve each ask."""
    legal, first = _legal(cut, taken, drawn, suits)
    lost = np.zeros((len(suits), len(suits)), dtype=np.int16)
    for ask, place in enumerate(first):
        if place >= 0:
            lost[ask] = legal - _legal(cut, taken | 1 << place, drawn, suits)[0]
    return GpuState(legal, first, lost)


def next_loss(
    now: Floats, rows: npt.NDArray[np.integer], then: Floats, weight: Floats, nowhere: float
) -> Floats:
    """How much more the next instance would lose, were this one put on each of `rows`; per ask.

    `now[r, k]`: what an instance of ask k costs on row r as it is; `then[i, k]`: the same on
    `rows[i]` with this instance there; inf where k does not fit. The next instance goes where it
    costs least, and costs `nowhere` if that is no row. `weight[k]` is how likely it is ask k.
    """
    if not len(now):
        return np.zeros_like(then)
    columns = np.arange(now.shape[1])
    cheapest = now.argmin(axis=0)
    first = now[cheapest, columns]
    others = now.copy()
    others[cheapest, columns] = np.inf
    elsewhere = np.where(rows[:, None] == cheapest, others.min(axis=0), first)
    best = np.minimum(elsewhere, then)
    before = np.where(np.isfinite(first), first, nowhere)
    return (np.where(np.isfinite(best), best, nowhere) - before) * weight


def _board(hardware: Shape, pool: int, names: list[str], devices: list[int]) -> PartitionedGpu:
    there = hardware.pools[pool].counters
    counters = tuple((name, counter) for name in names for counter in sorted(there.get(name, {})))
    whole = tuple(there[name][counter] for name, counter in counters)
    takes = {place: dict(_draws(hardware.devices[place])) for place in devices}
    # A device that draws what the pool does not have can never be allocated.
    devices = [place for place in devices if takes[place].keys() <= set(counters)]
    draws = [tuple(takes[place].get(name, 0) for name in counters) for place in devices]
    return PartitionedGpu(pool, _layout(whole, tuple(draws)), counters, tuple(devices))


@functools.lru_cache(_MOST_CUTS)
def _layout(whole: tuple[int, ...], draws: tuple[tuple[int, ...], ...]) -> CounterLayout:
    return CounterLayout(whole, draws)


def _draws(device: Device) -> Iterator[tuple[_Counter, int]]:
    for group, counters in device.consumes_counters:
        for counter, amount in counters:
            yield (group, counter), amount


def _legal(
    cut: CounterLayout, taken: int, drawn: tuple[int, ...], suits: Sequence[int]
) -> tuple[Ints, tuple[int, ...]]:
    """How many devices could be allocated per ask, and the first of them, -1 if none."""
    possible = cut.possible(taken, drawn)
    fits = [possible & mask for mask in suits]
    legal = np.array([mask.bit_count() for mask in fits], dtype=np.int16)
    return legal, tuple((mask & -mask).bit_length() - 1 for mask in fits)
