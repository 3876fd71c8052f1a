"""From what filter and prioritize have found to the decision that is kept.

    filter, prioritize ─▶ references, and a copy of what moves (`_OpenDecision`)
    the engine settles after prioritize, before it takes anything in ─▶ `captured_decision`: the
        little that rests on the cluster as it is; mostly once the reply is on its way
    nobody asks, or somebody reads the history ─▶ its short form in `decision_history`

What becomes of a pod is noted in the same order as its decision, so it may wait behind that.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from extender.decisions import engine, recorder_interface, scored_nodes, scorer, verb_results
from extender.history import captured_decision, decision_history
from extender.kube.api import objects
from extender.policy import config

# Decisions and outcomes put in short form in a turn: 150 µs a decision.
_A_TURN = 3
# Names of all decisions that wait for it; until then each holds on to its request: 2 MB at most.
# While one call follows the other, the oldest is put in short form for each one beyond.
_MOST_NAMES = 20_000
_MOST_WAITING = 200


@dataclasses.dataclass(slots=True)
class _OpenDecision:
    """What was handed over and is not captured yet."""

    pod: objects.Pod
    names: Sequence[str]
    policy: config.Policy
    scoring: scorer.Scorer
    at: float  # when it was made
    found: verb_results.FilterResult | None = None
    scored_names: Sequence[str] = ()
    scored: scored_nodes.ScoredNodes | None = None
    keys: NDArray[np.int64] | None = None  # of the asked nodes, as they were when filter judged

    @property
    def complete(self) -> bool:
        """Whether no prioritize is to be expected."""
        ticket = self.found.ticket if self.found is not None else None
        return self.scored is not None or ticket is None or len(ticket.names) < 2


class DecisionRecorder:
    """Keeps the decisions of one engine in a history; pods without devices are passed over.

    `attach` makes it hear of the engine's decisions and of what the watch shows. `in_turns`: the
    caller calls `advance` while nobody waits; else each decision is in the history at once.
    """

    def __init__(
        self,
        judging: engine.Engine,
        history: decision_history.DecisionHistory,
        *,
        in_turns: bool = False,
    ) -> None:
        self._engine = judging
        self._history = history
        self._in_turns = in_turns
        self._open: _OpenDecision | None = None
        # What the history is still to be given, in the order in which it happened, each with how
        # many names it holds.
        self._waiting: deque[tuple[Callable[[], None], int]] = deque()
        self._names = 0  # of all that waits
        self._policy: tuple[config.Policy, str] | None = None  # the last one, and its hash

    def attach(self) -> None:
        """Hear of decisions from now on."""
        self._engine.recorder = self
        self._engine.predictions.on_pod = self._compared
        self._engine.store.listeners.append(self._observe)

    # ------------------------------------------------------------ the request path

    def filtered(
        self,
        by: recorder_interface.Deciding,
        pod: objects.Pod,
        names: Sequence[str],
        found: verb_results.FilterResult,
    ) -> None:
        if self._open is not None:
            self.condense()
        now = self._history.wall()
        self._open = _OpenDecision(pod, names, by.policy, by.scoring, now, found)
        if found.judged is not None:
            cluster, rows = self._engine.index, found.judged[0]
            self._open.keys = captured_decision.keys_of(cluster, names, rows)

    def prioritized(
        self,
        by: recorder_interface.Deciding,
        pod: objects.Pod,
        names: Sequence[str],
        scored: scored_nodes.ScoredNodes,
    ) -> None:
        if self._open is not None:
            if self._open.pod.metadata.uid == pod.metadata.uid and self._open.scored is None:
                self._open.scored, self._open.scored_names = scored, names
                return
            self.condense()
        now = self._history.wall()
        self._open = _OpenDecision(pod, names, by.policy, by.scoring, now, None, names, scored)

    # ------------------------------------------------------------ afterwards

    def condense(self, *, awaited: bool = True) -> None:
        """Capture what is open; where nobody asks for it, once prioritize has come.

        So nothing is done between filter and the prioritize that follows it, whatever the watch
        shows meanwhile.
        """
        if self._open is None or not (awaited or self._open.complete):
            return
        taken, self._open = self._open, None
        if taken.pod.metadata.uid and self._history.bounds.decisions:
            captured = self._captured(taken)
            self._later(functools.partial(self._keep, captured), names=len(captured.names))

    def advance(self) -> None:
        """Put a few of the decisions that wait in short form."""
        for _ in range(min(_A_TURN, len(self._waiting))):
            self._next()

    def complete(self) -> None:
        """Have all decisions in the history: somebody is about to read it."""
        self.condense()
        while self._waiting:
            self._next()

    def _later(self, keep: Callable[[], None], *, names: int = 0) -> None:
        self._waiting.append((keep, names))
        self._names += names
        while self._waiting and not (
            self._in_turns and self._names <= _MOST_NAMES and len(self._waiting) <= _MOST_WAITING
        ):
            self._next()

    def _next(self) -> None:
        keep, names = self._waiting.popleft()
        self._names -= names
        keep()

    def _captured(self, taken: _OpenDecision) -> captured_decision.CapturedDecision:
        """What of a decision rests on the cluster, as it still is."""
        found, cluster = taken.found, self._engine.index
        ticket = found.ticket if found is not None else None
        resolved = ticket.resolved if ticket is not None else None
        scores = None
        if taken.scored is not None:
            scores = captured_decision.scores(
                cluster, taken.scored_names, taken.scored, taken.scoring
            )
        meta = taken.pod.metadata
        return captured_decision.CapturedDecision(
            at=taken.at,
            namespace=meta.namespace or "default",
            name=meta.name,
            uid=meta.uid,
            concerned=found is not None or self._engine.concerns(taken.pod),
            policy=self._hash(taken.policy),
            resolved=resolved or self._engine.resolver.resolve(taken.pod, taken.policy),
            names=taken.names,
            keys=self._keys(taken),
            found=None if found is None else dataclasses.replace(found, ticket=None),
            scores=scores,
        )

    def _keys(self, taken: _OpenDecision) -> NDArray[np.int64]:
        """What tells the asked nodes apart later, when they have other rows."""
        if taken.keys is not None:
            return taken.keys
        scored = taken.scored if taken.names is taken.scored_names else None
        cluster = self._engine.index
        rows = cluster.rows_of(taken.names) if scored is None else scored.candidates.rows
        return captured_decision.keys_of(cluster, taken.names, rows)

    def _hash(self, policy: config.Policy) -> str:
        """The policy's hash, worked out once for each policy in force."""
        if self._policy is None or self._policy[0] is not policy:
            self._policy = policy, config.fingerprint(policy)
        return self._policy[1]

    # ------------------------------------------------------------ into the history

    def _keep(self, captured: captured_decision.CapturedDecision) -> None:
        """Put a decision into the history, or complete the one that its filter began."""
        uid = captured.uid
        number = self._begun(uid) if captured.found is None else 0
        if not number:
            if not captured.concerned:
                return
            made = captured_decision.condensed(captured, self._history.total + 1)
            number = self._history.add(made).number
        if captured.scores is not None:
            kept = self._history.latest(uid)
            answers = kept.answers if kept is not None else None
            if answers is not None:
                answers = captured_decision.with_scores(answers, captured.scores)
            best = captured_decision.best_nodes(captured.scores)
            self._history.scored(number, best, answers)

    def _begun(self, uid: str) -> int:
        """The decision that filter began, which a prioritize by itself goes on with."""
        kept = self._history.latest(uid)
        unfinished = kept is not None and not kept.best and not kept.everywhere_refused
        return kept.number if kept is not None and unfinished else 0

    # ------------------------------------------------------------ what becomes of it

    def _compared(self, uid: str, result: str) -> None:
        self.condense()
        self._later(functools.partial(self._history.compared, uid, result))

    def _observe(self, kind: str, old: objects.Object | None, new: objects.Object | None) -> None:
        if kind == "Pod":
            pod = new or old
            if isinstance(pod, objects.Pod) and (new is None or pod.spec.node_name):
                if self._open is not None and self._open.pod.metadata.uid == pod.metadata.uid:
                    self.condense()  # a pod may be bound before anything else is asked
                uid, node, at = pod.metadata.uid, pod.spec.node_name, self._history.wall()
                if node:
                    self._later(functools.partial(self._history.bound, uid, node, at=at))
                else:
                    self._later(functools.partial(self._history.gone, uid, at=at))
