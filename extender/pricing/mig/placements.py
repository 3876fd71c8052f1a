"""Devices that draw shared counters (MIG, AMD partitions): what one takes from those to come.

A partitioned GPU is a set of counters, with a device for every placement of every partition.
Devices overlap where they draw the same counters, so headroom is the number of legal placements,
and a placement's loss is how many it closes (the "CC" measure; MFI and FGD's fragments order the
same placements the same way). The driver takes the first legal device of the first GPU that has
one; a node is judged by that device.

Source of looking ahead: loadtests.quality.mig_churn, which measures it. To the loss of an instance
comes that of the next one, whichever it is, where it costs least then: sum_k p_k * min over nodes
of loss_k. Under first-fit the losses alone order the nodes of one profile by one chain, whatever
the weights; what an instance does to the next one is what tells them apart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from extender import bounded_cache
from extender.hardware.shape import Device, Shape
from extender.hardware.usage import Usage

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int16]
_MOST_KEPT = 1 << 16  # states of one counter layout; a GPU of eight slices has 723
_MOST_LAYOUTS = 256  # of a fleet; tens are usual
_MOST_SHAPES = 64
# What a partition that fits nowhere costs, in dearest placements: more than any that fits. How much
# more does not matter (1 to 3 measured the same).
COST_OF_NO_FIT = 4 / 3
_Counter = tuple[str, str]  # (counter set, counter)


class CounterLayout:
    """Which partitions a GPU can have; equal GPUs share one. Counters and devices go by index."""

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
        gone = [takes for position, takes in enumerate(self._draws) if taken >> position & 1]
        for takes in (*gone, drawn):
            for counter, amount in enumerate(takes):
                left[counter] -= amount
        fits = (
            not taken >> position & 1 and all(h >= a for h, a in zip(left, takes, strict=True))
            for position, takes in enumerate(self._draws)
        )
        return sum(1 << position for position, fit in enumerate(fits) if fit)


@dataclasses.dataclass(frozen=True, slots=True)
class PartitionedGpu:
    """One partitioned GPU of a shape: `devices` are indices into it, in the allocator's order."""

    pool: int
    layout: CounterLayout
    counters: tuple[_Counter, ...]
    devices: tuple[int, ...]

    def local(self, mask: int) -> int:
        """Those devices of a mask over the shape that are on this GPU, by their index here."""
        first, last = self.devices[0], self.devices[-1]
        if last - first + 1 == len(self.devices):
            return mask >> first & ((1 << len(self.devices)) - 1)
        return sum((mask >> device & 1) << position for position, device in enumerate(self.devices))

    def free(self, usage: Usage) -> int:
        """The devices of this GPU that could be allocated on a usage of its shape."""
        return self.layout.possible(self.local(usage.taken), self.drawn(usage.drawn))

    def drawn(self, amounts: Sequence[tuple[int, str, str, int]]) -> tuple[int, ...]:
        """The part of `Usage.drawn` on this GPU, per counter; empty for nothing."""
        if not amounts:
            return ()
        here = {(g, c): amount for pool, g, c, amount in amounts if pool == self.pool}
        found = tuple(here.get(counter, 0) for counter in self.counters)
        return found if any(found) else ()


@dataclasses.dataclass(frozen=True, slots=True)
class GpuState:
    """What a GPU in one state offers to each unit.

    `legal[k]` placements of unit k; `first[k]` is the device that the driver would take for it, by
    its index, -1 if none; `closed[k, m]` are the placements of unit m that this one closes.
    """

    legal: Ints
    first: tuple[int, ...]
    closed: Ints


@bounded_cache.remembered("partitioned-gpus", _MOST_SHAPES)
def partitioned_gpus(hardware: Shape) -> tuple[PartitionedGpu, ...]:
    """The partitioned GPUs of a machine, in the allocator's order.

    Remembered, as it takes a millisecond with 208 devices, and each unit of the mix asks.
    """
    found: list[PartitionedGpu] = []
    for number, pool in enumerate(hardware.pools):
        groups: list[tuple[set[str], list[int]]] = []  # (counter sets, devices that draw of them)
        for position in range(pool.start, pool.stop):
            names = {group for group, _ in hardware.devices[position].consumes_counters}
            joined = [group for group in groups if group[0] & names]
            if names and not joined:
                groups.append((names, [position]))
            elif names:
                for other in joined[1:]:
                    joined[0][0].update(other[0])
                    joined[0][1].extend(other[1])
                    groups.remove(other)
                joined[0][0].update(names)
                joined[0][1].append(position)
        found += [
            _partitioned_gpu(hardware, number, sorted(names), sorted(devices))
            for names, devices in groups
        ]
    known = [gpu for gpu in found if gpu.devices]
    return tuple(sorted(known, key=lambda gpu: gpu.devices[0]))


def gpu_state(
    layout: CounterLayout, taken: int, drawn: tuple[int, ...], matching: Sequence[int]
) -> GpuState:
    """Evaluate a GPU: `matching` has per unit its devices that serve it, as bits."""
    legal, first = _legal(layout, taken, drawn, matching)
    closed = np.zeros((len(matching), len(matching)), dtype=np.int16)
    for unit, position in enumerate(first):
        if position >= 0:
            closed[unit] = legal - _legal(layout, taken | 1 << position, drawn, matching)[0]
    return GpuState(legal, first, closed)


def next_loss(
    now: Floats, rows: npt.NDArray[np.integer], then: Floats, weight: Floats, no_fit: float
) -> Floats:
    """How much more the next instance would lose, were this one put on each of `rows`; per unit.

    `now[r, k]`: what an instance of unit k costs on row r as it is; `then[i, k]`: the same on
    `rows[i]` with this instance there; inf where k does not fit. The next instance goes where it
    costs least, and costs `no_fit` if that is no row. `weight[k]` is how likely it is unit k.
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
    before = np.where(np.isfinite(first), first, no_fit)
    return (np.where(np.isfinite(best), best, no_fit) - before) * weight


def _partitioned_gpu(
    hardware: Shape, pool: int, names: list[str], devices: list[int]
) -> PartitionedGpu:
    there = hardware.pools[pool].counters
    counters = tuple((name, counter) for name in names for counter in sorted(there.get(name, {})))
    whole = tuple(there[name][counter] for name, counter in counters)
    takes = {position: dict(_draws(hardware.devices[position])) for position in devices}
    # A device that draws what the pool does not have can never be allocated.
    devices = [position for position in devices if takes[position].keys() <= set(counters)]
    draws = [tuple(takes[position].get(name, 0) for name in counters) for position in devices]
    return PartitionedGpu(pool, _counter_layout(whole, tuple(draws)), counters, tuple(devices))


@bounded_cache.remembered("counter-layouts", _MOST_LAYOUTS)
def _counter_layout(whole: tuple[int, ...], draws: tuple[tuple[int, ...], ...]) -> CounterLayout:
    return CounterLayout(whole, draws)


def _draws(device: Device) -> Iterator[tuple[_Counter, int]]:
    for group, counters in device.consumes_counters:
        for counter, amount in counters:
            yield (group, counter), amount


def _legal(
    layout: CounterLayout, taken: int, drawn: tuple[int, ...], matching: Sequence[int]
) -> tuple[Ints, tuple[int, ...]]:
    """How many devices could be allocated per unit, and the first of them, -1 if none."""
    possible = layout.possible(taken, drawn)
    fits = [possible & mask for mask in matching]
    legal = np.array([mask.bit_count() for mask in fits], dtype=np.int16)
    return legal, tuple((mask & -mask).bit_length() - 1 for mask in fits)
