"""The budget of one evaluation, and the ways in which an expression gives no answer."""

from __future__ import annotations


class InvalidError(Exception):
    """The expression does not compile upstream either."""


class EvaluationError(Exception):
    """Evaluation fails upstream too; `&&`, `||`, `all` and `exists` may absorb it."""


class CostLimitError(Exception):
    """Upstream stops here, as the cost limit is exceeded; nothing absorbs that."""


class UnansweredError(Exception):
    """Beyond our limits, or a corner of the language that is left out; never absorbed."""


# resource/v1 CELSelectorExpressionMaxCost
UPSTREAM_LIMIT = 1_000_000


class Meter:
    """Counts down the steps of one evaluation.

    A step is about one visited node, one visited list element or sixteen characters. `rounds`
    counts the rounds of folds that upstream would go, each of which costs one unit there at least.
    """

    __slots__ = ("left", "rounds")

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.rounds = 0

    def charge(self, steps: int) -> None:
        """Take steps from the budget; UnansweredError once it is spent."""
        self.left -= steps
        if self.left < 0:
            raise UnansweredError("the expression costs too much to evaluate")

    def repeat(self, rounds: int) -> None:
        """Note rounds of a fold that need not be gone; CostLimitError beyond upstream's limit."""
        self.rounds += rounds
        if self.rounds > UPSTREAM_LIMIT:
            raise CostLimitError("operation cancelled: actual cost limit exceeded")

    def allow(self, size: int) -> None:
        """Charge for a value about to be made, of so many characters or elements."""
        self.charge(size // 16 + 1)


def no_such_overload(*values: object) -> EvaluationError:
    """The error of a function called on types it is not made for."""
    shown = ", ".join(type(value).__name__ for value in values)
    return EvaluationError(f"no such overload ({shown})")
