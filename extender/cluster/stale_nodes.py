"""Which nodes are to be read anew for a change that is not theirs alone, a few at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

from extender.cluster import machines, relevant_fields, store

_FEW_VIEWERS = 64  # of a pool; their usage is counted in some ms, that of 5,000 nodes is not


class StaleRow(Protocol):
    """What is read of a row of the index."""

    @property
    def name(self) -> str: ...

    @property
    def machine(self) -> machines.Machine: ...


class StaleNodes:
    """Nodes whose rows rest on something shared that has changed since they were read.

    Those that are `due` would be answered by what was there before: a class, a taint rule, a pool
    of all nodes or the policy is another. The others have values that are apart by now in their
    shapes: their answers are right, but alone.
    """

    def __init__(self, builder: machines.Builder) -> None:
        self._builder = builder
        self._apart = builder.apart  # as it was when `_names` was filled
        self._names: dict[str, bool] = {}  # in the order in which they are read
        self._due: dict[str, bool] = {}  # node name → whether its hardware is to be read, too

    def __bool__(self) -> bool:
        return bool(self._names or self._due)

    @property
    def due(self) -> int:
        """How many nodes would be answered by what was there before."""
        return len(self._due)

    def unread(self) -> list[str]:
        """The nodes whose hardware may be other than their rows say."""
        return [name for name, hardware in self._due.items() if hardware]

    def mark_changes(
        self,
        source: store.ClusterStore,
        viewers: Mapping[store.PoolId, AbstractSet[str]],  # pool → nodes that see it
        *,
        rows: AbstractSet[str],  # nodes with a row
        unreadable: AbstractSet[str],  # nodes that could not be read, and may be now
    ) -> None:
        """Note which nodes the changes of what is shared concern; the store forgets them."""
        marked = source.marked
        if marked.everything_due:
            marked.due |= source.nodes.keys() | rows
        if marked.due_rules:
            # One look at each pool, however many rules there are.
            selected = {(selector.driver, selector.pool) for selector in marked.due_rules}
            marked.due |= unreadable
            for pool, nodes in viewers.items():
                if relevant_fields.is_selected(pool, by=selected):
                    marked.due |= nodes
        for pool in marked.dirty_pools:
            seen_by = viewers.get(pool, ())
            (marked.dirty if len(seen_by) <= _FEW_VIEWERS else marked.due_usage).update(seen_by)
        self.mark(marked.due_usage, hardware=False)
        self.mark(marked.due, hardware=True)
        marked.forget_shared()

    def mark(self, names: Iterable[str], *, hardware: bool) -> None:
        """Note nodes that are due; without `hardware` only what is used of them."""
        # Sorted: the order of a set differs from process to process, and states are numbered by it.
        for name in sorted(names):
            self._due[name] = hardware or self._due.get(name, False)

    def was_read(self, name: str, *, hardware: bool) -> None:
        """Note that the node was read for news of its own."""
        if hardware or not self._due.get(name, True):
            self._due.pop(name, None)

    def take(self, most: int, rows: Iterable[StaleRow | None]) -> dict[str, bool]:
        """At most so many nodes, and whether to read their hardware; they are stale no longer.

        `rows` are all there are.
        """
        builder = self._builder
        if builder.apart is not self._apart:
            self._apart = builder.apart
            found = (row for row in rows if row is not None)
            self._names = {row.name: True for row in found if builder.is_outdated(row.machine)}
        taken = dict(itertools.islice(self._due.items(), most))
        taken |= dict(itertools.islice(self._names.items(), most - len(taken)))
        for name in taken:
            self._due.pop(name, None)
            self._names.pop(name, None)
        return taken


def all_news(source: store.ClusterStore) -> list[str]:
    """Take all that the store has marked, for who has read nothing yet; the nodes, in their order.

    To read them one by one finds the same, and no turn looks through the marks of thousands.
    """
    names = sorted(source.marked.named)
    source.marked.forget()
    return names
