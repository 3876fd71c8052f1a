"""What pods ask for here, learnt online: demand classes with decaying weights.

Source: scarcity prices (loadtests/packing.py measures it): on each new pod
every weight decays by 1 - 1/H and the pod's class gains 1/H. Pods without devices decay the mix
too, so a weight is a share of all pods. The mix is a function of the sequence of pods alone: no
clock, no randomness, so replicas that have seen the same pods agree.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_Key = tuple[Hashable, int, int]  # device ask, devices, CPU bucket
# What a class asks: the number of its device ask, devices, GPUs a device, CPU, memory, weight
_Column = tuple[int, int, float, float, float, float]

WHOLE_GPU = "GPU"  # the ask for any GPU that nobody holds a part of

HORIZON = 2000  # pods; from 1000 up the measured allocation does not depend on it
MOST_CLASSES = 128  # 32 are needed on openb's mixes; model sets multiply them
MOST_UIDS = 20_000  # ten horizons: a pod forgotten later than that weighs nothing
# Of a mean: a smaller change of what a class asks is not told, so that what was counted for it
# stays counted. Buckets are a hundred times as wide.
_DRIFT = 0.02


@dataclasses.dataclass(frozen=True, slots=True)
class Classes:
    """The mix as columns, one entry a class, in order of first appearance.

    `asks` are the distinct demands for *one device* and `ask` says which one a class has: classes
    that differ in CPU or in the number of devices share the costly device part. `count` devices a
    pod, `share` GPUs a device (1.0 is a whole GPU), `cpu` and `memory` a pod in the caller's
    units, `weight` the share of recent pods.
    """

    asks: tuple[Hashable, ...]
    ask: Ints
    count: Floats
    share: Floats
    cpu: Floats
    memory: Floats
    weight: Floats

    @property
    def size(self) -> Floats:
        """GPUs a pod of the class asks in all."""
        return self.count * self.share

    @staticmethod
    def none() -> Classes:
        """No classes."""
        empty = np.zeros(0)
        return Classes((), empty.astype(np.int64), *([empty] * 5))

    def take(self, places: Ints) -> Classes:
        """These classes alone, by the same asks."""
        return Classes(
            asks=self.asks,
            ask=self.ask[places],
            count=self.count[places],
            share=self.share[places],
            cpu=self.cpu[places],
            memory=self.memory[places],
            weight=self.weight[places],
        )

    def differing(self, older: Classes) -> npt.NDArray[np.bool_]:
        """Which classes ask something else than the class of the same place in `older` did.

        Weights do not matter: they change with every pod, and what a node can give does not.
        """
        both = min(len(self.weight), len(older.weight))
        differs = np.ones(len(self.weight), dtype=np.bool_)
        mine, theirs = self.ask[:both].tolist(), older.ask[:both].tolist()
        differs[:both] = [
            self.asks[ask] is not older.asks[other] for ask, other in zip(mine, theirs, strict=True)
        ]
        for name in ("count", "share", "cpu", "memory"):
            differs[:both] |= getattr(self, name)[:both] != getattr(older, name)[:both]
        return differs


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """What all recent pods asked for, as sums that tell proportions: a pod weighs its class's part.

    `pods` were seen at all; `gpus`, `cpu` and `memory` are of those with devices, `bare_cpu` and
    `bare_memory` of the others.
    """

    pods: int
    gpus: float
    cpu: float
    memory: float
    bare_cpu: float
    bare_memory: float


@dataclasses.dataclass(slots=True)
class _Tally:
    """Decayed sums of one class, valid after `at` pods, and the means told of it."""

    count: int
    share: float
    at: int = 0
    weight: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0
    told_cpu: float = 0.0
    told_memory: float = 0.0

    def add(self, gain: float, fade: float, at: int, *, cpu: float, memory: float) -> None:
        """Count one more pod, the one after which `at` were seen; older ones fade to that part."""
        self.at = at
        self.weight = fade * self.weight + gain
        self.cpu = fade * self.cpu + gain * cpu
        self.memory = fade * self.memory + gain * memory

    def tell(self) -> None:
        """Tell the means as they are, if they have moved."""
        cpu, memory = self.cpu / self.weight, self.memory / self.weight
        if abs(cpu - self.told_cpu) > _DRIFT * self.told_cpu:
            self.told_cpu = cpu
        if abs(memory - self.told_memory) > _DRIFT * self.told_memory:
            self.told_memory = memory


@dataclasses.dataclass(frozen=True, slots=True)
class _Reserved:
    """A declared size: its class's least weight, and what such a pod asks until one is seen."""

    weight: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0


_NOTHING = _Reserved()


