"""Where a decision expects its pod: what is reserved for it there, and which devices it may get.

kube-scheduler binds a pod to the node ranked first, or to the only one that passed filter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from extender.cluster import index
from extender.decisions import scored_nodes
from extender.decisions.expected import assumed, prediction_log
from extender.kube.api import objects
from extender.verdicts import resolver, verdict_sources, verdict_table


class ExpectedPlacement:
    """Writes down what is expected of a decision; `clock` is in seconds.

    `seconds` is how long a reservation lasts where nothing confirms it; 0 makes none.
    """

    def __init__(
        self,
        cluster: index.TopologyIndex,
        verdicts: verdict_sources.VerdictSources,
        predictions: prediction_log.PredictionLog,
        reserved: assumed.AssumedPods,
        clock: Callable[[], float],
    ) -> None:
        self._index = cluster
        self._verdicts = verdicts
        self._predictions = predictions
        self._assumed = reserved
        self._clock = clock

    def ranked_first(
        self,
        pod: objects.Pod,
        names: Sequence[str],
        scored: scored_nodes.ScoredNodes,
        *,
        seconds: float,
    ) -> None:
        """Expect the pod on the best of the nodes, to which `scored` is parallel."""
        resolved, candidates = scored.resolved, scored.candidates
        best = int(np.argmax(scored.scores))
        if resolved.claims and resolved.by_node is None:
            judged = candidates.rows, candidates.states, candidates.table
            self._predictions.predicted(pod, resolved, *judged, now=self._clock())
        if candidates.rows[best] >= 0 and resolved.question:
            self._reserve(pod, resolved, names[best], int(candidates.states[best]), seconds)

    def only(
        self, pod: objects.Pod, resolved: resolver.ResolvedPod, name: str, *, seconds: float
    ) -> None:
        """Expect it where filter left one node: kube-scheduler then never asks to prioritize."""
        row = self._index.rows.get(name)
        if row is None or not resolved.question:
            return
        table = self._verdicts.on(resolved, name)
        state = self._index.expected[[row]]
        if not table.verdict(int(state[0])).fits:
            return  # its victims are still there: which devices they leave is not known
        if isinstance(table, verdict_table.VerdictTable):
            here = np.array([row], dtype=np.int32)
            self._predictions.predicted(pod, resolved, here, state, table, now=self._clock())
        self._reserve(pod, resolved, name, int(state[0]), seconds)

    def _reserve(
        self,
        pod: objects.Pod,
        resolved: resolver.ResolvedPod,
        name: str,
        state: int,
        seconds: float,
    ) -> None:
        if seconds:
            table, deadline = self._verdicts.on(resolved, name), self._clock() + seconds
            self._assumed.reserve(pod, resolved, name, table, state, deadline=deadline)
