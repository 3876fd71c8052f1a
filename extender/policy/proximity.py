"""How close a node is to the members of a gang that are placed already.

The levels are node labels from the nearest (NVLink clique, then blocks and tiers of the fabric as
Topograph writes them) to the farthest. The measured cost of leaving a level grows with GPU speed
(Gavel: 2.4–9.6× at 8 V100; NVLink domain against RoCE on GB200: about 8×), so proximity counts per
member: a node close to most of the gang wins.

NICs of two nodes on one rail meet in a leaf switch, others a tier above it (see
`extender.hardware.fabric`): a member with no rail in common is one level farther.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# A node's values of the policy's labels, None where the label is absent.
Domains: TypeAlias = tuple[str | None, ...]

_AT_ONCE = 64  # nodes' domains that are compared with all members together: bounds the memory


def domains(labels: Mapping[str, str], levels: Sequence[str]) -> Domains:
    """The node's place: its value of each level's label."""
    return tuple(labels.get(level) for level in levels)


def distances(kinds: Sequence[Domains], members: Mapping[Domains, int]) -> NDArray[np.float64]:
    """Mean of `between` from each of `kinds` to the members (domains → how many), many at a time.

    Looking at each pair by itself takes seconds where a gang has a member on every node.
    """
    depth, total = len(kinds[0]) if kinds else 0, sum(members.values())
    found = np.zeros(len(kinds))
    if not total or not depth:
        return found
    counts = np.array(list(members.values()), dtype=np.float64)
    numbers: dict[str | None, int] = {}
    mine, theirs = (
        np.array(
            [
                [absent if v is None else numbers.setdefault(v, len(numbers)) for v in each]
                for each in those
            ]
        )
        for those, absent in ((kinds, -1), (members, -2))
    )
    for start in range(0, len(kinds), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        far = np.ones((len(mine[part]), len(counts)))
        for level in reversed(range(depth)):
            far[mine[part, level, None] == theirs[None, :, level]] = level / depth
        found[part] = far @ counts / total
    return found


def distance_of_waiting(
    kinds: Sequence[Domains],
    kind: NDArray[np.intp],
    capacity: NDArray[np.float64],
    *,
    waiting: int,
) -> NDArray[np.float64]:
    """Mean distance of the `waiting` members from each node, if one more member goes there.

    They go as close as capacity allows: `capacity` is how many members each node can take now, and
    `kinds[kind[n]]` is the place of node n. Levels lie within each other, as racks do in rows.
    Source: our own; `loadtests.quality.gang` measures it.
    """
    left = np.full(len(kind), float(waiting))
    close = np.minimum(np.maximum(capacity - 1, 0.0), left)  # one seat is the next member's own
    left -= close
    far = np.zeros(len(kind))
    per_kind = np.bincount(kind, weights=capacity, minlength=len(kinds))
    depth = len(kinds[0]) if kinds else 0
    for level in range(depth):
        within: dict[str, float] = {}
        for position, there in zip(kinds, per_kind.tolist(), strict=True):
            value = position[level]
            if value is not None:
                within[value] = within.get(value, 0.0) + there
        seats = np.array([within.get(position[level] or "", 0.0) - 1 for position in kinds])[kind]
        more = np.minimum(np.maximum(seats - close, 0.0), left)
        close, left, far = close + more, left - more, far + more * level / depth
    mean: NDArray[np.float64] = (far + left) / waiting
    return mean


def off_rail(mine: frozenset[str], members: Mapping[frozenset[str], int]) -> int:
    """How many members on other nodes have no rail in common with `mine`; 0 where it has none.

    `members` are the rails of those that have some → how many use just these.
    """
    return sum(count for theirs, count in members.items() if mine.isdisjoint(theirs)) if mine else 0


def shared_level(one: Domains, other: Domains) -> int | None:
    """The nearest level on which both are in one domain, None where there is none."""
    for level, (mine, theirs) in enumerate(zip(one, other, strict=True)):
        if mine is not None and mine == theirs:
            return level
    return None


def between(one: Domains, other: Domains) -> float:
    """The distance of two nodes by their domains, 0 (same nearest one) to 1 (nothing in common).

    Equal values of a level's label mean the same domain; an absent label says nothing, and so
    matches nothing.
    """
    level = shared_level(one, other)
    return 1.0 if level is None else level / len(one)
