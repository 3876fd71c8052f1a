"""What kube-scheduler counts of each node, as arrays: amounts in use, and who may go where.

The filters are those of `node_filters`; amounts of all nodes are compared at once, and what taints,
selectors and affinity say is kept per kind of pod, for thousands of pods are of a few kinds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from extender.cluster import relevant_fields, store
from extender.decisions.explanation import in_tree_filters
from extender.demand import pod as pods
from extender.kube.api import objects, quantity
from extender.simulation import in_tree

Amounts = NDArray[np.int64]
_UNLIMITED = np.int64(1) << 62  # of pods, where a node does not say how many it takes
# What NodeResourcesFit scores a container by that requests nothing (GetNonzeroRequests): milli CPU,
# and bytes.
_LEAST_CPU, _LEAST_MEMORY = 100, 200 << 20


class NodeAmounts:
    """Amounts by resource; arrays are parallel to `names`."""

    def __init__(self, source: store.ClusterStore) -> None:
        self._store = source
        self.names: list[str] = sorted(source.nodes)
        self._row = {name: row for row, name in enumerate(self.names)}
        self._all: dict[str, Amounts] = {}  # resource → allocatable
        self._used: dict[str, Amounts] = {}  # resource → requested by the pods there
        self._scored = {name: self._zeros() for name in ("cpu", "memory")}  # as scores count it
        self._masks: dict[bytes, NDArray[np.bool_]] = {}  # kind of pod → nodes that admit it
        for on in source.pods_on.values():
            for pod in on.values():
                if pod.status.phase not in relevant_fields.FINISHED:
                    self.add(pod, pod.spec.node_name)

    def names_of(self, rows: NDArray[np.int64]) -> list[str]:
        """The names of these rows, in their order."""
        if len(rows) == len(self.names):
            return self.names
        return [self.names[row] for row in rows.tolist()]

    def rows_of(self, names: Sequence[str]) -> NDArray[np.int64]:
        """The rows of these names, in their order."""
        return np.fromiter(map(self._row.__getitem__, names), dtype=np.int64, count=len(names))

    def add(self, pod: objects.Pod, node: str, sign: int = 1) -> None:
        """Count a pod on its node; `sign` -1 takes it away."""
        row = self._row.get(node)
        if row is None:
            return
        for name, amount in amounts_of(pod).items():
            self._column(self._used, name)[row] += sign * amount
        cpu, memory = scored(pod)
        self._scored["cpu"][row] += sign * cpu
        self._scored["memory"][row] += sign * memory

    def admitted(self, pod: objects.Pod, judged: Collection[str]) -> NDArray[np.bool_]:
        """Which nodes pass kube-scheduler's own filters; `judged` are resources judged by us."""
        found = self._admitted(pod).copy()
        filters = in_tree_filters.InTreeFilters(pod, self._store, judged)
        for name, amount in filters.wanted().items():
            found &= self._free(name) >= amount
        return found

    def scores(self, pod: objects.Pod, rows: NDArray[np.int64], kubernetes: str) -> NDArray[Any]:
        """The in-tree resource scores of these nodes."""
        whole = {name: self._offers(name)[rows] for name in ("cpu", "memory")}
        asked = dict(zip(("cpu", "memory"), scored(pod), strict=True))
        free = {name: whole[name] - self._scored[name][rows] for name in whole}
        parts = [
            (np.maximum(whole[name], 1), np.maximum(free[name], asked[name]), asked[name])
            for name in ("cpu", "memory")
        ]
        return in_tree.scores(parts[0], parts[1], kubernetes)

    def _free(self, name: str) -> Amounts:
        return self._offers(name) - self._column(self._used, name)

    def _offers(self, name: str) -> Amounts:
        known = self._all.get(name)
        if known is None:
            known = self._all[name] = self._zeros()
            for row, node in enumerate(self.names):
                known[row] = _offer(self._store.nodes[node], name)
        return known

    def _column(self, table: dict[str, Amounts], name: str) -> Amounts:
        known = table.get(name)
        if known is None:
            known = table[name] = self._zeros()
        return known

    def _zeros(self) -> Amounts:
        return np.zeros(len(self.names), dtype=np.int64)

    def _admitted(self, pod: objects.Pod) -> NDArray[np.bool_]:
        spec = pod.spec
        affinity = spec.affinity.node_affinity if spec.affinity is not None else None
        key = msgspec.json.encode((spec.tolerations, spec.node_selector, affinity))
        known = self._masks.get(key)
        if known is None:
            filters = in_tree_filters.InTreeFilters(pod, self._store)
            known = self._masks[key] = np.array(
                [not filters.refusals(self._store.nodes[name]) for name in self.names], dtype=bool
            )
        return known


def amounts_of(pod: objects.Pod) -> dict[str, int]:
    """What the pod takes of its node, itself included; a malformed quantity takes nothing."""
    try:
        return {**pods.amounts_of(pod), "pods": 1}
    except ValueError:
        return {"pods": 1}


def scored(pod: objects.Pod) -> tuple[int, int]:
    """CPU in milli and memory in bytes as scores count them: no container asks for nothing."""
    amounts = amounts_of(pod)
    containers = pod.spec.containers or ()
    missing = {"cpu": 0, "memory": 0}
    for container in containers:
        given = {**(container.resources.limits or {}), **(container.resources.requests or {})}
        for name in missing:
            missing[name] += name not in given
    return (
        amounts.get("cpu", 0) + missing["cpu"] * _LEAST_CPU,
        amounts.get("memory", 0) + missing["memory"] * _LEAST_MEMORY,
    )


def _offer(node: objects.Node, name: str) -> int:
    offers = node.status.allocatable or {}
    if name == "pods" and name not in offers:
        return int(_UNLIMITED)
    try:
        amount = offers.get(name, 0)
        return quantity.milli(amount) if name == "cpu" else quantity.whole(amount)
    except ValueError:
        return 0
