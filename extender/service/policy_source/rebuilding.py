"""Builds the next engine while the one in use goes on: another Kubernetes version reads all anew.

What the watch shows meanwhile goes to both stores. The objects that were there before are handed
over in turns, each as it is by then; so in the end both stores hold the same.
"""

from __future__ import annotations

from extender.cluster import store
from extender.decisions import engine
from extender.policy import config

_TURN_OBJECTS = 200  # handed over before others get their turn: a few milliseconds
_TURN_NODES = 32  # read before others get their turn: 10 ms with 48 devices each


class Rebuilding:
    """At most one next engine; `step` does a turn of work, `take` returns it once it is built."""

    def __init__(self) -> None:
        self._old: engine.Engine | None = None
        self._new: engine.Engine | None = None
        self._left: list[tuple[str, store.Key | str]] = []  # (kind, key) still to hand over
        self._built = False

    def begin(self, old: engine.Engine, new: engine.Engine) -> None:
        """Build `new` from what `old` holds; one that was being built is given up."""
        self._old, self._new, self._built = old, new, False
        self._left = [(kind, key) for kind, table in old.store.tables().items() for key in table]

    def use(self, policy: config.Policy) -> None:
        """The next engine, if there is one, is to judge by this policy."""
        if self._new is not None:
            self._new.use(policy)

    def stores(self) -> tuple[store.ClusterStore, ...]:
        """The store of the engine being built, if any."""
        return () if self._new is None else (self._new.store,)

    def step(self) -> bool:
        """Do a turn of work; false where there is none."""
        if self._old is None or self._new is None or self._built:
            return False
        if self._left:
            turn, self._left = self._left[-_TURN_OBJECTS:], self._left[:-_TURN_OBJECTS]
            tables = self._old.store.tables()
            for kind, key in turn:
                if key in tables[kind]:
                    self._new.store.apply(kind, "ADDED", tables[kind][key])
        elif not self._new.read_nodes(_TURN_NODES):
            self._new.store.silent = set(self._old.store.silent)
            self._new.store.read = set(self._old.store.read)
            self._new.settle()
            self._built = True
        return True

    def take(self) -> engine.Engine | None:
        """The next engine once it is built, and only once."""
        if not self._built:
            return None
        built, self._old, self._new, self._built = self._new, None, None, False
        return built
