"""Which nodes see which pools, and whose own counter pools are broken."""

from __future__ import annotations

from extender.cluster import machines, store
from extender.hardware.dra import slices
from extender.hardware.shape import Broken


class PoolVisibility:
    """What follows for other nodes from the machines that were read."""

    def __init__(self) -> None:
        self.viewers: dict[store.PoolId, set[str]] = {}  # pool → nodes that see it
        self._broken: dict[str, Broken] = {}  # node → how its own counter pools are broken

    @property
    def worst(self) -> Broken | None:
        """How the worst counter pool of a node alone is broken."""
        return slices.worst(self._broken.values())

    def see(self, name: str, old: machines.Machine | None, new: machines.Machine | None) -> None:
        """Note that the node's machine is another, or gone."""
        for pool in old.pool_names if old else ():
            nodes = self.viewers.get(pool)
            if nodes is not None:
                nodes.discard(name)
                if not nodes:
                    del self.viewers[pool]
        for pool in new.pool_names if new else ():
            self.viewers.setdefault(pool, set()).add(name)
        self._broken.pop(name, None)
        if new is not None and new.broken is not None:
            self._broken[name] = new.broken
