"""Which of the offered evictions make room that our own filter would then accept.

kube-scheduler's dry run never asks a filter extender, so without this verb it may evict on a node
that we refuse afterwards. A node stays when the pod fits there once the victims are gone. Where
they are not enough, lower-priority pods that hold devices are added, as few as will do. Where they
leave the pod with devices far apart, an equally small set that leaves close ones is offered.
What was offered is spared only where all that kube-scheduler counts is known to fit without it; and
where the pod would fit with nobody gone, something else counts, and all stays as it was offered.
PodDisruptionBudgets are not watched, so each victim of our own choice counts as a violation, unless
it is being deleted anyway: a node that needs none of those is preferred.

A call has an allowance of work. Beyond it the offer stands as it came, on the nodes that
kube-scheduler is least likely to choose; the next call for such a pod goes on from there.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping

from extender.cluster import index, store
from extender.decisions import verb_results
from extender.decisions.eviction import (
    node_fit,
    node_without,
    remembered_choices,
    victim_search,
)
from extender.demand import work
from extender.hardware.usage import NOTHING
from extender.kube.api import objects
from extender.verdicts import evaluator, per_node, verdict_table
from extender.verdicts.evaluator import Verdict

_CLOSE_ENOUGH = 0.999  # of the locality score
# Units of work: to compare a node with what it was, and for a pod there; to begin with a node that
# is another one; to work out what is in use without some pods, and for a pod or claim there; and to
# add up what a pod there requests.
_COMPARING, _PER_OBJECT, _NODE, _USAGE, _PER_POD, _AMOUNTS = 3, 0.1, 8, 7, 1, 2


_NOT_YET = {evaluator.NOT_YET, per_node.NOT_YET.detail}


@dataclasses.dataclass(frozen=True, slots=True)
class KeptNodes:
    """The nodes on which to evict, each with its victims; `unjudged` of them are as offered."""

    nodes: dict[str, verb_results.Victims]
    unjudged: int = 0


def keep(
    pod: objects.Pod,
    offered: Mapping[str, verb_results.Victims],
    *,
    kind: remembered_choices.Kind,
    on: Callable[[str], verdict_table.Verdicts],
    cluster: index.TopologyIndex,
    known: remembered_choices.RememberedChoices,
    spending: work.Work,
) -> KeptNodes:
    """The offered nodes on which eviction helps, each with the pods to evict.

    `kind`: the pod's question and what else is the same for pods like it. `on` has the verdicts on
    the question as they are for a node. `spending`: what the call may do.
    """
    found: dict[str, verb_results.Victims | None] = {}
    unjudged = 0
    for name in sorted(offered, key=lambda name: _rank(offered[name])):
        given, detail = offered[name], cluster.detail(name)
        if detail is None:
            found[name] = given  # not known here: as kube-scheduler decided
            continue
        try:
            spending.check()
            found[name] = _chosen(
                pod,
                given,
                detail,
                kind=kind,
                table=on(name),
                cluster=cluster,
                known=known,
                spending=spending,
            )
        except work.SpentError:
            found[name] = given
            unjudged += 1
    return KeptNodes(
        {name: chosen for name in offered if (chosen := found[name]) is not None}, unjudged
    )


def _rank(given: verb_results.Victims) -> tuple[int, int]:
    """Lower is more likely to be chosen by kube-scheduler, which looks at priorities between."""
    return given.pdb_violations, len(given.pods)


def _chosen(
    pod: objects.Pod,
    given: verb_results.Victims,
    detail: index.Row,
    *,
    kind: remembered_choices.Kind,
    table: verdict_table.Verdicts,
    cluster: index.TopologyIndex,
    known: remembered_choices.RememberedChoices,
    spending: work.Work,
) -> verb_results.Victims | None:
    """The pods to evict on one node; None where no evictions help. Raises work.SpentError."""
    nominated = _nominated(pod, detail.name, cluster.store)
    now = remembered_choices.seen(pod, detail, cluster, nominated)
    spending.spend(_COMPARING + int(_PER_OBJECT * (len(now.objects) + len(given.pods))))
    remembered = known.of(kind, detail.name, now, given)
    if remembered is not None:
        return remembered[0]
    node_victims = known.begun(kind, detail.name, now, given)
    if not isinstance(node_victims, _NodeVictims):
        node_victims = _NodeVictims(pod, detail, nominated, table, cluster, spending)
    try:
        chosen = node_victims.chosen(given)
    except work.SpentError:
        known.leave(kind, detail.name, now, given, node_victims)
        raise
    known.keep(kind, detail.name, now, given, chosen)
    return chosen


def _nominated(pod: objects.Pod, name: str, source: store.ClusterStore) -> tuple[objects.Pod, ...]:
    """Pods that wait for this node; kube-scheduler counts those that are no less important."""
    mine = pod.spec.priority or 0
    return tuple(
        each
        for each in source.nominated_on.get(name, {}).values()
        if (each.spec.priority or 0) >= mine and each.metadata.uid != pod.metadata.uid
    )


def passing(
    found: verb_results.FilterResult,
    agreed: Mapping[str, verb_results.Victims],
    *,
    on: Callable[[str], verdict_table.Verdicts],
    cluster: index.TopologyIndex,
) -> verb_results.FilterResult:
    """Let the refused nodes pass where the pod would fit if the agreed victims were not there."""
    failed = dict(found.failed)
    for name in agreed.keys() & failed.keys():
        detail, gone = cluster.detail(name), frozenset(agreed[name].pods)
        if detail is not None and _verdict(gone, (), detail, on(name), cluster).fits:
            del failed[name]
    return verb_results.FilterResult(failed, found.unresolvable, found.unknown)


class _NodeVictims:
    """One node, the pod that wants to be there, and who is there now."""

    def __init__(
        self,
        pod: objects.Pod,
        detail: index.Row,
        nominated: tuple[objects.Pod, ...],
        table: verdict_table.Verdicts,
        cluster: index.TopologyIndex,
        spending: work.Work,
    ) -> None:
        self._pod, self._detail, self._table, self._cluster = pod, detail, table, cluster
        self._nominated = nominated
        self._work = spending
        present = cluster.store.pods_on.get(detail.name, {}).values()
        spending.spend(_NODE + len(present))
        self._present = {each.metadata.uid: each for each in present}
        self._verdicts: dict[frozenset[str], Verdict] = {}  # pods gone → verdict

    @functools.cached_property
    def _candidates(self) -> list[victim_search.Evictable]:
        """The pods that may be evicted: less important, and holding devices."""
        mine = self._pod.spec.priority or 0
        holding = node_without.holding(self._detail, self._cluster.store)
        self._work.spend(_PER_POD * len(self._present))
        return [
            victim_search.Evictable(
                uid=uid,
                priority=each.spec.priority or 0,
                started=each.status.start_time or "",
                leaving=each.metadata.deletion_timestamp is not None,
                holds=holding[uid],
            )
            for uid, each in self._present.items()
            if uid in holding and (each.spec.priority or 0) < mine
        ]

    def chosen(self, offered: verb_results.Victims) -> verb_results.Victims | None:
        """The pods to evict; None where no evictions help."""
        hardware = self._detail.machine.shape
        empty = _found(self._table.verdict(self._cluster.states.number(hardware, NOTHING)))
        if not empty.fits:
            return None  # not even an empty node would do
        given = frozenset(offered.pods)
        if not given <= self._present.keys():
            return offered  # our picture lags: never invent, never drop
        added = frozenset[str]()
        if self._fits(given):
            if not given or self._does(added):
                return offered  # what kube-scheduler refused the node for is not known here
        else:
            found = victim_search.additions(given, self._candidates, self._fits)
            if found is None:
                return None
            added = found
        gone = self._without_needless(given | added, given)
        return self._answer(self._closer(gone, given), offered)

    def _fits(self, gone: frozenset[str]) -> bool:
        return self._without(gone).fits

    def _locality(self, gone: frozenset[str]) -> float:
        verdict = self._without(gone)
        return verdict.locality.score if verdict.locality is not None else 1.0

    def _without(self, gone: frozenset[str]) -> Verdict:
        known = self._verdicts.get(gone)
        if known is None:
            self._work.check()
            there = len(self._present) + len(self._nominated)
            self._work.spend(_USAGE + _PER_POD * there)
            known = _verdict(gone, self._nominated, self._detail, self._table, self._cluster)
            self._verdicts[gone] = _found(known)
        return known

    # ------------------------------------------------------------ what was offered

    @functools.cached_property
    def _counted(self) -> node_fit.NodeFit:
        self._work.spend(_AMOUNTS * (len(self._present) + len(self._nominated)))
        held = self._cluster.reservations.on(self._detail.name)
        return node_fit.NodeFit(
            self._pod,
            self._detail.node,
            (*self._present.values(), *self._nominated),
            [each for each in held if each.pod != self._pod.metadata.uid],
        )

    def _fixed(self, given: frozenset[str]) -> frozenset[str]:
        """The offered victims that must go for all we know."""
        if not node_fit.by_amounts_alone(self._pod) or not self._counted.fits_without(given):
            return given  # kube-scheduler counts something that we do not see
        return frozenset([uid for uid in given if node_fit.repels(self._present[uid])])

    def _without_needless(self, gone: frozenset[str], given: frozenset[str]) -> frozenset[str]:
        """The victims but for those of the offered ones whose end helps nothing."""
        for uid in sorted(given, key=self._importance):
            if self._does(gone - {uid}) and uid not in self._fixed(given):
                gone -= {uid}
        return gone

    def _does(self, gone: frozenset[str]) -> bool:
        # Devices first: they are mostly what is short, and amounts take longer to add up.
        return self._fits(gone) and self._counted.fits_without(gone)

    def _closer(self, gone: frozenset[str], given: frozenset[str]) -> frozenset[str]:
        """An equally small and unimportant set that leaves closer devices, else the same one."""
        best = self._locality(gone)
        if best >= _CLOSE_ENOUGH:
            return gone
        fixed = self._fixed(given)
        most = self._priorities(gone)
        ordered = [each.uid for each in victim_search.least_important_first(self._candidates)]
        others = [uid for uid in ordered if uid not in given]
        free = [*sorted(given - fixed), *others]
        sets = itertools.combinations(free, len(gone - fixed))
        chosen = gone
        for picked in itertools.islice(sets, victim_search.MOST_SETS):
            found = fixed.union(picked)
            if self._priorities(found) > most or not self._does(found):
                continue
            locality = self._locality(found)
            needed = not any(self._does(found - {uid}) for uid in picked)
            if locality > best and needed:
                best, chosen = locality, found
            if best >= _CLOSE_ENOUGH:
                break
        return chosen

    # ------------------------------------------------------------ the answer

    def _importance(self, uid: str) -> tuple[int, str, str]:
        pod = self._present[uid]
        return -(pod.spec.priority or 0), pod.status.start_time or "~", uid

    def _priorities(self, gone: frozenset[str]) -> list[int]:
        return sorted((self._present[uid].spec.priority or 0 for uid in gone), reverse=True)

    def _answer(self, gone: frozenset[str], offered: verb_results.Victims) -> verb_results.Victims:
        """The victims by falling priority, as kube-scheduler compares nodes by the first."""
        given = frozenset(offered.pods)
        if gone == given:
            return offered
        ours = [uid for uid in gone - given if not self._present[uid].metadata.deletion_timestamp]
        return verb_results.Victims(
            pods=tuple(sorted(gone, key=self._importance)),
            pdb_violations=min(offered.pdb_violations, len(gone & given)) + len(ours),
        )


def _found(verdict: Verdict) -> Verdict:
    """The verdict; SpentError where it says that the allowance ended before there was one."""
    if verdict.detail in _NOT_YET:
        raise work.SpentError(verdict.detail)
    return verdict


def _verdict(
    gone: frozenset[str],
    nominated: tuple[objects.Pod, ...],
    detail: index.Row,
    table: verdict_table.Verdicts,
    cluster: index.TopologyIndex,
) -> Verdict:
    """The verdict on the node without these pods and the claims that only they use."""
    usage = node_without.usage(detail, cluster, gone, nominated)
    return table.verdict(cluster.states.number(detail.machine.shape, usage))
