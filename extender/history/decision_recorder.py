"""From what filter and prioritize have found to the decision that is kept.

On the request path only references are taken, and copies of what moves. They are condensed when the
engine next settles after prioritize, before it takes anything in: that is mostly once the reply is
on its way, and always while the cluster is as the scores saw it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from extender.cluster.names import name_order
from extender.decisions import (
    engine,
    recorder_interface,
    refusals,
    scored_nodes,
    scorer,
    verb_results,
)
from extender.decisions.explanation import explain_demand, shown_devices
from extender.history import decision, decision_history
from extender.kube.api import objects
from extender.policy import config
from extender.verdicts import evaluator, resolver

BEST = 5  # nodes that are kept with their parts and devices


@dataclasses.dataclass(slots=True)
class _OpenDecision:
    """What was handed over and is not condensed yet."""

    pod: objects.Pod
    names: Sequence[str]
    policy: config.Policy
    scoring: scorer.Scorer
    at: float  # when it was made
    found: verb_results.FilterResult | None = None
    scored_names: Sequence[str] = ()
    scored: scored_nodes.ScoredNodes | None = None
    # What tells the asked nodes apart later, and their states: as they were when filter judged.
    keys: NDArray[np.int64] | None = None
    states: NDArray[np.int32] | None = None

    @property
    def complete(self) -> bool:
        """Whether no prioritize is to be expected."""
        ticket = self.found.ticket if self.found is not None else None
        return self.scored is not None or ticket is None or len(ticket.names) < 2


class DecisionRecorder:
    """Keeps the decisions of one engine in a history; pods without devices are passed over.

    `attach` makes it hear of the engine's decisions and of what the watch shows.
    """

    def __init__(self, judging: engine.Engine, history: decision_history.DecisionHistory) -> None:
        self._engine = judging
        self._history = history
        self._open: _OpenDecision | None = None
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
            rows, cluster = found.judged[0], self._engine.index
            self._open.keys, self._open.states = cluster.order[rows], cluster.state[rows]

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
        """Make a short record of what is open; where nobody asks for it, once prioritize has come.

        So nothing is done between filter and the prioritize that follows it, whatever the watch
        shows meanwhile.
        """
        if self._open is None or not (awaited or self._open.complete):
            return
        taken, self._open = self._open, None
        if not taken.pod.metadata.uid or not self._history.bounds.decisions:
            return
        number = self._recorded(taken) if taken.found is not None else self._known(taken)
        if number and taken.scored is not None:
            kept = self._history.latest(taken.pod.metadata.uid)
            answers = kept.answers if kept is not None else None
            if answers is not None:
                answers = self._with_scores(answers, taken.scored)
            self._history.scored(number, self._best(taken), answers)

    def _known(self, taken: _OpenDecision) -> int:
        """The decision that filter began, which this prioritize goes on with."""
        kept = self._history.latest(taken.pod.metadata.uid)
        if kept is not None and not kept.best and not kept.everywhere_refused:
            return kept.number
        if not self._engine.concerns(taken.pod):
            return 0
        return self._recorded(taken)

    def _recorded(self, taken: _OpenDecision) -> int:
        found = taken.found or verb_results.FilterResult()
        resolved = self._engine.resolver.resolve(taken.pod, taken.policy)
        if isinstance(resolved, resolver.ResolvedPod):
            demand, profile = explain_demand.demand(resolved), resolved.profile.name
        else:
            demand, profile = f"not judged: {resolved.why}", ""
        refused, reason = self._refused(taken.names, found, taken.states)
        meta, now = taken.pod.metadata, taken.at
        made = decision.Decision(
            number=self._history.total + 1,
            first=now,
            last=now,
            namespace=meta.namespace or "default",
            name=meta.name,
            uid=meta.uid,
            demand=demand,
            profile=profile,
            policy=self._hash(taken.policy),
            asked=len(taken.names),
            passed=len(taken.names) - len(found.failed) - len(found.unresolvable),
            unknown=found.unknown,
            refused=refused,
            answers=decision.NodeAnswers(
                key=self._keys(taken),
                reason=reason,
                cost=np.full(len(reason), np.nan, dtype=np.float32),
                score=np.full(len(reason), -1, dtype=np.int16),
            ),
        )
        return self._history.add(made).number

    def _hash(self, policy: config.Policy) -> str:
        """The policy's hash, worked out once for each policy in force."""
        if self._policy is None or self._policy[0] is not policy:
            self._policy = policy, config.fingerprint(policy)
        return self._policy[1]

    def _keys(self, taken: _OpenDecision) -> NDArray[np.int64]:
        """What tells the asked nodes apart later, when they have other rows."""
        judged = taken.found.judged if taken.found is not None else None
        rows = judged[0] if judged is not None else self._engine.index.rows_of(taken.names)
        keys = taken.keys if taken.keys is not None else self._engine.index.order[rows]
        for at in np.flatnonzero(rows < 0).tolist():
            keys[at] = name_order.order_of(taken.names[at])
        return keys

    def _refused(
        self,
        names: Sequence[str],
        found: verb_results.FilterResult,
        states: NDArray[np.int32] | None,
    ) -> tuple[tuple[decision.RefusedNodes, ...], NDArray[np.int16]]:
        """The reasons, the most frequent first; and which of them each asked node has."""
        if found.judged is not None and found.distinct and states is not None:
            reasons, codes = _by_state(found, states, found.judged[1])
        else:
            reasons, codes = _by_name(names, found)
        counts = np.bincount(codes[codes >= 0], minlength=len(reasons))
        order = np.argsort(-counts, kind="stable")
        position = np.zeros(len(reasons) + 1, dtype=np.int16)
        position[order] = np.arange(len(order))
        position[-1] = -1
        listed = [
            decision.RefusedNodes(reasons[n][1], int(counts[n]), reasons[n][0]) for n in order
        ]
        return tuple(listed), position[codes]

    def _with_scores(
        self, answers: decision.NodeAnswers, scored: scored_nodes.ScoredNodes
    ) -> decision.NodeAnswers:
        """The answers with the costs and scores of the nodes that were scored."""
        rows = scored.candidates.rows
        keys = self._engine.index.order[rows]
        passed = np.flatnonzero(answers.reason < 0)
        if len(passed) != len(keys) or not (answers.key[passed] == keys).all():
            index_of = {key: at for at, key in enumerate(answers.key.tolist())}
            passed = np.array([index_of.get(key, -1) for key in keys.tolist()], dtype=np.intp)
        known = (rows >= 0) & (passed >= 0)
        answers.cost[passed[known]] = scored.cost[known]
        answers.score[passed[known]] = scored.scores[known]
        return answers

    def _best(self, taken: _OpenDecision) -> tuple[decision.BestNode, ...]:
        """The nodes ranked first, with the parts of their costs as they were."""
        scored, names = taken.scored, taken.scored_names
        if scored is None:
            return ()
        chosen = _leading(scored)
        known = [one for one in chosen if scored.candidates.rows[one] >= 0]
        parts = _parts(scored, known, taken.scoring)
        return tuple(
            self._node(scored, one, names[one], {n: v[at] for n, v in parts.items()})
            for at, one in enumerate(known)
        )

    def _node(
        self,
        scored: scored_nodes.ScoredNodes,
        at: int,
        name: str,
        parts: dict[str, float],
    ) -> decision.BestNode:
        row, state = int(scored.candidates.rows[at]), int(scored.candidates.states[at])
        detail = self._engine.index.details[row]
        verdict = scored.candidates.table.known(state)
        devices: tuple[decision.Device, ...] = ()
        locality = ""
        if detail is not None and verdict is not None and scored.resolved.question:
            found = shown_devices.predicted(scored.resolved, detail, verdict)
            devices = tuple((d.claim, d.request, d.driver, d.pool, d.device) for d in found)
            locality = verdict.locality.why if verdict.locality else ""
        cost, tie = float(scored.cost[at]), float(scored.tie[at])
        score = int(scored.scores[at])
        return decision.BestNode(name, score, cost, tie, parts, devices, locality)

    # ------------------------------------------------------------ what becomes of it

    def _compared(self, uid: str, result: str) -> None:
        self.condense()
        self._history.compared(uid, result)

    def _observe(self, kind: str, old: objects.Object | None, new: objects.Object | None) -> None:
        if kind == "Pod":
            pod = new or old
            if isinstance(pod, objects.Pod) and (new is None or pod.spec.node_name):
                if self._open is not None and self._open.pod.metadata.uid == pod.metadata.uid:
                    self.condense()  # a pod may be bound before anything else is asked
                if pod.spec.node_name:
                    self._history.bound(pod.metadata.uid, pod.spec.node_name)
                else:
                    self._history.gone(pod.metadata.uid)


