"""What Kubernetes refuses in an expression that type-checks.

Lists and maps of mixed types outside of format(), formats that cannot work, regular expressions
that are none. Source: cel-go cel/validator.go, ext/formatting.go.
"""

from __future__ import annotations

from extender.demand.cel.library import formatting, patterns
from extender.demand.cel.runtime.meter import EvaluationError, InvalidError, UnansweredError
from extender.demand.cel.syntax import syntax_tree
from extender.demand.cel.typecheck import signatures, unify
from extender.demand.cel.typecheck.signatures import Type

# clause → kinds of types it takes
_SHOWN = frozenset({
    "list", "map", "int", "uint", "double", "bool", "string", "timestamp", "bytes", "duration",
    "type", "null",
})  # fmt: skip
_TAKES = {
    "s": _SHOWN, "d": frozenset({"int", "uint"}), "f": frozenset({"double", "string"}),
    "e": frozenset({"double", "string"}), "b": frozenset({"int", "uint", "bool"}),
    "x": frozenset({"int", "uint", "string", "bytes"}),
    "X": frozenset({"int", "uint", "string", "bytes"}), "o": frozenset({"int", "uint"}),
}  # fmt: skip


def validate(node: syntax_tree.Expr, *, within_format: bool = False) -> None:
    """InvalidError if the tree holds something that is refused."""
    match node:
        case syntax_tree.ListOf() if not within_format:
            _same([_held(one, i in node.optional) for i, one in enumerate(node.elements)])
        case syntax_tree.MapOf() if not within_format:
            _same([_type(key) for key, _, _ in node.entries])
            _same([_held(value, optional) for _, value, optional in node.entries])
        case syntax_tree.Call(function="format"):
            _format(node)
            within_format = True
        case syntax_tree.Call(function="matches"):
            _pattern(node.arguments[0])
        case _:
            pass
    for child in node.children():
        validate(child, within_format=within_format)


def _type(node: syntax_tree.Expr) -> Type:
    return node.type or signatures.ERROR


def _held(node: syntax_tree.Expr, optional: bool) -> Type:
    found = _type(node)
    if not optional:
        return found
    if not unify.is_optional(found):
        raise UnansweredError("an element marked ? of an unknown type")
    return unify.unwrapped(found)


def _same(types: list[Type]) -> None:
    if any(one != types[0] for one in types):
        raise InvalidError("expected elements of one type")


def _pattern(node: syntax_tree.Expr) -> None:
    # For matches(text, pattern) this looks at the text, as upstream does.
    if isinstance(node, syntax_tree.Literal):
        if not isinstance(node.value, str):
            raise TypeError(node)
        patterns.compile_constant(node.value)


def _format(node: syntax_tree.Call) -> None:
    form, arguments = node.target, node.arguments[0]
    if not isinstance(form, syntax_tree.Literal) or not isinstance(arguments, syntax_tree.ListOf):
        return
    try:
        clauses, _ = formatting.clauses(form.value)
    except EvaluationError as problem:
        raise InvalidError(str(problem)) from None
    if len(clauses) != len(arguments.elements):
        raise InvalidError(f"{len(clauses)} arguments expected")
    for clause, argument in zip(clauses, arguments.elements, strict=True):
        if not _shows(clause.letter, argument):
            raise InvalidError(f"%{clause.letter} cannot show {_type(argument).name}")


def _shows(letter: str, node: syntax_tree.Expr) -> bool:
    found = _type(node)
    if found.kind != "dyn" and found.kind not in _TAKES[letter]:
        return False
    if letter != "s":
        return True
    if isinstance(node, syntax_tree.ListOf):
        return all(_shows("s", one) for one in node.elements)
    if isinstance(node, syntax_tree.MapOf):
        return all(_shows("s", one) for one in node.children())
    return True
