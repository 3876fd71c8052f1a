"""What may come next on the command line, for the shells and for kubectl.

The commands and flags are a table, `config/completion.json` (`make schema` writes it, a test
compares): to build the parser takes a second, and whoever presses Tab waits for it. The answer is
in the words of cobra, which kubectl reads: a candidate a line, with a tab before its help, and at
last `:0` where a file may stand, or `:4` where none may.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from extender import settings

FILES, NO_FILES = ":0", ":4"


def run(words: Sequence[str]) -> int:
    """Print what may come in place of the last word; words without the program's name."""
    known = json.loads(settings.embedded("completion.json").read_bytes())
    sys.stdout.write("".join(f"{line}\n" for line in answer(words, known)))
    return 0


def answer(words: Sequence[str], known: dict[str, Any]) -> Iterator[str]:
    """The lines for a command line without the program's name; the last word is being written."""
    *before, last = words or [""]
    named = next((word for word in before if word in known), None)
    if named is None:
        found = [(name, each["help"]) for name, each in known.items()]
        yield from _lines(found, last)
        yield NO_FILES
        return
    yield from _of_command(known[named], before[before.index(named) + 1 :], last)


def _of_command(command: dict[str, Any], before: Sequence[str], last: str) -> Iterator[str]:
    options = command["options"]
    if before and options.get(before[-1], {}).get("takes"):
        yield from _of_value(options[before[-1]], last)
        return
    option, equals, rest = last.partition("=")
    if equals and options.get(option, {}).get("takes"):
        for line in _of_value(options[option], rest):
            yield line if line.startswith(":") else f"{option}={line}"
        return
    if last.startswith("-"):
        yield from _lines([(name, each["help"]) for name, each in options.items()], last)
        yield NO_FILES
        return
    given = sum(
        not word.startswith("-")
        and not (number and options.get(before[number - 1], {}).get("takes"))
        for number, word in enumerate(before)
    )
    values = command["values"]
    if values and (given < len(values) or values[-1]["more"]):
        yield from _of_value(values[min(given, len(values) - 1)], last)
    else:
        yield NO_FILES


def _of_value(described: dict[str, Any], last: str) -> Iterator[str]:
    yield from _lines([(choice, "") for choice in described["choices"]], last)
    yield FILES if described["takes"] == "file" else NO_FILES


def _lines(found: Sequence[tuple[str, str]], last: str) -> Iterator[str]:
    for name, text in found:
        if name.startswith(last):
            yield f"{name}\t{text}" if text else name
