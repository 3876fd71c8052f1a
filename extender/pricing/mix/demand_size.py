"""How many GPUs demands take, and whether any machine here could ever serve them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from extender.cluster import index
from extender.hardware.shape import Shape
from extender.pricing.mix import unit_size
from extender.verdicts import verdict_table
from extender.verdicts.query import Query, single_unit

_MOST_DEMANDS = 256  # of a burst, whose GPUs are cached
_MOST_UNITS = 4096  # whose GPUs are cached


class DemandSizes:
    """GPUs of units and of whole demands; 0 where no machine can serve one, or it takes none.

    A unit is sized by the first machine that serves it, in the order of node names, whichever
    node arrived first. `most_cpu` and `most_memory` are the most that any one
    node offers; infinite where no node says.
    """

    def __init__(
        self,
        cluster: index.TopologyIndex,
        table_of: Callable[[Query], verdict_table.VerdictTable],
        *,
        judges: Callable[[str], bool],
    ) -> None:
        self._judges = judges
        self._index = cluster
        self._table_of = table_of
        self.version = 0  # grows whenever a size may have changed
        self._machines: Sequence[Shape] = ()
        # The hardware, classes and resource names that all below was computed from.
        self._seen: tuple[int, int, frozenset[str]] = (-1, -1, frozenset())
        self._units: dict[Query, float] = {}  # unit → GPUs, where it takes some
        self._demands: dict[Query, float] = {}  # demand → GPUs in all, those that take some
        self.most_cpu = self.most_memory = math.inf

    @property
    def outdated(self) -> bool:
        """Whether there are other machines, or classes of devices, than when it was refreshed."""
        return self._seen != self._now()

    def _now(self) -> tuple[int, int, frozenset[str]]:
        source = self._index.store
        return self._index.hardware, source.classes_version, frozenset(source.offered)

    def refresh(self) -> None:
        """Read which machines there are."""
        if not self.outdated:
            return
        self.version += 1
        self._seen = self._now()
        found: dict[Shape, None] = {}  # by identity, in the order of node names
        cpu = memory = 0
        for name in sorted(self._index.rows):
            row = self._index.detail(name)
            if row is not None:
                found.setdefault(row.machine.shape)
                cpu, memory = max(cpu, row.cpu), max(memory, row.memory)
        self._machines = list(found)
        self.most_cpu, self.most_memory = cpu or math.inf, memory or math.inf
        self._units.clear()
        self._demands.clear()

    def of_unit(self, unit: Query) -> float:
        """GPUs that one unit takes."""
        self.refresh()
        size = self._units.get(unit, 0.0)
        if size == 0.0:
            size = unit_size.size(self._table_of(unit), self._index, self._machines)
            if size and len(self._units) < _MOST_UNITS:
                self._units[unit] = size
        return size

    def known(self, demand: Query) -> Query:
        """The demand without resources that no node offers and no class serves.

        They belong to another component, and filter ignores them as well.
        """
        kept = tuple((name, count) for name, count in demand.extended if self._judges(name))
        if kept == demand.extended:
            return demand
        names = {name for name, _ in kept}
        special = tuple(each for each in demand.special if each[0] in names)
        return dataclasses.replace(demand, extended=kept, special=special)

    def serves(self, demand: Query) -> bool:
        """Whether some machine could serve all of the demand, were it empty."""
        return unit_size.served(self._table_of(demand), self._index, self._machines)

    def of(self, demand: Query) -> float:
        """GPUs that the demand takes in all."""
        self.refresh()
        found = self._demands.get(demand, 0.0)
        if not found:
            unit, count = single_unit(demand)
            found = self.of_unit(unit) * count
            if found and len(self._demands) < _MOST_DEMANDS:
                self._demands[demand] = found
        return found
