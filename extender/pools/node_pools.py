"""Where each node belongs: its pool, its group within the pool, and whether pods may go there.

A pool is what the node's labels call one (node pools of the clouds and of Karpenter), else the
nodes with the same GPU product, however each node spells it. A group is the nearest network domain
that a label names: NVLink domain, rack or leaf switch, block, zone. Large groups are cut into
blocks, so that a map of any cluster is made of pieces that fit a phone.
"""

from __future__ import annotations

import dataclasses
import heapq
import re
from collections.abc import Generator, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.hardware.shape import Kind, Shape
from extender.kube.api import objects

_POOL_LABELS = (
    *("cloud.google.com/gke-nodepool", "eks.amazonaws.com/nodegroup", "karpenter.sh/nodepool"),
    *("kubernetes.azure.com/agentpool", "doks.digitalocean.com/node-pool"),
    *("node.kubernetes.io/pool", "node-pool"),
)
# The nearest first: label, and what its value names.
_GROUP_LABELS = (
    ("nvidia.com/gpu.clique", "NVLink domain"),
    ("network.topology.nvidia.com/accelerator", "NVLink domain"),
    ("topology.kubernetes.io/rack", "rack"),
    ("rack", "rack"),
    ("network.topology.nvidia.com/leaf", "leaf switch"),
    ("cloud.google.com/gce-topology-subblock", "sub-block"),
    ("cloud.google.com/gce-topology-block", "block"),
    ("topology.k8s.aws/network-node-layer-3", "network node"),
    ("topology.kubernetes.io/zone", "zone"),
    ("failure-domain.beta.kubernetes.io/zone", "zone"),
)
NO_GPUS = "No GPUs"
UNNAMED = "GPUs of an unknown model"
_NOT_LABELLED = "all nodes"
BLOCK = 64  # nodes of one piece of a map: eight rows of eight
_MOST_TITLE = 18  # characters above a block
_CHUNK = 256  # nodes worked on before others get their turn
_TURN = 16
_DIGITS = re.compile(r"\d+")


@dataclasses.dataclass(frozen=True, slots=True)
class NodeLocation:
    """Where one node is. `problems` say why kube-scheduler passes over it, in words."""

    pool: str
    group: str = _NOT_LABELLED
    kind: str = "group"  # what the group is: "rack", "zone", …
    problems: tuple[str, ...] = ()
    product: str = ""  # as the node or its driver spells it


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Block:
    """At most 64 nodes of one group, in the order of their names; `rows` are the index's."""

    pool: str
    group: str
    kind: str
    title: str
    names: tuple[str, ...]
    rows: NDArray[np.int64]
    page: int  # of its group, from 1


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class NodePool:
    """A pool: `slug` names it in addresses, `rows` are those of all its blocks.

    `spellings` are the GPU products of its nodes, as these spell them.
    """

    slug: str
    title: str
    blocks: tuple[Block, ...]
    rows: NDArray[np.int64]
    spellings: tuple[str, ...] = ()

    @property
    def ends(self) -> tuple[str, str]:
        """The names of the first node and of the last one."""
        return self.blocks[0].names[0], self.blocks[-1].names[-1]


def location_of(node: objects.Node, product: str, title: str = "") -> NodeLocation:
    """Read the node's labels; `product` is the GPU product of its machine, empty if none.

    `title` is what a pool of such GPUs is called, where that is not the product as it is spelt.
    """
    labels = node.metadata.labels or {}
    pool = next((labels[name] for name in _POOL_LABELS if labels.get(name)), "")
    kind, group = next(
        ((kind, labels[name]) for name, kind in _GROUP_LABELS if labels.get(name)),
        ("group", _NOT_LABELLED),
    )
    named = pool or title or product or NO_GPUS
    return NodeLocation(named, group, kind, problems_of(node), product)


def labels_of(kind: str) -> tuple[str, ...]:
    """The labels that name a node's rack, NVLink domain or other group of a kind."""
    return tuple(name for name, named in _GROUP_LABELS if named == kind)


def product_of(hardware: Shape) -> str:
    """The GPU product of a machine, or that it has some; empty where it has none."""
    gpus = any(device.kind in {Kind.GPU, Kind.PARTITION} for device in hardware.devices)
    return hardware.product or (UNNAMED if gpus else "")


def problems_of(node: objects.Node) -> tuple[str, ...]:
    """Why no pod goes to the node, whatever it asks for."""
    found = ["cordoned"] if node.spec.unschedulable else []
    ready = [each.status for each in node.status.conditions or () if each.type == "Ready"]
    if ready and ready[-1] != "True":
        found.append("not ready" if ready[-1] == "False" else "not heard of")
    return tuple(found)


