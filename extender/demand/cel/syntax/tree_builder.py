"""Makes the nodes of a syntax tree, counting them and their levels."""

from __future__ import annotations

from extender.demand.cel.runtime.meter import UnansweredError
from extender.demand.cel.runtime.values import Value
from extender.demand.cel.syntax import syntax_tree

_RESULT = "@result"
_UNUSED = "#unused"

# The text of 10 KiB that the API allows has about 1,500 nodes where people write it.
MOST_NODES = 1800
# Levels of the tree: checking and evaluating one costs up to four of Python's 1,000 frames.
MOST_LEVELS = 64


class TreeBuilder:
    """Makes nodes; UnansweredError once there are too many, or too many on top of each other."""

    def __init__(self) -> None:
        self._left = MOST_NODES

    def _made(self, node: syntax_tree.Expr, *, children: bool = True) -> None:
        self._left -= 1
        if self._left < 0:
            raise UnansweredError("the expression is too large")
        for child in node.children() if children else ():
            if child.level >= node.level:
                node.level = child.level + 1
        if node.level > MOST_LEVELS:
            raise UnansweredError("the expression is nested too deeply")

    def literal(self, value: Value) -> syntax_tree.Literal:
        node = syntax_tree.Literal(value)
        self._made(node)
        return node

    def name(self, name: str) -> syntax_tree.Name:
        node = syntax_tree.Name(name)
        self._made(node)
        return node

    def select(
        self, operand: syntax_tree.Expr, field: str, *, test: bool = False
    ) -> syntax_tree.Select:
        node = syntax_tree.Select(operand, field, test)
        self._made(node)
        return node

    def call(self, function: str, *arguments: syntax_tree.Expr) -> syntax_tree.Call:
        node = syntax_tree.Call(function, None, list(arguments))
        self._made(node)
        return node

    def member(
        self, function: str, target: syntax_tree.Expr, *arguments: syntax_tree.Expr
    ) -> syntax_tree.Call:
        node = syntax_tree.Call(function, target, list(arguments))
        self._made(node)
        return node

    def list_of(
        self, elements: list[syntax_tree.Expr], optional: frozenset[int] = frozenset()
    ) -> syntax_tree.ListOf:
        node = syntax_tree.ListOf(elements, optional)
        self._made(node)
        return node

    def map_of(
        self, entries: list[tuple[syntax_tree.Expr, syntax_tree.Expr, bool]]
    ) -> syntax_tree.MapOf:
        node = syntax_tree.MapOf(entries)
        self._made(node)
        return node

    def extend(self, call: syntax_tree.Call, argument: syntax_tree.Expr) -> None:
        """One more term for a chain of && or ||."""
        call.arguments.append(argument)
        call.level = max(call.level, argument.level + 1)
        self._made(call, children=False)

    def copy(self, node: syntax_tree.Expr) -> syntax_tree.Expr:
        """A second tree of the same form: each is checked where it stands."""
        made = self._copy(node)
        self._made(made)
        return made

    def _copy(self, node: syntax_tree.Expr) -> syntax_tree.Expr:
        match node:
            case syntax_tree.Literal():
                return syntax_tree.Literal(node.value)
            case syntax_tree.Name():
                return syntax_tree.Name(node.name)
            case syntax_tree.Select():
                return syntax_tree.Select(self.copy(node.operand), node.field, node.test)
            case syntax_tree.Call():
                target = None if node.target is None else self.copy(node.target)
                return syntax_tree.Call(
                    node.function, target, [self.copy(a) for a in node.arguments]
                )
            case syntax_tree.ListOf():
                return syntax_tree.ListOf([self.copy(one) for one in node.elements], node.optional)
            case syntax_tree.MapOf():
                return syntax_tree.MapOf([
                    (self.copy(key), self.copy(value), optional)
                    for key, value, optional in node.entries
                ])  # fmt: skip
            case syntax_tree.Fold():
                return syntax_tree.Fold(
                    self.copy(node.source), node.variable, node.second, node.accumulator,
                    self.copy(node.start), self.copy(node.condition), self.copy(node.step),
                    self.copy(node.result),
                )  # fmt: skip
        raise TypeError(node)

    def plain_call(
        self,
        function: str,
        target: syntax_tree.Expr | None,
        arguments: list[syntax_tree.Expr],
    ) -> syntax_tree.Call:
        """A call that is no macro."""
        node = syntax_tree.Call(function, target, arguments)
        self._made(node)
        return node

    def bound(
        self, name: str, start: syntax_tree.Expr, result: syntax_tree.Expr
    ) -> syntax_tree.Fold:
        """`result` with `name` standing for `start`: a fold over nothing."""
        node = syntax_tree.Fold(
            self.list_of([]), _UNUSED, "", name, start, self.literal(value=False),
            self.name(name), result,
        )  # fmt: skip
        self._made(node)
        return node

    def fold(
        self, source: syntax_tree.Expr, variables: tuple[str, str], start: syntax_tree.Expr,
        step: syntax_tree.Expr, *, condition: syntax_tree.Expr | None = None,
        result: syntax_tree.Expr | None = None,
    ) -> syntax_tree.Fold:  # fmt: skip
        node = syntax_tree.Fold(
            source, *variables, _RESULT, start, condition or self.literal(value=True), step,
            result or self.name(_RESULT),
        )  # fmt: skip
        self._made(node)
        return node

    def result(self) -> syntax_tree.Name:
        return self.name(_RESULT)