def _refusal(found: verb_results.FilterResult, name: str) -> tuple[bool, str]:
    """Whether the node is refused for good, and why."""
    never = name in found.unresolvable
    return never, (found.unresolvable if never else found.failed).get(name, "")


def _by_state(
    found: verb_results.FilterResult, states: NDArray[np.int32], verdicts: NDArray[np.int8]
) -> tuple[list[tuple[bool, str]], NDArray[np.int16]]:
    """The distinct refusals, and the number of each node's: one look per state."""
    codes = np.full(len(states), -1, dtype=np.int16)
    numbers: dict[tuple[bool, str], int] = {}
    for never, texts in ((False, found.failed), (True, found.unresolvable)):
        chosen = verdicts == evaluator.NEVER
        if not never:
            chosen = (verdicts >= evaluator.REFUSED_FROM) & ~chosen
        refused = np.flatnonzero(chosen)
        if not len(refused):
            continue
        listed = texts.texts if isinstance(texts, refusals.Refusals) else list(texts.values())
        there = states[refused]
        sample = np.full(int(there.max()) + 1, -1, dtype=np.int32)
        sample[there] = np.arange(len(refused))
        code_of = np.zeros(len(sample), dtype=np.int16)
        for state in np.flatnonzero(sample >= 0).tolist():
            refusal = never, listed[int(sample[state])]
            code_of[state] = numbers.setdefault(refusal, len(numbers))
        codes[refused] = code_of[there]
    return list(numbers), codes