class NodePools:
    """The locations of all nodes of one index; `refresh` reads those whose node is another."""

    def __init__(self, cluster: index.TopologyIndex) -> None:
        self.index = cluster
        self.pools: tuple[NodePool, ...] = ()
        self.blocked: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)  # row → no pod goes there
        self._of: dict[str, NodeLocation] = {}  # node name → location
        self._read: NDArray[np.int64] = np.zeros(0, dtype=np.int64)  # row → version it was read in
        self._layout = -1
        self._moved = False  # whether a node is at another location than the pools say

    def of(self, name: str) -> NodeLocation | None:
        """The node's location, None where it was not there at the last refresh."""
        return self._of.get(name)

    def pool(self, slug: str) -> NodePool | None:
        return next((each for each in self.pools if each.slug == slug), None)

    def pool_of(self, name: str) -> NodePool | None:
        """The pool of a node."""
        location = self._of.get(name)
        return next(
            (p for p in self.pools if location is not None and p.title == location.pool), None
        )

    def refresh(self) -> Iterator[None]:
        """Bring the locations up to date, in turns."""
        cluster = self.index
        size = len(cluster.read)
        if len(self._read) < size:
            more = size - len(self._read)
            self._read = np.concatenate([self._read, np.full(more, -1, dtype=np.int64)])
            self.blocked = np.concatenate([self.blocked, np.zeros(more, dtype=np.bool_)])
        stale = np.flatnonzero(self._read[:size] != cluster.read)
        for number, row in enumerate(stale.tolist()):
            self._moved |= self._see(row)
            if number % _TURN == 0:
                yield
        while self._moved or self._layout != cluster.layout:
            layout, self._moved = cluster.layout, False
            done = False
            try:
                yield from self._arrange()
                done = True
            finally:
                self._moved |= not done  # who asked is gone: the next one arranges
            self._layout = layout

    def _see(self, row: int) -> bool:
        """Read one row's node; whether it is at another location now."""
        cluster = self.index
        self._read[row] = cluster.read[row]
        detail = cluster.details[row] if row < len(cluster.details) else None
        if detail is None:
            return True
        product = product_of(detail.machine.shape)
        title = cluster.builder.hardware.title(product) if product else ""
        location = location_of(detail.node, product, title)
        self.blocked[row] = bool(location.problems)
        was = self._of.get(detail.name)
        self._of[detail.name] = location
        return was is None or dataclasses.replace(was, problems=location.problems) != location

    def _arrange(self) -> Iterator[None]:
        """Order the nodes into pools, groups and blocks."""
        cluster = self.index
        grouped: dict[str, dict[tuple[str, str], list[tuple[str, str, int]]]] = {}
        spelt: dict[str, set[str]] = {}  # title → products
        names = list(cluster.rows.items())
        for number, (name, row) in enumerate(names):
            location = self._of.get(name)
            if location is not None:
                groups = grouped.setdefault(location.pool, {})
                spelt.setdefault(location.pool, set()).add(location.product)
                groups.setdefault((location.group, location.kind), []).append(
                    (natural(name), name, row)
                )
            if number % _TURN == 0:
                yield
        for name in self._of.keys() - cluster.rows.keys():
            del self._of[name]
        yield
        pools: list[NodePool] = []
        taken: set[str] = set()
        for title in sorted(grouped, key=lambda each: (each == NO_GPUS, natural(each))):
            blocks: list[Block] = []
            for group, kind in sorted(grouped[title], key=lambda each: natural(each[0])):
                members = yield from _ordered(grouped[title][group, kind])
                blocks += _cut(title, group, kind, members)
                yield
            rows = np.concatenate([block.rows for block in blocks])
            spellings = tuple(sorted(spelt[title] - {"", title}))
            pools.append(NodePool(_slug(title, taken), title, tuple(blocks), rows, spellings))
        self.pools = tuple(pools)


def natural(text: str) -> str:
    """A key by which node-2 comes before node-10."""
    return _DIGITS.sub(lambda match: match[0].zfill(12), text.lower())


def _ordered(
    members: list[tuple[str, str, int]],
) -> Generator[None, None, list[tuple[str, str, int]]]:
    """Sort in turns."""
    chunks = []
    for first in range(0, len(members), _CHUNK):
        chunks.append(sorted(members[first : first + _CHUNK]))
        yield
    if len(chunks) == 1:
        return chunks[0]
    found = []
    for number, member in enumerate(heapq.merge(*chunks)):
        found.append(member)
        if number % _CHUNK == 0:
            yield
    return found


def _cut(
    pool: str, group: str, kind: str, members: Sequence[tuple[str, str, int]]
) -> Iterator[Block]:
    for first in range(0, len(members), BLOCK):
        some = members[first : first + BLOCK]
        names = tuple(name for _, name, _ in some)
        title = short(group) if len(members) <= BLOCK else f"{names[0]} … {names[-1]}"
        rows = np.array([row for _, _, row in some], dtype=np.int64)
        yield Block(pool, group, kind, title, names, rows, first // BLOCK + 1)


def short(text: str) -> str:
    """A long identifier by its ends: what tells NVLink domains apart is the last part."""
    return text if len(text) <= _MOST_TITLE else f"{text[:4]}…{text[-8:]}"


def _slug(title: str, taken: set[str]) -> str:
    """A name for addresses: letters and digits of the title, told apart by a number."""
    plain = re.sub(r"[^a-z0-9.]+", "-", title.lower()).strip("-.") or "pool"
    found, number = plain, 1
    while found in taken:
        number += 1
        found = f"{plain}-{number}"
    taken.add(found)
    return found
