"""Types for command lines: what cannot be run is refused before anything runs."""

import argparse
import pathlib

from loadtests.simulator.traces import openb


def count(text):
    """A whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def positive(text):
    """A number above 0."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def file(name):
    """The name of a file that is there."""
    if not pathlib.Path(name).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {name}")
    return name


def pod_list(name):
    """A pod list of openb: a file, or the short name of one in loadtests/data/openb."""
    if not openb.locate(name).is_file():
        raise argparse.ArgumentTypeError(f"there is no pod list {name}")
    return name
