"""The verb preempt: what to evict, what was granted, and what filter makes of it afterwards."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

from extender import bounded_cache
from extender.cluster import index
from extender.decisions import verb_results
from extender.decisions.eviction import nominations, remembered_choices, victim_selection
from extender.demand import work
from extender.kube.api import objects
from extender.verdicts import resolver, verdict_sources


class Preemption:
    """Chooses victims, and remembers for whom; `spending` is what the call may do."""

    def __init__(
        self,
        cluster: index.TopologyIndex,
        verdicts: verdict_sources.VerdictSources,
        spending: work.Work,
    ) -> None:
        self._index = cluster
        self._verdicts = verdicts
        self._work = spending
        self._granted = nominations.Nominations()
        self._choices = remembered_choices.RememberedChoices()

    def caches(self) -> Iterator[bounded_cache.Figures]:
        """How full its caches are."""
        yield self._granted.figures
        yield self._choices.figures

    def choose(
        self,
        pod: objects.Pod,
        resolved: resolver.ResolvedPod,
        offered: Mapping[str, verb_results.Victims],
        *,
        policy: Hashable,
        now: float,
    ) -> victim_selection.KeptNodes:
        """The nodes on which to evict, which are granted to the pod; `policy` tells policies apart.

        `now` is in seconds.
        """
        self._work.allow_call(work.PREEMPTING)
        question = resolved.by_node or resolved.question
        kept = victim_selection.keep(
            pod,
            offered,
            kind=(question, self._index.surroundings, policy),
            on=self._verdicts.of(resolved),
            cluster=self._index,
            known=self._choices,
            spending=self._work,
        )
        self._granted.agree(pod.metadata.uid, kept.nodes, now=now)
        return kept

    def granted(self, uid: str, *, now: float) -> Mapping[str, verb_results.Victims]:
        """The victims granted to the pod on each node, empty for a pod that preempts nothing."""
        return self._granted.of(uid, now=now) if self._granted else {}

    def passing(
        self,
        found: verb_results.FilterResult,
        granted: Mapping[str, verb_results.Victims],
        resolved: resolver.ResolvedPod,
    ) -> verb_results.FilterResult:
        """Let pass where the pod fits without the victims it was granted, seen to go or not."""
        on = self._verdicts.of(resolved)
        return victim_selection.passing(found, granted, on=on, cluster=self._index)

    def forget(self, uid: str) -> None:
        """The pod has its node, or is gone."""
        self._granted.forget(uid)
