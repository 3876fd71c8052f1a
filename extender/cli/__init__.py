"""The command line: serve, and ask the same questions offline."""

from extender.cli.entry import NO_FIT, OK, USAGE, main

__all__ = ("NO_FIT", "OK", "USAGE", "main")
