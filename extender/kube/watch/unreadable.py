"""Objects of one kind that cannot be read as they are now: they count as not there, and are named.

A list tells of all of them anew; a change heals one.
"""

from __future__ import annotations

import logging

from extender.kube.api import objects

_log = logging.getLogger(__name__)

_MOST = 1000  # so many are named
_MOST_CHARACTERS = 300  # so much is said of each


class Unreadable:
    """Keeps `now`, "namespace/name" → why, which is the dictionary it was given."""

    def __init__(self, kind: str, now: dict[str, str]) -> None:
        self._kind = kind
        self.now = now
        self._listed: dict[str, str] = {}  # those of the list that is being read
        self._nameless = 0

    def listing(self) -> None:
        """A list begins."""
        self._listed.clear()

    def listed(self) -> None:
        """It is complete: what it did not tell of is gone, or can be read."""
        self.now.clear()
        self.now.update(self._listed)

    def heal(self, meta: objects.ObjectMeta) -> None:
        """The object was read, or is gone."""
        if self.now or self._listed:
            self.now.pop(_named(meta), None)
            self._listed.pop(_named(meta), None)

    def note(self, meta: objects.ObjectMeta | None, why: str) -> None:
        """Name the object, in the log once for each reason; None is one that nobody can name."""
        if meta is None:
            self._nameless += 1
            count = self._nameless
            if count & (count - 1) == 0:  # the first, second, fourth …: it may come back often
                _log.warning("%s: skipped %s (%d so far)", self._kind, why, count)
            return
        name, why = _named(meta), why[:_MOST_CHARACTERS]
        if self.now.get(name) != why:
            _log.warning("%s %s cannot be read and is left out: %s", self._kind, name, why)
        if len(self._listed) < _MOST:
            self.now[name] = self._listed[name] = why


def _named(meta: objects.ObjectMeta) -> str:
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name