def _by_name(
    names: Sequence[str], found: verb_results.FilterResult
) -> tuple[list[tuple[bool, str]], NDArray[np.int16]]:
    codes = np.full(len(names), -1, dtype=np.int16)
    numbers: dict[tuple[bool, str], int] = {}
    if found.failed or found.unresolvable:
        for at, name in enumerate(names):
            refusal = _refusal(found, name)
            if refusal[1]:
                codes[at] = numbers.setdefault(refusal, len(numbers))
    return list(numbers), codes


def _parts(
    scored: scored_nodes.ScoredNodes, chosen: list[int], scoring: scorer.Scorer
) -> dict[str, list[float]]:
    """Part of the cost → its value at each of these positions."""
    parts = scored.parts
    if not parts and scored.resolved.question:
        costs = scoring.cost_by_part(scored.resolved, scored.some(chosen).candidates)
        return {name: values.tolist() for name, values in costs.parts.items()}
    return {name: values[chosen].tolist() for name, values in parts.items()}


def _leading(scored: scored_nodes.ScoredNodes) -> list[int]:
    """The positions of the best nodes: by score, of equal ones the least cost, then the first."""
    scores = scored.scores
    if len(scores) > BEST:
        least = np.partition(scores, len(scores) - BEST)[len(scores) - BEST]
        above = np.flatnonzero(scores >= least)
        if len(above) > 16 * BEST:
            # Many share the last score; of these any few will do that cost the least.
            better = np.flatnonzero(scores > least)
            equal = np.flatnonzero(scores == least)
            cheap = np.argpartition(scored.cost[equal], BEST)[:BEST]
            above = np.concatenate([better, equal[np.sort(cheap)]])
    else:
        above = np.arange(len(scores))
    order = np.lexsort((scored.tie[above], scored.cost[above], -scores[above]))
    found: list[int] = above[order[:BEST]].tolist()
    return found
