"""Tokens to a tree, by precedence climbing, with macros expanded on the way.

Source: cel-spec's grammar. InvalidError where it is not kept; UnansweredError beyond the limits.
"""

from __future__ import annotations

from extender.demand.cel.runtime.meter import InvalidError, UnansweredError
from extender.demand.cel.syntax import lexer, macros, syntax_tree, tree_builder

# Levels of nesting of the text: each costs five of Python's 1,000 frames, and there may be a
# server's worth of them below. cel-go gives up at 250.
MOST_LEVELS = 48

_RESERVED = frozenset({
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop",
    "package", "namespace", "return", "var", "void", "while",
})  # fmt: skip
_PACKAGES = frozenset({"google", "kubernetes"})
# operator → precedence; all are left-associative
_BINARY = {
    "||": 1, "&&": 2, "<": 3, "<=": 3, ">": 3, ">=": 3, "==": 3, "!=": 3, "in": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "%": 5,
}  # fmt: skip
_CONSTANTS = {"true": True, "false": False, "null": None}


def parse(text: str) -> syntax_tree.Expr:
    """The tree of an expression."""
    return tree_of(lexer.tokens(text))


def tree_of(tokens: list[lexer.Token]) -> syntax_tree.Expr:
    """The tree of an expression's tokens."""
    parser = _Parser(tokens)
    tree = parser.expression()
    parser.expect("end")
    return tree


class _Parser:
    def __init__(self, tokens: list[lexer.Token]) -> None:
        self._tokens = tokens
        self._position = 0
        self._level = 0
        self._build = tree_builder.TreeBuilder()

    @property
    def _next(self) -> str:
        return self._tokens[self._position].kind

    def _take(self) -> lexer.Token:
        token = self._tokens[self._position]
        self._position += 1
        return token

    def _accept(self, kind: str) -> bool:
        if self._next == kind:
            self._position += 1
            return True
        return False

    def expect(self, kind: str) -> lexer.Token:
        if self._next != kind:
            raise InvalidError(f"syntax error: {self._next} where {kind} was expected")
        return self._take()

    def expression(self) -> syntax_tree.Expr:
        self._level += 1
        if self._level > MOST_LEVELS:
            raise UnansweredError("the expression is nested too deeply")
        tree = self._binary(1)
        if self._accept("?"):
            first = self._binary(1)
            self.expect(":")
            second = self.expression()
            tree = self._call("_?_:_", None, [tree, first, second])
        self._level -= 1
        return tree

    def _call(
        self,
        function: str,
        target: syntax_tree.Expr | None,
        arguments: list[syntax_tree.Expr],
    ) -> syntax_tree.Expr:
        return macros.expand(self._build, function, target, arguments)

    def _binary(self, least: int) -> syntax_tree.Expr:
        left = self._unary()
        while (precedence := _BINARY.get(self._next, 0)) >= least:
            operator = self._take().text
            right = self._binary(precedence + 1)
            name = "@in" if operator == "in" else f"_{operator}_"
            if precedence <= 2 and isinstance(left, syntax_tree.Call) and left.function == name:
                # Chains of && and || are one node: they may be long, the tree stays flat.
                self._build.extend(left, right)
            else:
                left = self._call(name, None, [left, right])
        return left

    def _unary(self) -> syntax_tree.Expr:
        sign = self._next
        if sign == "!" or (sign == "-" and not self._at_negative_number()):
            times = 0
            while self._accept(sign):
                times += 1
            operand = self._member()
            return self._call(f"{sign}_", None, [operand]) if times % 2 else operand
        return self._member()

    def _at_negative_number(self) -> bool:
        return self._tokens[self._position + 1].kind in {"int", "double"}

    def _member(self) -> syntax_tree.Expr:
        tree = self._primary()
        while True:
            if self._accept("."):
                tree = self._selection(tree)
            elif self._accept("["):
                function = "_[?_]" if self._accept("?") else "_[_]"
                index = self.expression()
                self.expect("]")
                tree = self._call(function, None, [tree, index])
            else:
                return tree

    def _selection(self, operand: syntax_tree.Expr) -> syntax_tree.Expr:
        if self._accept("?"):
            field = self._build.literal(self.expect("name").text)
            return self._call("_?._", None, [operand, field])
        name = self.expect("name").text
        if self._accept("("):
            return self._call(name, operand, self._arguments())
        return self._build.select(operand, name)

    def _arguments(self) -> list[syntax_tree.Expr]:
        found: list[syntax_tree.Expr] = []
        if not self._accept(")"):
            found.append(self.expression())
            while self._accept(","):
                found.append(self.expression())
            self.expect(")")
        return found

    def _primary(self) -> syntax_tree.Expr:
        kind = self._next
        if kind in {"int", "uint", "double"} or (kind == "-" and self._at_negative_number()):
            sign = "-" if self._accept("-") else ""
            return self._build.literal(lexer.number(self._take(), sign))
        if kind in _CONSTANTS:
            return self._build.literal(_CONSTANTS[self._take().text])
        if kind == "string":
            return self._build.literal(lexer.string(self._take().text))
        if kind == "bytes":
            return self._build.literal(lexer.octets(self._take().text))
        if self._accept("("):
            tree = self.expression()
            self.expect(")")
            return tree
        if self._accept("["):
            return self._list()
        if self._accept("{"):
            return self._map()
        return self._name()

    def _name(self) -> syntax_tree.Expr:
        dot = "." if self._accept(".") else ""
        name = self.expect("name").text
        if self._is_message():
            # No other package has messages in this environment.
            if name in _PACKAGES:
                raise UnansweredError("messages are not implemented")
            raise InvalidError("undeclared reference to a message")
        if name in _RESERVED:
            raise InvalidError(f"reserved identifier: {name}")
        if self._accept("("):
            return self._call(dot + name, None, self._arguments())
        return self._build.name(name)

    def _is_message(self) -> bool:
        # name.name.name{ …
        position = self._position
        while self._tokens[position].kind == "." and self._tokens[position + 1].kind == "name":
            position += 2
        return self._tokens[position].kind == "{"

    def _list(self) -> syntax_tree.Expr:
        elements: list[syntax_tree.Expr] = []
        optional: set[int] = set()
        while self._next not in {"]", ","}:
            if self._accept("?"):
                optional.add(len(elements))
            elements.append(self.expression())
            if self._next == "]" or not self._accept(","):
                break
        else:
            if not elements:
                self._accept(",")
        self.expect("]")
        return self._build.list_of(elements, frozenset(optional))

    def _map(self) -> syntax_tree.Expr:
        entries: list[tuple[syntax_tree.Expr, syntax_tree.Expr, bool]] = []
        while self._next not in {"}", ","}:
            optional = self._accept("?")
            key = self.expression()
            self.expect(":")
            entries.append((key, self.expression(), optional))
            if self._next == "}" or not self._accept(","):
                break
        else:
            if not entries:
                self._accept(",")
        self.expect("}")
        return self._build.map_of(entries)
