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
# What is left to find out that upstream gives up for certain, once it may.
_LAST_STEPS = 5_000


class Meter:
    """Counts down the steps of one evaluation.

    A step is about one visited node, one visited list element or sixteen characters. Upstream's
    cost is not counted in full, only where it outgrows our steps: `certain` is what it has come to
    at least, `possible` what those parts may come to.
    """

    __slots__ = ("certain", "left", "possible")

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.certain = 0
        self.possible = 0

    def charge(self, steps: int) -> None:
        """Take steps from the budget; UnansweredError once it is spent."""
        self.left -= steps
        if self.left < 0:
            raise UnansweredError("the expression costs too much to evaluate")

    def spend(self, cost: int) -> None:
        """Note what upstream spends for certain; CostLimitError beyond its limit."""
        self.certain += cost
        if self.certain > UPSTREAM_LIMIT:
            raise CostLimitError("operation cancelled: actual cost limit exceeded")
        self.suspect(cost)

    def suspect(self, cost: int) -> None:
        """Note what upstream may spend; UnansweredError where that could exceed its limit."""
        self.possible += cost
        if self.possible > UPSTREAM_LIMIT // 2:
            self.left = min(self.left, _LAST_STEPS)

    def settle(self) -> None:
        """UnansweredError if upstream could have given up where we did not."""
        if self.possible > UPSTREAM_LIMIT // 2:
            raise UnansweredError("the expression may cost too much to evaluate")

    def allow(self, size: int) -> None:
        """Charge for a value about to be made, of so many characters or elements."""
        self.charge(size // 16 + 1)


def no_such_overload(*values: object) -> EvaluationError:
    """The error of a function called on types it is not made for."""
    shown = ", ".join(type(value).__name__ for value in values)
    return EvaluationError(f"no such overload ({shown})")
