"""What pods request here, learnt online: demand classes with decaying weights.

Source: scarcity prices (loadtests/quality/packing.py measures it): on each new pod every weight
decays by 1 - 1/H and the pod's class gains 1/H. Pods without devices decay the mix too, so a weight
is a share of all pods. The mix is a function of the set of pods observed alone, in the order they
were created: no clock, no randomness, so replicas that observed the same pods agree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from extender.pricing.mix import pod_history, tally

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
# A class: index of its unit, devices a pod, GPUs a device, CPU, memory, weight
_Column = tuple[int, int, float, float, float, float]

WHOLE_GPU = "GPU"  # the unit of any GPU that nobody holds a part of

HORIZON = 2000  # pods; from 1000 up the measured allocation does not depend on it
MOST_CLASSES = 128  # 32 are needed on openb's mixes; model sets multiply them
MOST_UIDS = 20_000  # ten horizons: a pod forgotten later than that weighs nothing
NAMESPACE_SHARE = 0.5  # the most that one namespace's newest pods weigh beside others'


@dataclasses.dataclass(frozen=True, slots=True)
class DemandClasses:
    """The mix as columns, one entry a class, in order of first appearance.

    `units` are the distinct demands for *one device* and `unit` says which one a class has: classes
    that differ in CPU or in the number of devices share the costly device part. `count` devices a
    pod, `share` GPUs a device (1.0 is a whole GPU), `cpu` and `memory` a pod in the caller's
    units, `weight` the share of recent pods.
    """

    units: tuple[Hashable, ...]
    unit: Ints
    count: Floats
    share: Floats
    cpu: Floats
    memory: Floats
    weight: Floats

    @property
    def size(self) -> Floats:
        """GPUs of one pod of the class."""
        return self.count * self.share

    @staticmethod
    def none() -> DemandClasses:
        """No classes."""
        empty = np.zeros(0)
        return DemandClasses((), empty.astype(np.int64), *([empty] * 5))

    def take(self, columns: Ints) -> DemandClasses:
        """These classes alone, by the same units."""
        return DemandClasses(
            units=self.units,
            unit=self.unit[columns],
            count=self.count[columns],
            share=self.share[columns],
            cpu=self.cpu[columns],
            memory=self.memory[columns],
            weight=self.weight[columns],
        )

    def differing(self, older: DemandClasses) -> npt.NDArray[np.bool_]:
        """Which classes demand something else than the class of the same column in `older`.

        Weights do not matter: they change with every pod, and what a node can give does not.
        """
        both = min(len(self.weight), len(older.weight))
        differs = np.ones(len(self.weight), dtype=np.bool_)
        mine, theirs = self.unit[:both].tolist(), older.unit[:both].tolist()
        differs[:both] = [
            self.units[unit] is not older.units[other]
            for unit, other in zip(mine, theirs, strict=True)
        ]
        for name in ("count", "share", "cpu", "memory"):
            differs[:both] |= getattr(self, name)[:both] != getattr(older, name)[:both]
        return differs


@dataclasses.dataclass(frozen=True, slots=True)
class MeanDemand:
    """What all recent pods requested, as weighted sums: only their proportions have a meaning.

    `pods` were observed in all; `gpus`, `cpu` and `memory` are of those with devices, `bare_cpu`
    and `bare_memory` of the others.
    """

    pods: int
    gpus: float
    cpu: float
    memory: float
    bare_cpu: float
    bare_memory: float


@dataclasses.dataclass(frozen=True, slots=True)
class _ReservedClass:
    """A declared size: its class's least weight, and its pods' request until one is observed."""

    share: float = 1.0
    weight: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0


_NOTHING = _ReservedClass()


class DemandMix:
    """Demand classes of the pods observed of late, at most `most_classes`, the heaviest ones.

    A pod's demand is kept as observed, and how it counts (`resolve`) is decided when the mix is
    read: it may change with the machines there are (`unresolve`). So nothing depends on the order
    in which pods, claims and nodes arrived.

    A declared (reserved) size is a class whose weight never falls below the given one. Whole
    machines (`reserve_machines`) have a weight until pods of their size are observed.
    """

    def __init__(
        self,
        *,
        horizon: float = HORIZON,
        most_classes: int = MOST_CLASSES,
        most_uids: int = MOST_UIDS,
        namespace_share: float = NAMESPACE_SHARE,
        resolve: tally.Resolve = lambda wanted, _: wanted,
    ) -> None:
        self._most_classes = most_classes
        self._tally = tally.Tally(resolve, most=most_uids)
        self._slots: list[tally.Key] = []  # the classes returned last, each in its column
        self._reserved: dict[tally.Key, _ReservedClass] = {}  # class → declared size
        self._machines: dict[int, float] = {}  # GPUs of a machine → least share of the mix
        self.configure(horizon=horizon, namespace_share=namespace_share)

    @property
    def seen(self) -> int:
        """How many pods were observed."""
        return self._tally.history.seen

    def configure(self, *, horizon: float, namespace_share: float = NAMESPACE_SHARE) -> None:
        """Look back on that many pods from now on, and keep no size that was declared before.

        `namespace_share` is the most that the newest pods of one namespace weigh of all.
        """
        self._tally.configure(horizon=horizon, namespace_share=namespace_share)
        self._reserved.clear()

    def learn(
        self,
        uid: str,
        unit: Hashable | None,
        *,
        count: int = 0,
        share: float = 1.0,
        cpu: float = 0.0,
        memory: float = 0.0,
        age: pod_history.Age | None = None,
        namespace: str = "",
        group: str = "",
    ) -> bool:
        """Count one pod; false where it was counted before.

        `unit` is the identity of the demand for one device (equal units take equal devices), None
        for a pod without devices. `count` and `share` size it in devices and GPUs a device; `cpu`
        is in thousandths, `memory` in any one unit. `age` sorts pods, the oldest first; without
        one it is the newest. Of a `group` the oldest pod counts for all.
        """
        wanted = tally.PodDemand(unit if count > 0 else None, count, share, cpu, memory)
        return self._tally.learn(uid, wanted, age=age, namespace=namespace, group=group)

    def unresolve(self) -> None:
        """How pods count may have changed: resolve all again."""
        self._tally.unresolve()

    @property
    def unresolved(self) -> bool:
        """Whether some pods could not be resolved when the mix was read last."""
        return self._tally.unresolved

    def forget_reserved(self) -> None:
        """Keep no size that was declared before."""
        self._reserved.clear()

    def reserve(
        self,
        unit: Hashable,
        *,
        count: int,
        share: float,
        cpu: float,
        memory: float,
        weight: float,
    ) -> None:
        """Keep a size that may never have been observed: its class weighs at least `weight`."""
        key = (unit, count, tally.bucket(cpu, count * share))
        self._reserved[key] = _ReservedClass(share=share, weight=weight, cpu=cpu, memory=memory)

    def whole_gpu_units(self) -> list[Hashable]:
        """The units of one whole GPU among the classes that count."""
        sums = self._tally.sums()
        found = {
            key[0]: None
            for key, number in self._tally.keys.items()
            if self._tally.shares[number] == 1.0 and sums.weight[number] > 0.0
        }
        return list(found)

    def mean_demand(self) -> MeanDemand:
        """What recent pods requested, declared and reserved classes left out."""
        sums = self._tally.sums()
        sizes = np.array(
            [key[1] * self._tally.shares[number] for key, number in self._tally.keys.items()]
        )
        return MeanDemand(
            pods=sums.pods,
            gpus=float(sums.weight @ sizes) if len(sizes) else 0.0,
            cpu=float(sums.cpu.sum()),
            memory=float(sums.memory.sum()),
            bare_cpu=sums.bare[0],
            bare_memory=sums.bare[1],
        )

    def reserve_machines(self, machines: Mapping[int, float]) -> None:
        """Reserve headroom for pods that fill a machine, even if none of them was observed.

        `machines`: GPUs of a machine → the least share of all GPUs requested that pods of its size
        have. The more of them are observed the less is added; nothing from that share on.
        """
        self._machines = dict(machines)

    def classes(self) -> DemandClasses:
        """The mix now, as columns; reserved machines are last."""
        sums = self._tally.sums()
        self._assign_slots(sums)
        units: dict[Hashable, int] = {}  # unit → its index
        columns: list[_Column] = []
        for key in self._slots:
            number = self._tally.keys.get(key, -1)
            seen = float(sums.weight[number]) if 0 <= number < len(sums.weight) else 0.0
            held = self._reserved.get(key, _NOTHING)
            unit = units.setdefault(key[0], len(units))
            share = self._tally.shares[number] if number >= 0 else held.share
            cpu = float(sums.class_cpu[number]) if seen else held.cpu
            memory = float(sums.class_memory[number]) if seen else held.memory
            columns.append((unit, key[1], share, cpu, memory, max(seen, held.weight)))
        if columns and self._machines:
            whole = units.setdefault(WHOLE_GPU, len(units))
            for gpus, weight in self._unseen(columns):
                columns.append((whole, gpus, 1.0, 0.0, 0.0, weight))
        table = np.array(columns, dtype=np.float64).reshape(-1, 6)
        return DemandClasses(
            units=tuple(units),
            unit=table[:, 0].astype(np.int64),
            count=table[:, 1],
            share=table[:, 2],
            cpu=table[:, 3],
            memory=table[:, 4],
            weight=table[:, 5],
        )

    def _assign_slots(self, sums: tally.Sums) -> None:
        """Give each class that is returned a column; those that had one keep it."""
        weights = sums.weight.tolist()
        heaviest = sorted(
            (key for key, number in self._tally.keys.items() if weights[number] > 0.0),
            key=lambda key: -weights[self._tally.keys[key]],
        )
        left = max(self._most_classes - len(self._reserved), 0)
        kept = {key: None for key in heaviest if key not in self._reserved}
        kept = dict.fromkeys([*list(kept)[:left], *self._reserved])
        old = set(self._slots)
        new = iter([key for key in self._tally.keys if key in kept and key not in old])
        fresh = [
            *new,
            *(key for key in self._reserved if key not in self._tally.keys and key not in old),
        ]
        coming = iter(fresh)
        slots = [key if key in kept else next(coming, None) for key in self._slots]
        self._slots = [key for key in [*slots, *coming] if key is not None]

    def _unseen(self, columns: Sequence[_Column]) -> list[tuple[int, float]]:
        """The weight that each reserved machine size still lacks, 0 where enough was observed."""
        requested = 0.0
        seen: dict[float, float] = {}  # GPUs a pod → weight
        for _, count, share, _, _, weight in columns:
            size = count * share
            requested += weight * size
            seen[size] = seen.get(size, 0.0) + weight
        return [
            (gpus, max(least * requested / gpus - seen.get(gpus, 0.0), 0.0))
            for gpus, least in self._machines.items()
        ]
