"""Who gets whom: assignments of rows to columns, from plain matching to least cost.

Small and exact; the largest inputs are the devices of one machine.
"""

from __future__ import annotations

from collections.abc import Sequence


def matching(allowed: Sequence[Sequence[int]], columns: int, *, capacity: int = 1) -> int:
    """Largest number of rows that get a column, each column serving at most `capacity` rows.

    `allowed[row]` are the columns that the row may have. Kuhn's augmenting paths (1955).
    """
    holders: list[list[int]] = [[] for _ in range(columns)]

    def seat(row: int, tried: set[int]) -> bool:
        for column in allowed[row]:
            if column in tried:
                continue
            tried.add(column)
            if len(holders[column]) < capacity:
                holders[column].append(row)
                return True
            for position, holder in enumerate(holders[column]):
                if seat(holder, tried):
                    holders[column][position] = row
                    return True
        return False

    return sum(seat(row, set()) for row in range(len(allowed)))


def blocks(allowed: Sequence[frozenset[int]]) -> bool:
    """Whether any two rows may have the same columns or no column in common.

    Then taking any free column that is allowed is as good as any other choice.
    """
    owner: dict[int, frozenset[int]] = {}  # column → the set it belongs to
    return all(
        owner.setdefault(column, columns) == columns for columns in allowed for column in columns
    )


# Costs nearer than this are one cost to `fairest`, and differ only for the sum.
SAME = 1e-5


def fairest(ranks: Sequence[Sequence[int]], cost: Sequence[float]) -> list[int]:
    """Column of each row so that the worst cost is least, then the sum of costs; rows ≤ columns.

    `ranks[row][column]` are places in `cost`, which must not fall.
    """
    bound = cost[_bottleneck(ranks)] + SAME
    barred = len(ranks) * (cost[-1] + 1)  # dearer than any assignment without it
    return cheapest([[cost[r] if cost[r] <= bound else barred for r in row] for row in ranks])


def _bottleneck(ranks: Sequence[Sequence[int]]) -> int:
    """The least rank such that every row can have a column of at most that rank."""
    found = sorted({rank for row in ranks for rank in row})
    for rank in found[:-1]:
        allowed = [[j for j, value in enumerate(row) if value <= rank] for row in ranks]
        if matching(allowed, len(ranks[0])) == len(ranks):
            return rank
    return found[-1]


def cheapest(cost: Sequence[Sequence[float]]) -> list[int]:
    """Column of each row with the smallest total cost, rows ≤ columns.

    The Hungarian method with potentials (Kuhn 1955; Jonker and Volgenant 1987), O(rows²·columns).
    """
    rows, columns = len(cost), len(cost[0])
    row_potential, column_potential = [0.0] * (rows + 1), [0.0] * (columns + 1)
    owner = [0] * (columns + 1)  # column → row, 1-based; 0 is nobody
    for row in range(1, rows + 1):
        owner[0], column = row, 0
        slack, came_from = [float("inf")] * (columns + 1), [0] * (columns + 1)
        done = [False] * (columns + 1)
        while owner[column]:
            done[column] = True
            current, delta, following = owner[column], float("inf"), 0
            for j in range(1, columns + 1):
                if done[j]:
                    continue
                reduced = cost[current - 1][j - 1] - row_potential[current] - column_potential[j]
                if reduced < slack[j]:
                    slack[j], came_from[j] = reduced, column
                if slack[j] < delta:
                    delta, following = slack[j], j
            for j in range(columns + 1):
                if done[j]:
                    row_potential[owner[j]] += delta
                    column_potential[j] -= delta
                else:
                    slack[j] -= delta
            column = following
        while column:
            owner[column] = owner[came_from[column]]
            column = came_from[column]
    found = [0] * rows
    for j in range(1, columns + 1):
        if owner[j]:
            found[owner[j] - 1] = j - 1
    return found
