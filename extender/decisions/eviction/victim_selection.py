"""Which of the offered evictions make room that our own filter would then accept.

kube-scheduler's dry run never asks a filter extender, so without this verb it may evict on a node
that we refuse afterwards. A node stays when the pod fits there once the victims are gone. Where
they are not enough, lower-priority pods that hold devices are added, as few as will do. Where they
leave the pod with distant devices, an equally small set that leaves near ones is offered instead.
What was offered is spared only where all that kube-scheduler counts is known to fit without it; and
where the pod would fit with nobody gone, something else counts, and all stays as it was offered.
PodDisruptionBudgets are not watched, so each victim of our own choice counts as a violation, unless
it is being deleted anyway: a node that needs none of those is preferred.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping

from extender.cluster import index
from extender.decisions import verb_results
from extender.decisions.eviction import node_fit, node_without, victim_search
from extender.hardware.usage import NOTHING
from extender.kube.api import objects
from extender.verdicts import verdict_table
from extender.verdicts.evaluator import Verdict

_NEAR_ENOUGH = 0.999  # of the locality score


def keep(
    pod: objects.Pod,
    offered: Mapping[str, verb_results.Victims],
    *,
    on: Callable[[str], verdict_table.Verdicts],
    cluster: index.TopologyIndex,
) -> dict[str, verb_results.Victims]:
    """The offered nodes on which eviction helps, each with the pods to evict.

    `on` has the verdicts on the pod's question as they are for a node.
    """
    kept: dict[str, verb_results.Victims] = {}
    for name, given in offered.items():
        detail = cluster.detail(name)
        if detail is None:
            kept[name] = given  # not known here: as kube-scheduler decided
            continue
        chosen = _Place(pod, detail, on(name), cluster).chosen(given)
        if chosen is not None:
            kept[name] = chosen
    return kept


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


class _Place:
    """One node, the pod that wants to be there, and who is there now."""

    def __init__(
        self,
        pod: objects.Pod,
        detail: index.Row,
        table: verdict_table.Verdicts,
        cluster: index.TopologyIndex,
    ) -> None:
        self._pod, self._detail, self._table, self._cluster = pod, detail, table, cluster
        mine = pod.spec.priority or 0
        source = cluster.store
        self._present = {
            each.metadata.uid: each for each in source.pods_on.get(detail.name, {}).values()
        }
        # kube-scheduler counts those that wait for this node and are no less important.
        self._nominated = tuple(
            each
            for each in source.nominated_on.get(detail.name, {}).values()
            if (each.spec.priority or 0) >= mine and each.metadata.uid != pod.metadata.uid
        )
        holding = node_without.holding(detail, source)
        self._candidates = [
            victim_search.Candidate(
                uid=uid,
                priority=each.spec.priority or 0,
                started=each.status.start_time or "",
                leaving=each.metadata.deletion_timestamp is not None,
                holds=holding[uid],
            )
            for uid, each in self._present.items()
            if uid in holding and (each.spec.priority or 0) < mine
        ]
        self._verdicts: dict[frozenset[str], Verdict] = {}  # pods gone → verdict

    def chosen(self, offered: verb_results.Victims) -> verb_results.Victims | None:
        """The pods to evict; None where no evictions help."""
        hardware = self._detail.machine.shape
        empty = self._table.verdict(self._cluster.states.number(hardware, NOTHING))
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
        fixed = self._fixed(given)
        gone = self._without_needless(given | added, given - fixed)
        return self._answer(self._nearer(gone, given, fixed), offered)

    def _fits(self, gone: frozenset[str]) -> bool:
        return self._without(gone).fits

    def _nearness(self, gone: frozenset[str]) -> float:
        verdict = self._without(gone)
        return verdict.locality.score if verdict.locality is not None else 1.0

    def _without(self, gone: frozenset[str]) -> Verdict:
        known = self._verdicts.get(gone)
        if known is None:
            known = _verdict(gone, self._nominated, self._detail, self._table, self._cluster)
            self._verdicts[gone] = known
        return known

    # ------------------------------------------------------------ what was offered

    @functools.cached_property
    def _counted(self) -> node_fit.NodeFit:
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

    def _without_needless(self, gone: frozenset[str], optional: frozenset[str]) -> frozenset[str]:
        """The victims but for those of the optional ones whose end helps nothing."""
        for uid in sorted(optional, key=self._importance):
            if self._does(gone - {uid}):
                gone -= {uid}
        return gone

    def _does(self, gone: frozenset[str]) -> bool:
        return self._counted.fits_without(gone) and self._fits(gone)

    def _nearer(
        self, gone: frozenset[str], given: frozenset[str], fixed: frozenset[str]
    ) -> frozenset[str]:
        """An equally small and unimportant set that leaves nearer devices, else the same one."""
        best = self._nearness(gone)
        if best >= _NEAR_ENOUGH:
            return gone
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
            nearness = self._nearness(found)
            needed = not any(self._does(found - {uid}) for uid in picked)
            if nearness > best and needed:
                best, chosen = nearness, found
            if best >= _NEAR_ENOUGH:
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
