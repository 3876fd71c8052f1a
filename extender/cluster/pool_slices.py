"""Where the slices of each pool are published: pools that span nodes are judged as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from extender.kube.api import condensed_devices, objects

PoolId: TypeAlias = tuple[str, str]  # (driver, pool name)

# The place of a slice that names no node.
NO_NODE = ""


class PoolSlices:
    """The slices by pool and place; almost every pool has one place, and costs nothing.

    A pool of many nodes must not cost each of them a look at all its slices: where no counters
    are shared, it is enough to know how many slices of each generation the others have.
    """

    def __init__(self) -> None:
        # pool → node name or BEYOND → slice name → slice
        self._by_node: dict[PoolId, dict[str, dict[str, objects.ResourceSlice]]] = {}
        self._generations: dict[PoolId, Counter[int]] = {}  # pool → generation → slices
        self._counting: Counter[PoolId] = Counter()  # pool → slices with counters
        self._spread: set[PoolId] = set()  # pools with slices on several nodes

    def put(self, item: objects.ResourceSlice) -> None:
        """Take in a slice whose earlier form, if any, was removed."""
        pool, node = pool_of(item), item.spec.node_name or NO_NODE
        by_node = self._by_node.setdefault(pool, {})
        by_node.setdefault(node, {})[item.metadata.name] = item
        self._generations.setdefault(pool, Counter())[item.spec.pool.generation] += 1
        self._counting[pool] += _counts(item)
        if len(by_node) > 1:
            self._spread.add(pool)

    def remove(self, item: objects.ResourceSlice) -> None:
        pool, node = pool_of(item), item.spec.node_name or NO_NODE
        by_node = self._by_node[pool]
        del by_node[node][item.metadata.name]
        self._generations[pool][item.spec.pool.generation] -= 1
        self._counting[pool] -= _counts(item)
        if not by_node[node]:
            del by_node[node]
        if len(by_node) <= 1:
            self._spread.discard(pool)
        if not by_node:
            del self._by_node[pool], self._generations[pool], self._counting[pool]

    def elsewhere(
        self, node_name: str, own: Iterable[objects.ResourceSlice]
    ) -> Iterator[objects.ResourceSlice]:
        """Yield what other nodes have of this node's pools that share counters."""
        for pool in self._shared_with(own):
            if self._counting[pool]:
                by_node = self._by_node[pool]
                for node in by_node.keys() - {NO_NODE, node_name}:
                    yield from by_node[node].values()

    def counts(
        self, node_name: str, own: Iterable[objects.ResourceSlice]
    ) -> dict[PoolId, Mapping[int, int]]:
        """How many slices of each generation other nodes have of this node's other pools."""
        found: dict[PoolId, Mapping[int, int]] = {}
        for pool in self._shared_with(own):
            if not self._counting[pool]:
                by_node = self._by_node[pool]
                seen = (*by_node.get(node_name, {}).values(), *by_node.get(NO_NODE, {}).values())
                found[pool] = self._generations[pool] - Counter(
                    item.spec.pool.generation for item in seen
                )
        return found

    def others(self, item: objects.ResourceSlice) -> set[str]:
        """The places besides its own that have a part of the slice's pool."""
        return self._by_node.get(pool_of(item), {}).keys() - {item.spec.node_name or NO_NODE}

    def _shared_with(self, own: Iterable[objects.ResourceSlice]) -> Iterator[PoolId]:
        """Yield the pools of several places that a node with these slices has a part in."""
        if self._spread:
            mine = set(map(pool_of, own))
            yield from (p for p in self._spread if p in mine or NO_NODE in self._by_node[p])


def pool_of(item: objects.ResourceSlice) -> PoolId:
    return (item.spec.driver, item.spec.pool.name)


def shown_elsewhere(item: objects.ResourceSlice | None) -> object:
    """What a slice tells nodes that have other parts of its pool; equal where nothing changed."""
    if item is None:
        return None
    spec = item.spec
    devices = condensed_devices.alike(spec.devices)
    draws = [(d.name, d.consumes_counters) for d in devices if d.consumes_counters]
    return (spec.driver, spec.pool, spec.node_name, spec.shared_counters, draws)


def _counts(item: objects.ResourceSlice) -> bool:
    return bool(item.spec.shared_counters) or any(
        device.consumes_counters for device in condensed_devices.alike(item.spec.devices)
    )
