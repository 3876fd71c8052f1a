"""Where the slices of each pool are published: pools that span nodes are judged as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from extender.kube import objects

PoolId: TypeAlias = tuple[str, str]  # (driver, pool name)

# The place of a slice that names no node.
BEYOND = ""


class Places:
    """The slices by pool and place; almost every pool has one place, and costs nothing."""

    def __init__(self) -> None:
        # pool → node name or BEYOND → slice name → slice
        self._places: dict[PoolId, dict[str, dict[str, objects.ResourceSlice]]] = {}
        self._spread: set[PoolId] = set()  # pools with slices in several places

    def put(self, item: objects.ResourceSlice, *, remove: bool) -> None:
        """Take in a slice, or forget it."""
        pool, place = pool_of(item), item.spec.node_name or BEYOND
        places = self._places.setdefault(pool, {})
        here = places.setdefault(place, {})
        here.pop(item.metadata.name, None)
        if not remove:
            here[item.metadata.name] = item
        if not here:
            del places[place]
        if not places:
            del self._places[pool]
        (self._spread.add if len(places) > 1 else self._spread.discard)(pool)

    def elsewhere(
        self, node_name: str, own: Iterable[objects.ResourceSlice]
    ) -> Iterator[objects.ResourceSlice]:
        """Yield what other nodes have of the pools that this node has a part in."""
        if not self._spread:
            return
        mine = set(map(pool_of, own))
        for pool in self._spread:
            places = self._places[pool]
            if pool in mine or BEYOND in places:
                for place in places.keys() - {BEYOND, node_name}:
                    yield from places[place].values()

    def others(self, item: objects.ResourceSlice) -> set[str]:
        """The places besides its own that have a part of the slice's pool."""
        return self._places.get(pool_of(item), {}).keys() - {item.spec.node_name or BEYOND}


def pool_of(item: objects.ResourceSlice) -> PoolId:
    return (item.spec.driver, item.spec.pool.name)


def shown_elsewhere(item: objects.ResourceSlice | None) -> object:
    """What a slice tells nodes that have other parts of its pool; equal where nothing changed."""
    if item is None:
        return None
    spec = item.spec
    draws = [(d.name, d.consumes_counters) for d in spec.devices or () if d.consumes_counters]
    return (spec.driver, spec.pool, spec.node_name, spec.shared_counters, draws)
