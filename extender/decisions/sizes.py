"""How many GPUs demands take: known once a machine here can serve them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from extender.cluster import index
from extender.decisions import tables, units
from extender.decisions.question import Question, single

_MOST_DEMANDS = 256  # of a burst, whose GPUs are remembered


class Sizes:
    """GPUs of units and of whole demands; 0 where no machine can serve one, or it takes none."""

    def __init__(
        self, cluster: index.TopologyIndex, table_of: Callable[[Question], tables.Table]
    ) -> None:
        self._index = cluster
        self._table_of = table_of
        self._units: dict[Question, float] = {}  # unit ask → GPUs, those that take some
        self._demands: dict[Question, float] = {}  # demand → GPUs in all, those that take some

    def of_unit(self, unit: Question) -> float:
        """GPUs that one unit takes."""
        size = self._units.get(unit, 0.0)
        if size == 0.0:
            size = units.size(self._table_of(unit), self._index)
            if size:
                self._units[unit] = size
        return size

    def of(self, demand: Question) -> float:
        """GPUs that the demand takes in all."""
        found = self._demands.get(demand, 0.0)
        if not found:
            unit, count = single(demand)
            found = self.of_unit(unit) * count
            if found and len(self._demands) < _MOST_DEMANDS:
                self._demands[demand] = found
        return found

    def whole(self) -> Iterator[Question]:
        """The units that take one GPU each."""
        return (unit for unit, size in self._units.items() if size == 1.0)
