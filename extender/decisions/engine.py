"""Filter and prioritize: a pure function of the request, the index and the prices.

A request is a gather: names → rows → states → verdicts, judged once per distinct state. Nothing
here awaits, reads a clock or writes; soft reservations are the one thing a decision leaves behind.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index, store
from extender.cluster.pods import gangs
from extender.decisions import (
    allocated_claims,
    recorder_interface,
    refusals,
    scored_nodes,
    scorer,
    verb_results,
    watch_changes,
    work_ahead,
)
from extender.decisions.eviction import preemption
from extender.decisions.expected import assumed, expected_placement, prediction_log
from extender.decisions.ticket import Ticket
from extender.demand import pod as pods
from extender.demand import work
from extender.kube.api import objects
from extender.policy import config
from extender.pricing import headroom
from extender.pricing.mix import observer
from extender.verdicts import evaluator, per_node, resolver, verdict_table
from extender.verdicts import verdict_sources as sources
from extender.verdicts.query import Query


class Engine:
    """Judges pods. `clock` gives the deadlines of reservations their `now`."""

    def __init__(
        self,
        source: store.ClusterStore,
        cluster: index.TopologyIndex,
        verdicts: evaluator.Evaluator,
        *,
        single: per_node.PerNodeVerdicts,
        policy: config.Policy = config.DEFAULT,
        clock: Callable[[], float],
        patient: bool = True,
        on_prediction: Callable[[str, prediction_log.Mismatch | None], None] = lambda *_: None,
    ) -> None:
        self.store = source
        self.index = cluster
        self.policy = policy
        self.resolver = _resolver(source, cluster, single)
        self.judge = verdicts
        self.work = verdicts.work
        self.tables = verdict_table.VerdictTables(verdicts)
        self.verdicts = sources.VerdictSources(cluster, self.tables, single)
        self.pricer = self._pricer(patient=patient)
        self.ahead = work_ahead.WorkAhead(cluster, self.verdicts, self.pricer, self.work)
        self._learning = observer.DemandObserver(
            self.resolver, self.pricer, self.work, on_kind=self.ahead.kinds.want
        )
        self.gangs = gangs.Gangs()
        self.scoring = scorer.Scorer(cluster, self.pricer, self.gangs)
        self.predictions = prediction_log.PredictionLog(cluster, self.tables, on_prediction)
        self.recorder: recorder_interface.Recorder = recorder_interface.NoRecorder()
        self.assumed = assumed.AssumedPods(cluster, self.gangs, self.predictions)
        self._expected = expected_placement.ExpectedPlacement(
            cluster, self.verdicts, self.predictions, self.assumed, clock
        )
        self.evictions = preemption.Preemption(cluster, self.verdicts, self.work)
        self.unjudged = Counter(dict.fromkeys(resolver.UNJUDGED, 0))  # why → pods passed so
        self._clock = clock
        self._policies = 0  # moves with the policy
        self._changed = 0  # rows that changed since prices were settled
        self.use(policy)
        source.listeners.append(self._changes().observe)

    def _pricer(self, *, patient: bool) -> headroom.HeadroomPricer:
        return headroom.HeadroomPricer(
            self.index,
            self.table,
            self.judge.matches,
            judges=self.resolver.judges,
            patient=patient,
            spending=self.work,
        )

    def _changes(self) -> watch_changes.WatchChanges:
        parts = self.resolver, self._learning, self.evictions, self.assumed, self.work
        return watch_changes.WatchChanges(*parts)

    def use(self, policy: config.Policy) -> None:
        """Judge by another policy from now on."""
        if policy.step_budget != self.policy.step_budget:
            self.tables.clear()
        self.policy = policy
        self._policies += 1
        if self.index.builder.extend(policy.device_resources):
            self.store.marked.everything_due = True
        self.judge.configure(budget=policy.step_budget)
        self.verdicts.single.configure(budget=policy.step_budget)
        self.pricer.configure(policy.packing, cpu_pods_scored=policy.cpu_pods == "Score")
        self.scoring.configure(tuple(dict.fromkeys(policy.avoid_conditions)))

    def concerns(self, pod: objects.Pod) -> bool:
        """Whether the pod asks for devices; the cheap first question of a request."""
        return pods.concerns(pod)

    def scores(self, pod: objects.Pod) -> bool:
        """Whether prioritize has an opinion: on device pods, and where policy says on all."""
        return pods.concerns(pod) or (self.policy.cpu_pods == "Score" and self.pricer.priced)

    def table(self, question: Query) -> verdict_table.VerdictTable:
        return self.tables.of(question, self.index.states, self.index.surroundings)

    def filter(self, pod: objects.Pod, names: Sequence[str]) -> verb_results.FilterResult:
        """Refuse the nodes where the pod cannot get its devices; unknown nodes pass."""
        self.assumed.withdraw(pod.metadata.uid)
        found = self.filter_only(pod, names)
        if found.failed:
            found = self._once_victims_are_gone(pod, found)
        if len(names) - len(found.failed) - len(found.unresolvable) == 1:
            # A refused name that was asked twice leaves none.
            for name in found.passing(names)[:1]:
                resolved = self.resolver.resolve(pod, self.policy)
                if isinstance(resolved, resolver.ResolvedPod):
                    seconds = self.policy.reservation_seconds
                    self._expected.only(pod, resolved, name, seconds=seconds)
        self.recorder.filtered(self, pod, names, found)
        return found

    def filter_only(self, pod: objects.Pod, names: Sequence[str]) -> verb_results.FilterResult:
        """Judge as filter does, and leave nothing behind."""
        resolved = self._resolve(pod)
        if isinstance(resolved, resolver.NotJudged):
            self.unjudged[resolved.kind] += 1
            return verb_results.FilterResult()
        return self.filter_resolved(pod, resolved, names)

    def filter_resolved(
        self, pod: objects.Pod, resolved: resolver.ResolvedPod, names: Sequence[str]
    ) -> verb_results.FilterResult:
        """Judge what the pod was found to ask for; all is settled already."""
        if not resolved.question and not resolved.bound_to:
            return verb_results.FilterResult()
        rows = self.index.rows_of(names)
        self.ahead.asked(resolved, names, rows)
        known = rows >= 0
        unknown = len(names) - int(np.count_nonzero(known))
        judged = self.verdicts.judged(resolved, rows, known)
        self.unjudged[resolver.UNFINISHED] += self.work.spent or self.verdicts.passed_unread
        names = names if isinstance(names, list) else list(names)
        distinct = self.index.distinct(rows if not unknown else rows[known])
        refused, unresolvable = refusals.of(names, judged, distinct=distinct)
        if resolved.bound_to:
            asked = refusals.kept(names, known)
            elsewhere = allocated_claims.elsewhere(resolved, asked, self.index)
            refused, unresolvable = refusals.moved(refused, unresolvable, elsewhere)
            return verb_results.FilterResult(refused, unresolvable, unknown=unknown)
        kept, passing = names, rows
        if refused or unresolvable:
            passes = ~judged.refused
            kept, passing = refusals.kept(names, passes), rows[passes]
        ticket = Ticket(pod, kept, passing, self.index.layout, resolved, moment=self.moment)
        kept_for = None if resolved.by_node is not None else (rows, judged.codes)
        distinct = distinct and not unknown
        return verb_results.FilterResult(refused, unresolvable, unknown, ticket, distinct, kept_for)

    def prioritize(
        self, pod: objects.Pod, names: Sequence[str], ticket: Ticket | None = None
    ) -> NDArray[np.int64]:
        """Score the nodes, parallel to `names`; empty where we have no opinion.

        `ticket` is filter's, where it was about this pod and these names; see there.
        """
        ticket = ticket or Ticket(pod, list(names))
        scored = self._still_valid(ticket)
        if scored is None:
            # A repeated call, or one without filter: its own reservation must not count against it.
            self.assumed.withdraw(pod.metadata.uid)
            scored = self._scored_for(ticket, settled=ticket.scored is not None)
        if scored is None:
            return np.zeros(0, dtype=np.int64)
        self.recorder.prioritized(self, pod, names, scored)
        seconds = self.policy.reservation_seconds
        self._expected.ranked_first(pod, names, scored, seconds=seconds)
        return scored.scores

    def prepare(self, ticket: Ticket) -> Ticket:
        """The ticket with what prioritize would answer now; nothing else is left behind."""
        self.settle()
        resolved = ticket.resolved_at(self.moment) or self._resolve(ticket.pod)
        # Members of a gang come and go without moving what an answer rests on.
        if isinstance(resolved, resolver.NotJudged) or resolved.together:
            return ticket
        scored = self.scored(resolved, ticket.rows_in(self.index), with_parts=False)
        return dataclasses.replace(ticket, resolved=resolved, scored=scored, moment=self.moment)

    def _still_valid(self, ticket: Ticket) -> scored_nodes.ScoredNodes | None:
        """What was worked out ahead, if nothing has changed since."""
        if ticket.scored is not None:
            self.settle()
        return ticket.scored if ticket.moment == self.moment else None

    @property
    def moment(self) -> tuple[int, int, int, int]:
        """What answers rest on, once all is settled; another one when any of it changed."""
        return self.index.writes, self.pricer.epoch, self.store.demands_version, self._policies

    def preempt(
        self, pod: objects.Pod, offered: Mapping[str, verb_results.Victims]
    ) -> dict[str, verb_results.Victims]:
        """Keep the nodes where the pod fits once the victims are gone; unjudged pods keep all."""
        resolved = self._resolve(pod)
        if isinstance(resolved, resolver.NotJudged) or not resolved.question:
            return dict(offered)
        now = self._clock()
        kept = self.evictions.choose(pod, resolved, offered, policy=self._policies, now=now)
        self.unjudged[resolver.UNFINISHED] += kept.unjudged > 0
        return kept.nodes

    def score(
        self, pod: objects.Pod, names: Sequence[str], *, with_parts: bool = True
    ) -> scored_nodes.ScoredNodes | None:
        """Judge as prioritize does, and leave nothing behind."""
        return self._scored_for(Ticket(pod, list(names)), with_parts=with_parts)

    def _scored_for(
        self, ticket: Ticket, *, with_parts: bool = False, settled: bool = False
    ) -> scored_nodes.ScoredNodes | None:
        resolved = self._resolve(ticket.pod, settled=settled)
        if isinstance(resolved, resolver.NotJudged):
            return None
        return self.scored(resolved, ticket.rows_in(self.index), with_parts=with_parts)

    def _resolve(self, pod: objects.Pod, *, settled: bool = False) -> resolver.Resolution:
        """What the pod asks for, once all that has happened is taken in, or only rows are."""
        self.index.settle() if settled else self.settle()
        return self.resolver.resolve(pod, self.policy)

    def scored(
        self, resolved: resolver.ResolvedPod, rows: NDArray[np.int32], *, with_parts: bool
    ) -> scored_nodes.ScoredNodes | None:
        """Score these rows; all is settled already."""
        if not (rows >= 0).any():
            return None
        states = self.index.expected[rows]
        if (unknown := rows < 0).any():
            states[unknown] = self.index.expected[rows.max()]
        candidates = scorer.CandidateNodes(self.table(resolved.question), rows, states)
        if resolved.question:
            candidates.table.fill(states)
            cost = self.scoring.cost_by_part if with_parts else self.scoring.total_cost
            costs = cost(resolved, candidates)
        elif self.pricer.priced and self.policy.cpu_pods == "Score":
            costs = self.scoring.cost_of_cpu_pod(resolved, candidates)
        else:
            return None
        order, maximum = self.index.order[rows], self.policy.scores.maximum
        return scored_nodes.of(resolved, candidates, costs, maximum=maximum, order=order)

    def _once_victims_are_gone(
        self, pod: objects.Pod, found: verb_results.FilterResult
    ) -> verb_results.FilterResult:
        """Let pass where the pod fits without the victims it was granted, seen to go or not."""
        granted = self.evictions.granted(pod.metadata.uid, now=self._clock())
        resolved = self.resolver.resolve(pod, self.policy) if granted else None
        if not isinstance(resolved, resolver.ResolvedPod):
            return found
        return self.evictions.passing(found, granted, resolved)

    @property
    def unsettled(self) -> bool:
        """Whether there is something to do that no request has come for."""
        waiting = self.store.pending or self.unfinished or self.ahead.unfinished
        return waiting or self.assumed.overdue(self._clock())

    def expire(self) -> None:
        """End the reservations that are past their deadline."""
        self.assumed.expire(self._clock())

    def settle(self, *, rest: bool = False, between: bool = False) -> None:
        """Bring the index, the mix and the prices up to date; at `rest` however little is new.

        `between`: no call waits for it, so it does less at a time, and one that comes waits less.
        """
        self.work.allow_settling(between=between)
        self.expire()
        self.recorder.condense(awaited=False)
        self.index.settle()
        self.verdicts.single.begin()
        self._learning.learn(self.policy)
        self._take_changed_rows()
        self.pricer.settle(self._changed, rest=rest)
        self._changed = 0
        self.work.settled()
        self.work.allow_call(work.JUDGING)

    def read_nodes(self, most: int) -> int:
        """Read what has changed of at most so many nodes, between calls; how many those were.

        What scores read of them is read along: of 5,000 nodes at once it took 60 to 120 ms.
        """
        self.recorder.condense(awaited=False)
        read = self.index.settle(most=most)
        self._take_changed_rows()
        return read

    def _take_changed_rows(self) -> None:
        changed = self.index.take_changed()
        self.scoring.refresh(changed)
        self._changed += len(changed)

    @property
    def unfinished(self) -> bool:
        """Whether the next settling has something to go on with."""
        return self.pricer.unfinished or bool(self._learning) or self.verdicts.unfinished

    @property
    def unlearnt(self) -> int:
        """Pods that the watch has shown and nothing was learnt from yet."""
        return len(self._learning)


def _resolver(
    source: store.ClusterStore, cluster: index.TopologyIndex, single: per_node.PerNodeVerdicts
) -> resolver.Resolver:
    resources = lambda: cluster.builder.hardware.resources  # noqa: E731 - read anew each time
    return resolver.Resolver(source, cluster.builder.features, resources, single.splitter)
