"""Who hears of each decision: the decision history, or nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from extender.decisions import scored_nodes, scorer, verb_results
from extender.kube.api import objects
from extender.policy import config


class Deciding(Protocol):
    """The engine that decides, as far as a recorder needs it."""

    policy: config.Policy
    scoring: scorer.Scorer


class Recorder(Protocol):
    """Hears of decisions on the request path, so it only keeps what it is handed.

    `condense` is called before anything changes that a finished decision rests on: there is the
    time to take what of it is needed later.
    """

    def filtered(
        self,
        by: Deciding,
        pod: objects.Pod,
        names: Sequence[str],
        found: verb_results.FilterResult,
    ) -> None:
        """Filter has judged the pod on these nodes."""

    def prioritized(
        self,
        by: Deciding,
        pod: objects.Pod,
        names: Sequence[str],
        scored: scored_nodes.ScoredNodes,
    ) -> None:
        """Prioritize has scored these nodes for the pod; the arrays are parallel to `names`."""

    def condense(self, *, awaited: bool = True) -> None:
        """The cluster may move on; `awaited`: also with what prioritize is still to come for."""

    def advance(self) -> None:
        """Nobody waits: go on with what was left for such a time, for less than a millisecond."""

    def complete(self) -> None:
        """Somebody is about to read what was recorded: leave nothing for later."""


class NoRecorder:
    """Keeps nothing."""

    def filtered(self, *_: object) -> None:
        """Nothing is kept."""

    def prioritized(self, *_: object) -> None:
        """Nothing is kept."""

    def condense(self, *, awaited: bool = True) -> None:
        """Nothing is kept."""

    def advance(self) -> None:
        """Nothing is left."""

    def complete(self) -> None:
        """Nothing is left."""
