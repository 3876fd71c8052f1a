"""Which nodes the changes of objects concern, until the index has read them anew."""

from __future__ import annotations

from extender.cluster import pool_slices
from extender.kube.api import objects


class MarkedNodes:
    """What the store has marked since the index last settled.

    What concerns one node is read for the next request. What many nodes share marks them as due:
    these are read in turns, not all for one request.
    """

    def __init__(self) -> None:
        self.dirty: set[str] = set()  # names of nodes whose usage may have changed
        self.dirty_shapes: set[str] = set()  # names of nodes whose hardware may have changed
        self.dirty_pools: set[pool_slices.PoolId] = set()
        self.due: set[str] = set()  # names of nodes whose hardware may have changed
        self.due_usage: set[str] = set()
        self.due_rules: list[objects.DeviceTaintSelector] = []  # what changed rules select
        self.everything_due = False

    def __bool__(self) -> bool:
        now = self.dirty or self.dirty_shapes or self.dirty_pools
        return bool(now or self.due or self.due_usage or self.due_rules or self.everything_due)

    @property
    def named(self) -> set[str]:
        """The nodes that have changes of their own."""
        return self.dirty | self.dirty_shapes

    def forget_shared(self) -> None:
        """What many nodes share is noted elsewhere."""
        for marked in (self.due, self.due_usage, self.dirty_pools):
            marked.clear()
        self.due_rules.clear()
        self.everything_due = False

    def forget(self) -> None:
        """All of it is read."""
        self.dirty.clear()
        self.dirty_shapes.clear()
        self.forget_shared()
