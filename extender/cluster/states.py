"""Node states by number: equal shape and usage, equal number, one verdict."""

from __future__ import annotations

from extender.hardware.shape import Shape
from extender.hardware.usage import NOTHING, NodeState, Usage

__all__ = ["NOTHING", "States", "Usage"]


class States:
    """The interner of `NodeState`s. Numbers are dense and never reused, so tables index by them."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Shape, Usage], int] = {}  # (shape by identity, usage) → number
        self._states: list[NodeState] = []

    def __len__(self) -> int:
        return len(self._states)

    def __getitem__(self, number: int) -> NodeState:
        return self._states[number]

    def number(self, shape: Shape, usage: Usage) -> int:
        """The state's number, a new one if it was never seen."""
        key = (shape, usage)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._states)
            self._states.append(NodeState(shape, usage))
        return number