class Mix:
    """Demand classes seen so far, at most `most_classes`; the lightest one makes room.

    A declared (reserved) size is a class whose weight never falls below the given one. Whole
    machines (`expect`) weigh something until pods of their size are seen.
    """

    def __init__(
        self,
        *,
        horizon: float = HORIZON,
        most_classes: int = MOST_CLASSES,
        most_uids: int = MOST_UIDS,
    ) -> None:
        self.seen = 0
        self._keep = 1.0 - 1.0 / horizon
        self._gain = 1.0 / horizon
        self._most_classes = most_classes
        self._most_uids = most_uids
        self._tallies: dict[_Key, _Tally] = {}  # (device ask, devices, CPU bucket) → tally
        self._bare = _Tally(count=0, share=0.0)  # of the pods without devices
        self._reserved: dict[_Key, _Reserved] = {}  # (device ask, devices, CPU bucket) → size
        self._machines: dict[int, float] = {}  # GPUs of a machine → least share of the GPUs asked
        self._uids: dict[str, None] = {}  # remembered pods, oldest first

    def configure(self, *, horizon: float) -> None:
        """Look back on that many pods from now on, and keep no size that was declared before."""
        self._keep = 1.0 - 1.0 / horizon
        self._gain = 1.0 / horizon
        self._reserved.clear()

    def learn(
        self,
        uid: str,
        ask: Hashable | None,
        *,
        count: int = 0,
        share: float = 1.0,
        cpu: float = 0.0,
        memory: float = 0.0,
    ) -> bool:
        """Count one pod; false where it was counted before.

        `ask` is the identity of the demand for one device (equal asks take equal devices), None
        for a pod without devices. `count` and `share` size it in devices and GPUs a device; `cpu`
        is in thousandths, `memory` in any one unit.
        """
        if uid in self._uids:
            return False
        self._uids[uid] = None
        if len(self._uids) > self._most_uids:
            del self._uids[next(iter(self._uids))]
        self.seen += 1
        tally = self._bare
        if ask is not None and count > 0:
            tally = self._tally((ask, count, _bucket(cpu, count * share)), count, share)
        tally.add(self._gain, self._fade(tally), self.seen, cpu=cpu, memory=memory)
        tally.tell()
        return True

    def reserve(
        self,
        ask: Hashable,
        *,
        count: int,
        share: float,
        cpu: float,
        memory: float,
        weight: float,
    ) -> None:
        """Keep a size that may never have been seen: its class weighs at least `weight`."""
        key = (ask, count, _bucket(cpu, count * share))
        self._reserved[key] = _Reserved(weight=weight, cpu=cpu, memory=memory)
        self._tally(key, count, share)

    def asked(self) -> Asked:
        """What recent pods asked for, those declared or expected left out."""
        tallies = self._tallies.values()
        fades = [(tally, self._fade(tally)) for tally in tallies]
        bare = self._fade(self._bare)
        return Asked(
            pods=self.seen,
            gpus=sum(fade * tally.weight * tally.count * tally.share for tally, fade in fades),
            cpu=sum(fade * tally.cpu for tally, fade in fades),
            memory=sum(fade * tally.memory for tally, fade in fades),
            bare_cpu=bare * self._bare.cpu,
            bare_memory=bare * self._bare.memory,
        )

    def expect(self, machines: Mapping[int, float]) -> None:
        """Keep room for pods that take a whole machine, although none of them may have been seen.

        `machines` says, for a machine of so many GPUs, the least share of all GPUs asked that pods
        of its size have. The more of them are seen the less is added; nothing from that share on.
        """
        self._machines = dict(machines)

    def classes(self) -> Classes:
        """The mix now, as columns; the machines expected are last."""
        asks: dict[Hashable, int] = {}  # device ask → its number
        columns: list[_Column] = []
        for key, tally in self._tallies.items():
            fade = self._fade(tally)
            held = self._reserved.get(key, _NOTHING)
            weight = max(fade * tally.weight, held.weight)
            if weight <= 0.0:
                continue
            ask = asks.setdefault(key[0], len(asks))
            seen = tally.weight > 0.0
            cpu = tally.told_cpu if seen else held.cpu
            memory = tally.told_memory if seen else held.memory
            columns.append((ask, tally.count, tally.share, cpu, memory, weight))
        if columns and self._machines:
            whole = asks.setdefault(WHOLE_GPU, len(asks))
            for gpus, weight in self._unseen(columns):
                columns.append((whole, gpus, 1.0, 0.0, 0.0, weight))
        table = np.array(columns, dtype=np.float64).reshape(-1, 6)
        return Classes(
            asks=tuple(asks),
            ask=table[:, 0].astype(np.int64),
            count=table[:, 1],
            share=table[:, 2],
            cpu=table[:, 3],
            memory=table[:, 4],
            weight=table[:, 5],
        )

    def _unseen(self, columns: Sequence[_Column]) -> list[tuple[int, float]]:
        """What is missing of each expected machine's weight, 0 where enough was seen."""
        asked = 0.0
        seen: dict[float, float] = {}  # GPUs a pod → weight
        for _, count, share, _, _, weight in columns:
            size = count * share
            asked += weight * size
            seen[size] = seen.get(size, 0.0) + weight
        return [
            (gpus, max(least * asked / gpus - seen.get(gpus, 0.0), 0.0))
            for gpus, least in self._machines.items()
        ]

    def _tally(self, key: _Key, count: int, share: float) -> _Tally:
        tally = self._tallies.get(key)
        if tally is None:
            tally = _Tally(count=count, share=share, at=self.seen)
            lightest = self._lightest() if len(self._tallies) >= self._most_classes else None
            if lightest is None:
                self._tallies[key] = tally
            else:  # in its place, so that the other classes keep theirs
                self._tallies = dict(
                    (key, tally) if known == lightest else (known, other)
                    for known, other in self._tallies.items()
                )
        return tally

    def _lightest(self) -> _Key | None:
        tallies = self._tallies
        return min(
            (key for key in tallies if key not in self._reserved),
            key=lambda key: self._fade(tallies[key]) * tallies[key].weight,
            default=None,
        )

    def _fade(self, tally: _Tally) -> float:
        """What is left of a tally's sums now. Reading changes nothing, so it cannot matter when."""
        return float(self._keep ** (self.seen - tally.at))


def _bucket(cpu: float, gpus: float) -> int:
    """CPU per GPU asked, in powers of two: what decides whether idle GPUs can still be fed."""
    return round(math.log2(max(cpu / gpus, 1.0)))
