"""What entries of the catalogue's files have in common."""

from __future__ import annotations

import fnmatch

import msgspec


class CatalogueEntry(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A part of a catalogue file; an unknown field is an error."""


def is_spelt(value: str, pattern: str) -> bool:
    """Whether a label's value is what the pattern (* and ?) says, in any case."""
    return fnmatch.fnmatchcase(value.lower(), pattern.lower())
