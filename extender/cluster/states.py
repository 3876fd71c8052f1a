"""Node states by number: equal shape and usage, equal number, one verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from extender import bounded_cache
from extender.hardware.shape import Shape
from extender.hardware.usage import NOTHING, NodeState, Usage

__all__ = ["NOTHING", "ByNumbering", "States", "Usage"]

_Kept = TypeVar("_Kept")

_FIRST = 1024
# 5,000 nodes have 1,000 to 14,000 states, and every placement may add a few. Each takes 420 bytes,
# and a cell in each table by state.
_MOST = 16_384
_MOST_PER_NODE = 6
_WORD = (1 << 64) - 1


class States:
    """The interner of `NodeState`s. Numbers are dense and never reused, so tables index by them.

    `shape_of` and `taken` say of many states at once which shape they have (`shapes` lists them)
    and which of their first 64 devices are taken.
    """

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self._shape_numbers: dict[Shape, int] = {}  # by identity
        self._numbers: dict[tuple[Shape, Usage], int] = {}  # (shape by identity, usage) → number
        self._states: list[NodeState] = []
        self._shape_of: NDArray[np.int32] = np.zeros(_FIRST, dtype=np.int32)
        self._taken: NDArray[np.uint64] = np.zeros(_FIRST, dtype=np.uint64)

    def __len__(self) -> int:
        return len(self._states)

    def __getitem__(self, number: int) -> NodeState:
        return self._states[number]

    def figures(self, nodes: int) -> bounded_cache.Figures:
        """How many have a number, those included that none of so many nodes is in any more."""
        bound = max(_MOST, _MOST_PER_NODE * nodes)
        return bounded_cache.Figures("states", len(self), bound, bounded_cache.ENTRIES)

    def too_many(self, nodes: int) -> bool:
        """Whether they are to be numbered anew."""
        figures = self.figures(nodes)
        return figures.used > figures.bound

    @property
    def shape_of(self) -> NDArray[np.int32]:
        return self._shape_of[: len(self._states)]

    @property
    def taken(self) -> NDArray[np.uint64]:
        return self._taken[: len(self._states)]

    def number(self, shape: Shape, usage: Usage) -> int:
        """The state's number, a new one if it was never seen."""
        key = (shape, usage)
        number = self._numbers.get(key)
        return self._add(key) if number is None else number

    def renumbered(self, numbers: NDArray[np.int32], by: States) -> NDArray[np.int32]:
        """The numbers here of states that are numbered so `by` others; -1 stays.

        Whoever keeps numbers until later keeps those by whom they are, and reads them so.
        """
        if by is self:
            return numbers
        moved = {at: self.number(*by[at]) if at >= 0 else at for at in set(numbers.tolist())}
        return np.array([moved[at] for at in numbers.tolist()], dtype=np.int32)

    def _add(self, key: tuple[Shape, Usage]) -> int:
        shape, usage = key
        number = self._numbers[key] = len(self._states)
        self._states.append(NodeState(shape, usage))
        if number >= len(self._taken):
            self._shape_of = np.concatenate([self._shape_of, np.zeros_like(self._shape_of)])
            self._taken = np.concatenate([self._taken, np.zeros_like(self._taken)])
        shape_number = self._shape_numbers.get(shape)
        if shape_number is None:
            shape_number = self._shape_numbers[shape] = len(self.shapes)
            self.shapes.append(shape)
        self._shape_of[number] = shape_number
        self._taken[number] = usage.taken & _WORD
        return number

    def compacted(self, live: NDArray[np.int32]) -> tuple[States, NDArray[np.int32]]:
        """These states alone, in the order given, and the new number of each old one, else -1.

        There is one number more: the last stays -1, so that a column of states may hold -1.
        """
        found, moved = States(), np.full(len(self) + 1, -1, dtype=np.int32)
        for number in live[live >= 0].tolist():
            state = self._states[number]
            moved[number] = found.number(state.shape, state.usage)
        return found, moved


class ByNumbering(Generic[_Kept]):
    """What is kept by the numbers of states: made anew once they are numbered anew.

    Whoever keeps something so asks for it with the states of the moment, and so cannot read it by
    numbers that it does not have.
    """

    def __init__(self, make: Callable[[], _Kept]) -> None:
        self._make = make
        self._states: States | None = None
        self.kept = make()

    def of(self, states: States) -> _Kept:
        """What is kept by these numbers; empty, as `make` makes it, if they are others."""
        if states is not self._states:
            self._states, self.kept = states, self._make()
        return self.kept
