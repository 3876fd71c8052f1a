"""Text to tokens, and literals to values.

Source: the lexer rules of cel-spec's grammar. Anything that is no token is an InvalidError.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from extender.demand.cel.runtime import values
from extender.demand.cel.runtime.meter import InvalidError, UnansweredError

_ESCAPE = r"\\(?:[abfnrtv\"'\\?`]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2})"
_QUOTED = "|".join([
    r'[rR]"""(?s:.*?)"""', r"[rR]'''(?s:.*?)'''", r'[rR]"[^"\n\r]*"', r"[rR]'[^'\n\r]*'",
    rf'"""(?:{_ESCAPE}|[^\\])*?"""', rf"'''(?:{_ESCAPE}|[^\\])*?'''",
    rf'"(?:{_ESCAPE}|[^\\"\n\r])*"', rf"'(?:{_ESCAPE}|[^\\'\n\r])*'",
])  # fmt: skip
_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n\f]+|//[^\n]*)"
    rf"|(?P<bytes>[bB](?:{_QUOTED}))"
    rf"|(?P<string>{_QUOTED})"
    r"|(?P<double>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)"
    r"|(?P<uint>0x[0-9a-fA-F]+[uU]|\d+[uU])"
    r"|(?P<int>0x[0-9a-fA-F]+|\d+)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<operator>==|!=|<=|>=|&&|\|\||[-<>\[\]{}().,!?:+*/%])",
    re.ASCII,
)
_SIMPLE = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
}  # fmt: skip
_ESCAPED = re.compile(r"\\(?:([xX])(..)|u(....)|U(.{8})|([0-3][0-7]{2})|(.))", re.DOTALL)
# The text of 10 KiB that the API allows has about 3,000 where people write it.
_MOST_TOKENS = 4000
_MOST_DIGITS = 400  # Python refuses ints of more than 4,300 digits; doubles end at 309


class Token(NamedTuple):
    """`kind` is a group of the pattern above, "end", or the operator or keyword itself."""

    kind: str
    text: str


_KEYWORDS = frozenset({"in", "true", "false", "null"})
END = Token("end", "")


def tokens(text: str) -> list[Token]:
    """All tokens of the text; InvalidError where something is none."""
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidError(f"syntax error at character {position}")
        position = match.end()
        kind = match.lastgroup or ""
        if kind == "space":
            continue
        word = match[0]
        own = kind == "operator" or (kind == "name" and word in _KEYWORDS)
        found.append(Token(word if own else kind, word))
        if len(found) > _MOST_TOKENS:
            raise UnansweredError("the expression is too large")
    found.append(END)
    return found


def number(token: Token, sign: str) -> values.Value:
    """The value of an int, uint or double token; InvalidError if it is out of range."""
    text = token.text
    if len(text) > _MOST_DIGITS:
        raise InvalidError("a number of too many digits")
    if token.kind == "double":
        value = float(sign + text)
        if value in {values.INFINITY, -values.INFINITY}:
            raise InvalidError("invalid double literal")
        return value
    digits = text.rstrip("uU") if token.kind == "uint" else text
    magnitude = int(digits, 16 if digits.startswith("0x") else 10)
    if token.kind == "uint":
        if magnitude > values.MAX_UINT:
            raise InvalidError("invalid uint literal")
        return values.Uint(magnitude)
    value = -magnitude if sign else magnitude
    if not values.MIN_INT <= value <= values.MAX_INT:
        raise InvalidError("invalid int literal")
    return value


def string(text: str) -> str:
    """What a string token says."""
    raw = text[0] in "rR"
    body = _body(text[1:] if raw else text)
    return body if raw else _ESCAPED.sub(_character, body)


def octets(text: str) -> bytes:
    """What a bytes token says: characters as UTF-8, numeric escapes as bytes."""
    text = text[1:]
    raw = text[0] in "rR"
    body = _body(text[1:] if raw else text)
    if raw:
        return body.encode()
    parts: list[bytes] = []
    position = 0
    for match in _ESCAPED.finditer(body):
        parts += [body[position : match.start()].encode(), _octet(match)]
        position = match.end()
    return b"".join([*parts, body[position:].encode()])


def _body(text: str) -> str:
    quote = 3 if text[:3] in {'"""', "'''"} and len(text) >= 6 else 1
    return text[quote:-quote].replace("\r\n", "\n").replace("\r", "\n")


def _character(match: re.Match[str]) -> str:
    _, hexadecimal, four, eight, octal, simple = match.groups()
    if simple:
        return _SIMPLE.get(simple, simple)
    code = int(octal, 8) if octal else int(hexadecimal or four or eight, 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise InvalidError("an escape that is no character")
    return chr(code)


def _octet(match: re.Match[str]) -> bytes:
    _, hexadecimal, four, eight, octal, simple = match.groups()
    if four or eight:
        raise InvalidError("a character escape in bytes")
    if simple:
        return _SIMPLE.get(simple, simple).encode()
    return bytes([int(octal, 8) if octal else int(hexadecimal, 16)])
