"""Racks and NVLink domains of which nothing is in use, for jobs that want one whole."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Generator, Hashable, Iterable, Mapping

from extender.kube.api import objects
from extender.pools import node_pools

RACK, NVLINK_DOMAIN = "rack", "NVLink domain"
KINDS = (RACK, NVLINK_DOMAIN)
_LABELS = {kind: node_pools.labels_of(kind) for kind in KINDS}
_TURN = 16  # domains counted before others get their turn


@dataclasses.dataclass(slots=True)
class _Domain:
    whole: bool = True
    nodes: Counter[Hashable] = dataclasses.field(default_factory=Counter)  # owner → nodes there


class TopologyDomains:
    """Collects the nodes with GPUs, and then tells how many domains each owner has, and has left.

    An owner is whatever nodes are distinguished by. A domain across several belongs to the one with
    most of its nodes, and is whole only if nothing of any of them is held.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], _Domain] = {}  # (kind, name) → the domain

    def add(self, node: objects.Node, owner: Hashable, *, untouched: bool) -> None:
        """Count a node; `untouched`: pods may go there and none holds any of its GPUs."""
        labels = node.metadata.labels or {}
        for kind in KINDS:
            name = next((labels[each] for each in _LABELS[kind] if labels.get(each)), "")
            if name:
                domain = self._found.setdefault((kind, name), _Domain())
                domain.whole &= untouched
                domain.nodes[owner] += 1

    def counted(self) -> Generator[None, None, dict[Hashable, dict[str, tuple[int, int]]]]:
        """Owner → kind → (whole ones, all of them), in turns; nothing where no label names any."""
        found: dict[Hashable, dict[str, tuple[int, int]]] = {}
        for number, ((kind, _), domain) in enumerate(self._found.items()):
            owner = max(domain.nodes, key=lambda each: (domain.nodes[each], repr(each)))
            kinds = found.setdefault(owner, {})
            whole, there = kinds.get(kind, (0, 0))
            kinds[kind] = whole + domain.whole, there + 1
            if number % _TURN == 0:
                yield
        return found


def added(parts: Iterable[Mapping[str, tuple[int, int]]]) -> dict[str, tuple[int, int]]:
    """The sums of several owners' domains by kind."""
    found: dict[str, tuple[int, int]] = {}
    for part in parts:
        for kind, (whole, there) in part.items():
            before = found.get(kind, (0, 0))
            found[kind] = before[0] + whole, before[1] + there
    return found
