"""How the recent pods count: per class of demand, and those without devices."""

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
Key: TypeAlias = tuple[Hashable, int, int]  # unit, devices, CPU bucket

_KINDS_PER_POD = 2  # demands of pods that count no more are dropped beyond that
# Means are rounded to steps this wide, so that cached headroom of a class stays valid while its
# mean moves little. Buckets are a hundred times as wide.
_DRIFT = 0.02


class PodDemand(NamedTuple):
    """The demand of a pod, as observed or as it counts: `share` GPUs a device, `cpu`, `memory`.

    `unit` is the identity of the demand for one device, None for a pod without devices.
    """

    unit: Hashable | None
    devices: int = 0
    share: float = 1.0
    cpu: float = 0.0
    memory: float = 0.0


# (a pod's demand, members of its group) → how it counts, None as nothing. Raises LookupError where
# that is not known yet.
Resolve: TypeAlias = Callable[[PodDemand, int], PodDemand | None]
_BARE, _NOTHING_COUNTED, _UNRESOLVED = -1, -2, -3


@dataclasses.dataclass(frozen=True, slots=True)
class Sums:
    """What all pods that count add up to: per class, and those without devices."""

    weight: Floats
    cpu: Floats
    memory: Floats
    class_cpu: Floats
    class_memory: Floats
    bare: tuple[float, float]
    pods: int


class Tally:
    """Sums the pods' demands. How each counts (`resolve`) is decided when the sums are read."""

    def __init__(self, resolve: Resolve, *, most: int) -> None:
        self._resolve = resolve
        self.history = pod_history.PodHistory(most=most)
        self.keys: dict[Key, int] = {}  # class → number
        self.shares: list[float] = []  # class number → GPUs a device
        self._kinds: dict[tuple[PodDemand, int], int] = {}  # (demand, members) → number
        self._wanted: list[tuple[PodDemand, int]] = []  # number → the same
        self._class: list[int] = []  # number → number of its class, or one of the above
        self._counted: list[PodDemand] = []  # number → how it counts, where it does
        self._incomplete = False  # whether something stayed unresolved
        self._read: Sums | None = None  # computed since the last change
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
        self,
        uid: str,
        wanted: PodDemand,
        *,
        age: pod_history.Age | None,
        namespace: str,
        group: str,
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
        """How pods count may have changed: resolve all again."""
        self._class = [_UNRESOLVED] * len(self._class)
        self._read = None

    @property
    def unresolved(self) -> bool:
        """Whether some pods could not be resolved when this was read last."""
        return self._incomplete

    def sums(self) -> Sums:
        """What the pods that count add up to, computed once per change."""
        if self._read is None:
            found = self._summed()
            if self._incomplete:
                return found  # the next read may resolve more
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
        amounts = np.array(counted, dtype=np.float64).reshape(-1, 2)
        there = np.flatnonzero((per_kind > 0.0) & (classes >= 0))
        bare = np.flatnonzero((per_kind > 0.0) & (classes == _BARE))
        size, of, weight = len(self.keys), classes[there], per_kind[there]
        cpu, memory = amounts[there, 0], amounts[there, 1]
        total, cpus, memories = (
            np.bincount(of, each, minlength=size).astype(np.float64)
            for each in (weight, weight * cpu, weight * memory)
        )
        bare_sums = per_kind[bare] @ amounts[bare] if len(bare) else np.zeros(2)
        pods = int(np.count_nonzero(classes[kinds] > _NOTHING_COUNTED)) if len(kinds) else 0
        return Sums(
            weight=total,
            cpu=cpus,
            memory=memories,
            class_cpu=_stable_mean(of, cpu, cpus, total),
            class_memory=_stable_mean(of, memory, memories, total),
            bare=(float(bare_sums[0]), float(bare_sums[1])),
            pods=pods,
        )

    def _as_groups(
        self, kinds: pod_history.Numbers, groups: pod_history.Numbers
    ) -> pod_history.Numbers:
        """The demands where the oldest of a group stands for as many as one node can hold.

        The others count nothing then. Where a node holds only one of them each counts for itself.
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
        heads: list[tuple[int, int]] = []  # (position, demand number of all)
        for group, head in zip(known.tolist(), oldest[known].tolist(), strict=True):
            alone = int(kinds[head])
            number = self._kind(self._wanted[alone][0], int(size[group]))
            if self._counts(number) > self._counts(alone) > 0:
                together[group] = True
                heads.append((head, number))
        found = kinds.copy()
        found[members[together[of]]] = self._kind(PodDemand(None), 1)
        for head, number in heads:
            found[head] = number
        return found

    def _kind(self, wanted: PodDemand, members: int) -> int:
        """The number of the joint demand of so many pods."""
        key = (wanted, members)
        number = self._kinds.get(key)
        if number is None:
            number = self._kinds[key] = len(self._wanted)
            self._wanted.append(key)
            self._class.append(_UNRESOLVED)
            self._counted.append(PodDemand(None))
        return number

    def _counts(self, number: int) -> int:
        """Devices that a demand counts for, 0 for none."""
        if self._class[number] == _UNRESOLVED:
            self._resolve_kind(number)
        return self._counted[number].devices if self._class[number] >= 0 else 0

    def _resolve_all(self, kinds: pod_history.Numbers) -> None:
        self._incomplete = False
        for number in np.unique(kinds).tolist():
            if self._class[number] == _UNRESOLVED:
                self._resolve_kind(number)

    def _resolve_kind(self, number: int) -> None:
        """Decide how a demand counts; it stays unresolved where that is not known yet."""
        try:
            found = self._resolve(*self._wanted[number])
        except LookupError:
            self._incomplete = True
            return
        if found is None:
            self._class[number] = _NOTHING_COUNTED
            return
        self._counted[number] = found
        if found.unit is None or found.devices <= 0:
            self._class[number] = _BARE
            return
        key = (found.unit, found.devices, bucket(found.cpu, found.devices * found.share))
        if key not in self.keys:
            self.keys[key] = len(self.keys)
            self.shares.append(found.share)
        self._class[number] = self.keys[key]

    def _forget_kinds(self) -> None:
        """Renumber the demands: most are of pods that do not count any more."""
        kept = sorted(self.history.kinds())
        wanted = [self._wanted[number] for number in kept]
        self.history.renumber_kinds({number: position for position, number in enumerate(kept)})
        self._kinds = {key: position for position, key in enumerate(wanted)}
        self._wanted = wanted
        self._counted = [PodDemand(None)] * len(wanted)
        self._class = [_UNRESOLVED] * len(wanted)
        self.keys, self.shares = {}, []


def _stable_mean(of: Ints, amounts: Floats, sums: Floats, weight: Floats) -> Floats:
    """What a pod of a class requests: exact where all its pods agree, else about the mean.

    The mean moves with every pod, and each new value has the headroom of all nodes computed anew.
    """
    least, most = np.full(len(weight), np.inf), np.zeros(len(weight))
    np.minimum.at(least, of, amounts)
    np.maximum.at(most, of, amounts)
    mean = np.divide(sums, weight, out=np.zeros_like(sums), where=weight > 0.0)
    step = math.log1p(_DRIFT)
    some = mean > 0.0
    about = np.zeros_like(mean)
    about[some] = np.exp(np.rint(np.log(mean[some]) / step) * step)
    found: Floats = np.where(least == most, most, about)
    return found


def bucket(cpu: float, gpus: float) -> int:
    """CPU per GPU requested, in powers of two: decides whether CPU can still cover idle GPUs."""
    return round(math.log2(max(cpu / gpus, 1.0)))
