"""How answers are printed: JSON, YAML, and a table as wide as the terminal."""

from __future__ import annotations

import argparse
import os
import shutil
import sys

import orjson
import yaml

from extender.decisions.explanation import explain_table

OK, NO_FIT, USAGE = 0, 1, 2


def structured(value: object, form: str) -> None:
    """Print a value as JSON or YAML."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    if form == "yaml":
        text = yaml.safe_dump(orjson.loads(text), sort_keys=False, allow_unicode=True).rstrip()
    print(text)


def note(text: str) -> None:
    """Print what is beside the answer, where it is in nobody's way."""
    print(f"note: {text}", file=sys.stderr)


def layout(arguments: argparse.Namespace) -> explain_table.TableLayout:
    """As wide as the terminal, or COLUMNS; in colours on a terminal only, and as NO_COLOR says."""
    terminal = sys.stdout.isatty()
    sized = terminal or os.environ.get("COLUMNS", "").isdecimal()
    width = None if arguments.wide or not sized else shutil.get_terminal_size().columns
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    every = arguments.all or bool(arguments.node)
    return explain_table.TableLayout(width=width, every=every, colour=colour)
