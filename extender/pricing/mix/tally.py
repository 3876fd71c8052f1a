"""How the pods seen of late count: per class of demand, and those without devices."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from extender.pricing.mix import pod_history

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Key: TypeAlias = tuple[Hashable, int, int]  # device ask, devices, CPU bucket

_KINDS_PER_POD = 2  # what is asked by pods that count no more is forgotten beyond that
# Means are told in steps so wide, so that what was counted for a class stays counted while its mean
# moves little. Buckets are a hundred times as wide.
_DRIFT = 0.02


class Wanted(NamedTuple):
    """What a pod asks, as it was seen, or as it counts: `share` GPUs a device, `cpu`, `memory`.

    `ask` is the identity of the demand for one device, None for a pod without devices.
    """

    ask: Hashable | None
    devices: int = 0
    share: float = 1.0
    cpu: float = 0.0
    memory: float = 0.0


# (what a pod asks, members of its group) → how it counts, None as nothing. Raises LookupError where
# that cannot be told yet.
Resolve: TypeAlias = Callable[[Wanted, int], Wanted | None]
_BARE, _NOTHING_COUNTED, _UNRESOLVED = -1, -2, -3


@dataclasses.dataclass(frozen=True, slots=True)
class Sums:
    """What all pods that count add up to: per class, and those without devices."""

    weight: Floats
    cpu: Floats
    memory: Floats
    told_cpu: Floats
    told_memory: Floats
    bare: tuple[float, float]
    pods: int


class Tally:
    """Adds up what the pods ask. How each counts (`resolve`) is worked out when it is read."""

    def __init__(self, resolve: Resolve, *, most: int) -> None:
        self._resolve = resolve
        self.history = pod_history.PodHistory(most=most)
        self.keys: dict[Key, int] = {}  # class → number
        self.shares: list[float] = []  # class number → GPUs a device
        self._kinds: dict[tuple[Wanted, int], int] = {}  # (what a pod asks, members) → number
        self._wanted: list[tuple[Wanted, int]] = []  # number → the same
        self._class: list[int] = []  # number → number of its class, or one of the above
        self._counted: list[Wanted] = []  # number → how it counts, where it does
        self._late = False  # whether something stayed unresolved
        self._read: Sums | None = None  # what was worked out since the last change
        self._keep = self._gain = 0.0
        self._first = most

    def configure(self, *, horizon: float, namespace_share: float) -> None:
        """Look back on that many pods; the newest of one namespace weigh at most that share."""
        self._keep = 1.0 - 1.0 / horizon
        self._gain = 1.0 / horizon
        self._first = self.history.most
        if namespace_share < 1.0:  # so many pods one after the other weigh that share
            self._first = max(1, int(math.log(1.0 - namespace_share) / math.log(self._keep)))
        self._read = None

    def learn(
        self, uid: str, wanted: Wanted, *, age: pod_history.Age | None, namespace: str, group: str
    ) -> bool:
        """Count one pod; false where it was counted before."""
        if uid in self.history:
            return False
        self.history.drop_beyond(self._first)
        kind = self._kind(wanted, 1)
        self.history.add(uid, kind, age=age, namespace=namespace, group=group)
        self._read = None
        if len(self._kinds) > _KINDS_PER_POD * self.history.most:
            self._forget_kinds()
        return True

    def unresolve(self) -> None:
        """How pods count may have changed: work it out anew."""
        self._class = [_UNRESOLVED] * len(self._class)
        self._read = None

    @property
    def unresolved(self) -> bool:
        """Whether it could not be told of all pods how they count when this was read last."""
        return self._late

    def sums(self) -> Sums:
        """What the pods that count add up to, worked out once per change."""
        if self._read is None:
            found = self._summed()
            if self._late:
                return found  # the next reading may know more
            self._read = found
        return self._read

    def _summed(self) -> Sums:
        kinds, groups = self.history.counted(self._first)
        kinds = self._as_groups(kinds, groups)
        self._resolve_all(kinds)
        weights = self._gain * self._keep ** np.arange(len(kinds))
        per_kind = np.bincount(kinds, weights, minlength=len(self._class))
        classes = np.array(self._class, dtype=np.int64)
        counted = [(each.cpu, each.memory) for each in self._counted]
        asked = np.array(counted, dtype=np.float64).reshape(-1, 2)
        there = np.flatnonzero((per_kind > 0.0) & (classes >= 0))
        bare = np.flatnonzero((per_kind > 0.0) & (classes == _BARE))
        size, of, weight = len(self.keys), classes[there], per_kind[there]
        cpu, memory = asked[there, 0], asked[there, 1]
        total, cpus, memories = (
            np.bincount(of, each, minlength=size).astype(np.float64)
            for each in (weight, weight * cpu, weight * memory)
        )
        bare_sums = per_kind[bare] @ asked[bare] if len(bare) else np.zeros(2)
        pods = int(np.count_nonzero(classes[kinds] > _NOTHING_COUNTED)) if len(kinds) else 0
        return Sums(
            weight=total,
            cpu=cpus,
            memory=memories,
            told_cpu=_told(of, cpu, cpus, total),
            told_memory=_told(of, memory, memories, total),
            bare=(float(bare_sums[0]), float(bare_sums[1])),
            pods=pods,
        )

    def _as_groups(
        self, kinds: pod_history.Numbers, groups: pod_history.Numbers
    ) -> pod_history.Numbers:
        """What the pods ask where the oldest of a group asks for as many as one node can hold.

        The others ask nothing then. Where a node holds one of them only each counts for itself.
        """
        members = np.flatnonzero(groups >= 0)
        if not len(members):
            return kinds
        of = groups[members]
        size = np.bincount(of)
        oldest = np.full(len(size), -1, dtype=np.int64)
        oldest[of] = members  # the last one stays, which is the oldest
        known = np.flatnonzero(oldest >= 0)
        together = np.zeros(len(size), dtype=np.bool_)
        heads: list[tuple[int, int]] = []  # (place, what it asks for all)
        for group, head in zip(known.tolist(), oldest[known].tolist(), strict=True):
            alone = int(kinds[head])
            number = self._kind(self._wanted[alone][0], int(size[group]))
            if self._counts(number) > self._counts(alone) > 0:
                together[group] = True
                heads.append((head, number))
        found = kinds.copy()
        found[members[together[of]]] = self._kind(Wanted(None), 1)
        for head, number in heads:
            found[head] = number
        return found

    def _kind(self, wanted: Wanted, members: int) -> int:
        """The number of what so many pods ask together."""
        key = (wanted, members)
        number = self._kinds.get(key)
        if number is None:
            number = self._kinds[key] = len(self._wanted)
            self._wanted.append(key)
            self._class.append(_UNRESOLVED)
            self._counted.append(Wanted(None))
        return number

    def _counts(self, number: int) -> int:
        """Devices that what is asked counts for, 0 for none."""
        if self._class[number] == _UNRESOLVED:
            self._work_out(number)
        return self._counted[number].devices if self._class[number] >= 0 else 0

    def _resolve_all(self, kinds: pod_history.Numbers) -> None:
        self._late = False
        for number in np.unique(kinds).tolist():
            if self._class[number] == _UNRESOLVED:
                self._work_out(number)

    def _work_out(self, number: int) -> None:
        """Find how what is asked counts; it stays unresolved where that cannot be told yet."""
        try:
            found = self._resolve(*self._wanted[number])
        except LookupError:
            self._late = True
            return
        if found is None:
            self._class[number] = _NOTHING_COUNTED
            return
        self._counted[number] = found
        if found.ask is None or found.devices <= 0:
            self._class[number] = _BARE
            return
        key = (found.ask, found.devices, bucket(found.cpu, found.devices * found.share))
        if key not in self.keys:
            self.keys[key] = len(self.keys)
            self.shares.append(found.share)
        self._class[number] = self.keys[key]

    def _forget_kinds(self) -> None:
        """Number what pods ask anew: most of it is of pods that do not count any more."""
        kept = sorted(self.history.kinds())
        wanted = [self._wanted[number] for number in kept]
        self.history.renumber_kinds({number: place for place, number in enumerate(kept)})
        self._kinds = {key: place for place, key in enumerate(wanted)}
        self._wanted = wanted
        self._counted = [Wanted(None)] * len(wanted)
        self._class = [_UNRESOLVED] * len(wanted)
        self.keys, self.shares = {}, []


def _told(of: Ints, asked: Floats, sums: Floats, weight: Floats) -> Floats:
    """What a class is said to ask: the very figure where all its pods ask one, else about the mean.

    The mean moves with every pod, and each new figure has the room of all nodes counted anew.
    """
    least, most = np.full(len(weight), np.inf), np.zeros(len(weight))
    np.minimum.at(least, of, asked)
    np.maximum.at(most, of, asked)
    mean = np.divide(sums, weight, out=np.zeros_like(sums), where=weight > 0.0)
    step = math.log1p(_DRIFT)
    some = mean > 0.0
    about = np.zeros_like(mean)
    about[some] = np.exp(np.rint(np.log(mean[some]) / step) * step)
    found: Floats = np.where(least == most, most, about)
    return found


def bucket(cpu: float, gpus: float) -> int:
    """CPU per GPU asked, in powers of two: what decides whether idle GPUs can still be fed."""
    return round(math.log2(max(cpu / gpus, 1.0)))
