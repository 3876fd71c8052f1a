"""Which machines have GPUs that are partitioned, and which demands are for a partition."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.cluster.states import States
from extender.hardware import gpu_count
from extender.hardware.shape import Shape
from extender.pricing import placement_counts
from extender.pricing.mig import placements
from extender.pricing.mix.demand_mix import DemandClasses, Floats
from extender.verdicts.query import Query, describe

_MOST_ASKS = 16  # the heaviest; a look at a board is a matrix of them


@dataclasses.dataclass(frozen=True, slots=True)
class PartitionUnits:
    """The asks that are cut from boards, and what they are to the mix."""

    asks: tuple[Query, ...]
    weight: Floats  # how likely the next partition is this one; their sum is 1
    price: Floats  # GPUs that one legal placement is worth
    cpu: Floats  # what a pod of it needs at least
    memory: Floats

    @classmethod
    def none(cls) -> PartitionUnits:
        empty = np.zeros(0)
        return cls((), empty, empty, empty, empty)


class PartitionedGpus:
    """The boards of the machines that the cluster has had."""

    def __init__(
        self, cluster: index.TopologyIndex, counted: placement_counts.PlacementCounts
    ) -> None:
        self._index = cluster
        self._counts = counted
        self._states = States()
        self._seen = 0  # of the shapes numbered, how many were looked at
        self._of: dict[
            Shape, tuple[placements.PartitionedGpu, ...]
        ] = {}  # by identity; those with any

    def __bool__(self) -> bool:
        return bool(self._of)

    def __iter__(self) -> Iterator[Shape]:
        """The machines that have any."""
        return iter(self._of)

    @property
    def most(self) -> int:
        """Boards of the machine that has most."""
        return max(map(len, self._of.values()), default=0)

    def renew(self) -> None:
        """Know the machines that are new."""
        states = self._index.states
        if states is not self._states:
            self._states, self._seen = states, 0
            self._of.clear()
        for hardware in states.shapes[self._seen :]:
            found = placements.partitioned_gpus(hardware)
            if found:
                self._of[hardware] = found
        self._seen = len(states.shapes)

    def of(self, hardware: Shape) -> tuple[placements.PartitionedGpu, ...]:
        """The boards of a machine in the allocator's order."""
        return self._of.get(hardware, ())

    def suits(self, hardware: Shape, asks: tuple[Query, ...]) -> tuple[tuple[int, ...], ...]:
        """Per board of a machine, and ask: the devices that serve it, as bits."""
        served = [self._serving(ask, hardware) for ask in asks]
        return tuple(
            tuple(boards[number][1] if boards else 0 for boards in served)
            for number in range(len(self.of(hardware)))
        )

    def sharing(self, classes: DemandClasses) -> NDArray[np.bool_]:
        """The classes of one device that is cut from a board: they take each other's room."""
        cut = np.array([self._is_cut(ask) for ask in classes.asks], dtype=np.bool_)
        found: NDArray[np.bool_] = cut[classes.ask] & (classes.count == 1)
        return found

    def asks(self, classes: DemandClasses, prices: Floats) -> PartitionUnits:
        """The asks that are cut from boards, with their share of the mix and their price."""
        weight, price = np.zeros(len(classes.asks)), np.zeros(len(classes.asks))
        np.add.at(weight, classes.ask, classes.weight)
        np.add.at(price, classes.ask, prices * classes.share)
        chosen = [
            place
            for place in np.argsort(-weight, kind="stable").tolist()
            if self._is_cut(classes.asks[place])
        ][:_MOST_ASKS]
        chosen.sort()  # so that equal asks stand in one order, whatever they weigh today
        least = [np.flatnonzero(classes.ask == place) for place in chosen]
        total = float(weight[chosen].sum())
        return PartitionUnits(
            asks=tuple(ask for ask in (classes.asks[p] for p in chosen) if isinstance(ask, Query)),
            weight=weight[chosen] / total if total else weight[chosen],
            price=price[chosen],
            cpu=np.array([classes.cpu[those].min() for those in least]),
            memory=np.array([classes.memory[those].min() for those in least]),
        )

    def name(self, ask: Query) -> str:
        """What people call it: the profile of a device that serves it, where it has one."""
        for hardware in self._of:
            for board, suits in self._serving(ask, hardware):
                if suits:
                    first = board.devices[(suits & -suits).bit_length() - 1]
                    return gpu_count.profile(hardware.devices[first]) or describe(ask)
        return describe(ask)

    def _is_cut(self, ask: object) -> bool:
        return any(self._serving(ask, hardware) for hardware in self._of)

    def _serving(
        self, ask: object, hardware: Shape
    ) -> tuple[tuple[placements.PartitionedGpu, int], ...]:
        """The boards of the shape with their devices that serve the ask; none if it draws none."""
        plan = self._counts.plan(ask, hardware) if isinstance(ask, Query) else None
        return plan.boards if plan is not None else ()
