"""The commands, and what becomes of an error: one sentence, and exit status 2."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import extender
from extender import errors
from extender.cli import (
    check_commands,
    completion_command,
    explain_commands,
    printing,
    serve_flags,
    shadow_command,
    why_commands,
)
from extender.cli.planning import capacity, dump, record, simulate
from extender.service import demo
from extender.service.process import serving

OK, NO_FIT, USAGE = printing.OK, printing.NO_FIT, printing.USAGE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 for "no", 2 for what the operator must mend."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if not hasattr(chosen, "run"):
        parser.print_help()
        return USAGE
    try:
        status: int = chosen.run(chosen)
    except errors.RailyardError as error:
        print(f"railyard: {check_commands.sentence(error)}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:
        # The reader of a pipe (head, say) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="railyard",
        description="A kube-scheduler extender that ranks nodes by the devices a pod would get.",
    )
    parser.add_argument("--version", action="version", version=f"railyard {extender.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    serve = commands.add_parser("serve", help="answer a kube-scheduler over HTTP")
    serve_flags.add_arguments(serve)
    serve.set_defaults(run=_serve)

    demonstrated = commands.add_parser(
        "demo", help="serve the embedded snapshot with its web page, and ask it about a pod"
    )
    demonstrated.add_argument("--once", action="store_true", help="exit after the ranking")
    demonstrated.add_argument(
        "--frozen", action="store_true", help="leave the cluster as it is: no pods come and go"
    )
    demonstrated.set_defaults(run=_demo)

    explain_commands.add_commands(commands)
    capacity.add_commands(commands)
    simulate.add_commands(commands)
    why_commands.add_commands(commands)
    dump.add_commands(commands)
    record.add_commands(commands)
    shadow_command.add_commands(commands)
    check_commands.add_commands(commands)
    completion_command.add_commands(commands)
    return parser


def _serve(arguments: argparse.Namespace) -> int:
    return serving.run(serve_flags.from_arguments(arguments, os.environ))


def _demo(arguments: argparse.Namespace) -> int:
    return demo.run(once=arguments.once, frozen=arguments.frozen)
