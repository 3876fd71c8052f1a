"""The cluster as cells: a node is one square, dark from below by how many of its GPUs are held.

All squares of a block are three paths, so that 5,000 nodes are some hundred elements. The block is
a link to its list, which says the same in words.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np

from extender import bounded_cache
from extender.hardware.shape import Shape
from extender.hardware.usage import Usage
from extender.pools import gpu_states, node_pools, pool_figures
from extender.pricing.mix.demand_mix import Floats

COLUMNS = 8
_PITCH, _CELL = 10, 8  # a cell and the gap beside it
_ALMOST = 1e-6
_MOST_BLOCKS = 2048  # drawings kept: 128,000 nodes


@dataclasses.dataclass(frozen=True, slots=True)
class Drawing:
    """Paths for one block; `words` says it to those who do not see it."""

    width: int
    height: int
    cells: str
    held: str
    shut: str
    words: str


@dataclasses.dataclass(frozen=True, slots=True)
class Strip:
    """The GPUs of one node side by side."""

    width: int
    cells: str
    held: str
    shut: str
    words: str


class Drawings:
    """Draws blocks; one that looks as before is not drawn again."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, int], tuple[bytes, Drawing]] = OrderedDict()

    def of_pool(
        self, found: pool_figures.PoolFigures
    ) -> Iterator[tuple[node_pools.Block, Drawing]]:
        """Yield the pool's blocks, each with its drawing."""
        first = 0
        for block in found.pool.blocks:
            part = slice(first, first + len(block.rows))
            first = part.stop
            columns = found.left[part], found.total[part], found.blocked[part]
            yield block, self._of(block, *columns)

    def _of(self, block: node_pools.Block, left: Floats, total: Floats, shut: Floats) -> Drawing:
        key = (block.pool, block.names[0], len(block.names))
        figures = b"".join(column.tobytes() for column in (left, total, shut))
        known = self._kept.get(key)
        if known is not None and known[0] == figures:
            self._kept.move_to_end(key)
            return known[1]
        found = draw(left, total, shut)
        self._kept[key] = figures, found
        if len(self._kept) > _MOST_BLOCKS:
            self._kept.popitem(last=False)
        return found


def draw(left: Floats, total: Floats, shut: Floats) -> Drawing:
    """The cells of these nodes; `shut` marks those where no pod goes."""
    cells, held, crossed = [], [], []
    nodes = zip(left.tolist(), total.tolist(), shut.tolist(), strict=True)
    for number, (free, there, closed) in enumerate(nodes):
        x, y = number % COLUMNS * _PITCH + 1, number // COLUMNS * _PITCH + 1
        if there <= _ALMOST:
            cells.append(f"M{x + 3} {y + 3}h2v2h-2z")
        else:
            cells.append(f"M{x} {y}h8v8h-8z")
        used = _CELL * (1.0 - free / there) if there > _ALMOST else 0.0
        if used > _ALMOST:
            dark = f"{max(used, 1.0):.3g}"  # one of sixteen GPUs must be seen, too
            held.append(f"M{x} {y + _CELL}h8v-{dark}h-8z")
        if closed:
            crossed.append(f"M{x} {y}l8 8m0-8l-8 8")
    rows = -(-len(left) // COLUMNS)
    width = min(len(left), COLUMNS) * _PITCH
    words = _words(left, total, shut)
    height = rows * _PITCH
    return Drawing(width, height, "".join(cells), "".join(held), "".join(crossed), words)


def _words(left: Floats, total: Floats, shut: Floats) -> str:
    """How many of the nodes stand how: "32 nodes: 5 free, 20 partly held, 7 full"."""
    closed = shut > 0
    carry = (total > _ALMOST) & ~closed
    empty = carry & (left >= total - _ALMOST)
    full = carry & (left <= _ALMOST)
    counts = {
        "free": empty,
        "partly held": carry & ~empty & ~full,
        "full": full,
        "closed to pods": closed,
        "without GPUs": (total <= _ALMOST) & ~closed,
    }
    counted = [f"{int(np.count_nonzero(of))} {word}" for word, of in counts.items() if of.any()]
    return f"{len(left)} node{'s' * (len(left) != 1)}: {', '.join(counted)}"


def strip(states: Sequence[str], fills: Sequence[float]) -> Strip:
    """The GPUs of a node as cells, dark from below by how much of each is held."""
    cells, held, crossed = [], [], []
    for number, (state, fill) in enumerate(zip(states, fills, strict=True)):
        x = number * _PITCH + 1
        cells.append(f"M{x} 1h8v8h-8z")
        if fill:
            held.append(f"M{x} 9h8v-{fill * _CELL:.3g}h-8z")
        if state == gpu_states.UNUSABLE:
            crossed.append(f"M{x} 1l8 8m0-8l-8 8")
    counted = [f"{states.count(s)} {word}" for s, word in gpu_states.WORDS.items() if s in states]
    width = max(len(states), 1) * _PITCH
    words = ", ".join(counted) or "no GPUs"
    return Strip(width, "".join(cells), "".join(held), "".join(crossed), words)


@bounded_cache.remembered("node-strips", 4096)
def strip_of(hardware: Shape, usage: Usage) -> Strip:
    """The strip of one node; nodes in the same state share it."""
    return strip(gpu_states.states(hardware, usage), gpu_states.fills(hardware, usage))
