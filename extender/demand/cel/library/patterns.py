"""Regular expressions: `matches`, `find` and `findAll`, by RE2, whose syntax and time are Go's.

Sources: apiserver pkg/cel/library/regex.go, Go's regexp.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

import re2

from extender import bounded_cache
from extender.demand.cel.runtime.meter import EvaluationError, InvalidError, Meter, UnansweredError
from extender.demand.cel.typecheck import signatures
from extender.demand.cel.typecheck.signatures import Implementation, Overload

# Compiling takes time and memory by the size of the automaton; Go's has no such budget, so what
# does not fit is left unanswered.
_MEMORY = 1 << 19
_MOST_CHARACTERS = 1000
_ESCAPE = re.compile(r"\\Q.*?(?:\\E|$)|\\.", re.DOTALL)
_PROPERTY = re.compile(r"\\[pP]")
_COMPILED = 64  # 32 MB at the very most


@bounded_cache.remembered("regular-expressions", _COMPILED)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """The pattern, None if it is none; RE2's patterns are used as `re`'s are."""
    if len(pattern) > _MOST_CHARACTERS:
        raise UnansweredError("a regular expression of so many characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        found: re.Pattern[str] = re2.compile(pattern, options)
    except re2.error as problem:
        if "too large" in str(problem):
            raise UnansweredError("a regular expression too large to compile") from None
        if _PROPERTY.search(pattern):
            # Which names there are, and how they may be written, depends on Go's version.
            raise UnansweredError("a regular expression with an unknown property") from None
        return None
    if any(match[0] == r"\C" for match in _ESCAPE.finditer(pattern)):
        return None  # any byte: RE2 has it, Go does not
    return found


def compile_constant(pattern: str) -> None:
    """InvalidError if a pattern in the text of an expression is none."""
    if _compiled(pattern) is None:
        raise InvalidError("illegal regex")


def _use(meter: Meter, text: str, pattern: str) -> re.Pattern[str]:
    # A regular expression costs a multiple of a step even on a short text.
    meter.charge(20 + len(text) // 4 + len(pattern))
    meter.suspect((len(text) // 10 + 2) * (len(pattern) // 4 + 1))
    compiled = _compiled(pattern)
    if compiled is None:
        raise EvaluationError("illegal regex")
    return compiled


def _matches(meter: Meter, text: str, pattern: str) -> bool:
    return _use(meter, text, pattern).search(text) is not None


def _find(meter: Meter, text: str, pattern: str) -> str:
    match = _use(meter, text, pattern).search(text)
    return "" if match is None else match[0]


def _find_all(meter: Meter, text: str, pattern: str, most: int = -1) -> list[str]:
    compiled = _use(meter, text, pattern)
    found: list[str] = []
    position, previous = 0, -1
    while position <= len(text) and (most < 0 or len(found) < most):
        # Each search looks at what is left of the text.
        meter.charge(20 + (len(text) - position) // 4)
        match = compiled.search(text, position)
        if match is None:
            break
        start, end = match.span()
        # An empty match right behind another match is none.
        if start != end or start != previous:
            found.append(match[0])
        previous = end
        position = end if end > position else end + 1
    return found


def _constant(implementation: Implementation) -> Callable[[str], Implementation]:
    def make(pattern: str) -> Implementation:
        compile_constant(pattern)
        return functools.partial(_with_strings, implementation)

    return make


def _with_strings(implementation: Implementation, meter: Meter, *given: object) -> object:
    if type(given[0]) is not str or (len(given) > 2 and type(given[2]) is not int):
        raise EvaluationError("no such overload")
    return implementation(meter, *given)


# function → what makes an implementation of it for a constant pattern
CONSTANT: dict[str, Callable[[str], Implementation]] = {
    "matches": _constant(_matches), "find": _constant(_find), "findAll": _constant(_find_all),
}  # fmt: skip

OVERLOADS: tuple[Overload, ...] = tuple(
    signatures.overload(text, implementation)
    for text, implementation in (
        ("matches(string, string) -> bool", _matches),
        ("string::matches(string) -> bool", _matches),
        ("string::find(string) -> string", _find),
        ("string::findAll(string) -> list(string)", _find_all),
        ("string::findAll(string, int) -> list(string)", _find_all),
    )
)
