"""`railyard completion`: what a shell completes commands with, and the table that it rests on."""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

from extender.cli import completion_scripts, printing

_FILE_NAMES = frozenset({"FILE", "PATH", "FOLDER"})


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "completion", help="print what completes commands in a shell",
        epilog="bash: source <(railyard completion bash)\n"
        "zsh:  source <(railyard completion zsh)\n"
        "fish: railyard completion fish | source",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "shell",
        choices=(*completion_scripts.SCRIPTS, "json"),
        help="json is the table of config/completion.json",
    )
    parser.set_defaults(run=lambda arguments: _print(arguments, commands))


def _print(
    arguments: argparse.Namespace,
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> int:
    if arguments.shell == "json":
        printing.structured(table(commands), "json")
    else:
        print(completion_scripts.SCRIPTS[arguments.shell], end="")
    return printing.OK


# ---------------------------------------------------------------- the table


def table(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> dict[str, Any]:
    """Command → its help, options and positional values, as `candidates` reads them."""
    helps = {action.dest: action.help for action in commands._get_subactions()}  # noqa: SLF001 - argparse offers no other way to its commands
    return {
        name: {"help": helps.get(name) or "", **_of_parser(parser)}
        for name, parser in commands.choices.items()
    }


def _of_parser(parser: argparse.ArgumentParser) -> dict[str, Any]:
    options: dict[str, Any] = {}
    values: list[dict[str, Any]] = []
    for action in parser._actions:  # noqa: SLF001 - as above
        described = {
            "help": (action.help or "").replace("\n", " "),
            "takes": _takes(action),
            "choices": [str(choice) for choice in action.choices or ()],
        }
        if action.option_strings:
            options |= dict.fromkeys(action.option_strings, described)
        else:
            values.append({**described, "more": action.nargs in {"+", "*"}})
    return {"options": options, "values": values}


def _takes(action: argparse.Action) -> str:
    """What stands after it: "" for nothing, a file, or a text of one's own."""
    if action.nargs == 0:
        return ""
    return "file" if action.type is pathlib.Path or action.metavar in _FILE_NAMES else "text"
