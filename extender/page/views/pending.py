"""Pods that wait: equal ones together, with what refuses them, counted over the nodes.

A group is judged as filter would judge its first pod, on every node; where nodes pass, what
kube-scheduler's own filters say of these is counted, too. Nothing is reserved by it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Sequence

from extender.cluster import relevant_fields, store
from extender.decisions import engine, verb_results
from extender.decisions.explanation import explain_demand, in_tree_filters
from extender.demand import pod as pods
from extender.kube.api import objects
from extender.page import timed_batches
from extender.policy import config
from extender.verdicts import resolver

_PODS = 64  # pods looked at in one turn
# Of one page, groups times nodes: 40,000 take half a second of the processor, in turns.
_MOST_JUDGED = 40_000
_MOST_GROUPS = 24
_KEPT_SECONDS = 30.0  # that a group's judgement is shown again
# Of the processor, that one page spends on judging: what is left over the next one goes on with.
_A_PAGE_SECONDS = 0.1
_MOST_REASONS = 12
_RefusalKey = tuple[str, bool, bool]  # (text, whether evictions change nothing, ours)
_WAITS = frozenset({"Pending", ""})


@dataclasses.dataclass(frozen=True, slots=True)
class Reason:
    """Why some nodes refuse: `lasting` if evictions change nothing, `ours` or kube-scheduler's."""

    text: str
    nodes: int
    example: str
    lasting: bool
    ours: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class GroupJudgement:
    """How the nodes stand to a pod: `passing` ones by both filters, the others by reason.

    `fitting` are the names of those that pass.
    """

    demand: str
    passing: int
    nodes: int
    reasons: tuple[Reason, ...] = ()
    note: str = ""  # why it is not judged
    fitting: tuple[str, ...] = ()

    @property
    def never(self) -> int:
        """Nodes whose hardware the pod cannot use, whoever leaves."""
        return sum(each.nodes for each in self.reasons if each.lasting)

    @property
    def verdict(self) -> str:
        """In a few words."""
        if self.note:
            return "not judged"
        return f"fits {self.passing} of {self.nodes} nodes" if self.passing else "fits no node"


@dataclasses.dataclass(frozen=True, slots=True)
class PendingGroup:
    """Waiting pods that ask for the same; the first has waited longest.

    `judged` is None beyond what one page judges, and while the first judgement is `unfinished`.
    """

    pods: tuple[objects.Pod, ...]
    judged: GroupJudgement | None
    unfinished: bool = False

    @property
    def first(self) -> objects.Pod:
        return self.pods[0]

    @property
    def main_reason(self) -> Reason | None:
        """What most nodes that could take them say: evictions might change it; None if none does.

        Where no node could ever take them it is what most nodes say.
        """
        reasons = self.judged.reasons if self.judged is not None else ()
        return max(reasons, key=lambda each: (not each.lasting, each.nodes), default=None)


def waiting(source: store.ClusterStore) -> Generator[None, None, list[objects.Pod]]:
    """The pods that ask for devices and have no node, the oldest first, in turns."""
    found = []
    for number, pod in enumerate(list(source.pods.values())):
        if number % _PODS == 0:
            yield
        if is_waiting(pod) and pods.concerns(pod):
            found.append(pod)
    yield
    return sorted(found, key=lambda pod: (pod.metadata.creation_timestamp or "", pod.metadata.name))


_Judging = Generator[None, None, GroupJudgement]


class Groups:
    """The waiting pods by what they ask for; each group is judged every half minute at the most.

    A page judges for a tenth of a second and shows what is known by then; the next page goes on.
    `spent` is the processor's time in seconds.
    """

    def __init__(
        self, clock: Callable[[], float], *, spent: Callable[[], float] = time.thread_time
    ) -> None:
        self._clock = clock
        self._spent = spent
        self._known: dict[
            object, tuple[float, GroupJudgement]
        ] = {}  # what they ask for → when, how judged
        self._begun: dict[object, _Judging] = {}  # what they ask for → the judgement under way
        self._asked: tuple[engine.Engine, config.Policy] | None = None

    def of(
        self,
        judging: engine.Engine,
        *,
        seconds: float = _A_PAGE_SECONDS,
        among: Sequence[objects.Pod] | None = None,
    ) -> Generator[None, None, list[PendingGroup]]:
        """The groups now, those that fit nowhere first, in turns.

        `seconds` of the processor are spent on judging. `among` are the pods to look at, if these
        are not all that wait.
        """
        judging.settle()
        waits = among if among is not None else (yield from waiting(judging.store))
        same: dict[object, list[objects.Pod]] = {}
        for pod in waits:
            same.setdefault(_demand(judging, pod), []).append(pod)
            yield
        if self._asked != (judging, judging.policy):
            self._asked = judging, judging.policy
            self._known, self._begun = {}, {}
        if among is None:
            self._known = {key: each for key, each in self._known.items() if key in same}
            self._begun = {key: each for key, each in self._begun.items() if key in same}
        most = max(min(_MOST_GROUPS, _MOST_JUDGED // max(len(judging.index.rows), 1)), 1)
        ranked = list(same)[:most]
        yield from self._judge(judging, {key: same[key][0] for key in ranked}, seconds)
        own = set(ranked)
        found = [
            PendingGroup(
                tuple(members),
                self._known[key][1] if key in self._known else None,
                unfinished=key in own and key not in self._known,
            )
            for key, members in same.items()
        ]
        # Those that fit nowhere first: the others are about to go.
        return sorted(found, key=lambda each: bool(each.judged and each.judged.passing))

    def _judge(
        self, judging: engine.Engine, pods_of: dict[object, objects.Pod], left: float
    ) -> Generator[None, None, None]:
        """Go on judging: first what was never judged, then what was judged longest ago.

        Another page may judge in between, and finish what this one has begun.
        """
        now = self._clock()
        old = {key: self._known.get(key, (-_KEPT_SECONDS, None))[0] for key in pods_of}
        stale = (key for key in sorted(old, key=old.__getitem__) if now - old[key] >= _KEPT_SECONDS)
        for key in stale:
            while self._known.get(key, (-_KEPT_SECONDS, None))[0] == old[key]:
                if left <= 0.0:
                    return
                begun = self._begun.get(key)
                if begun is None:
                    begun = self._begun[key] = judged(judging, pods_of[key])
                before = self._spent()
                try:
                    next(begun)
                except StopIteration as over:
                    del self._begun[key]
                    self._keep(key, now, over.value)
                    break
                finally:
                    left -= self._spent() - before
                yield

    def _keep(self, key: object, now: float, found: GroupJudgement) -> None:
        """Keep a judgement; what cannot be judged yet is asked again by the next page."""
        at = now if not found.note else now - _KEPT_SECONDS
        self._known[key] = at, found


def _demand(judging: engine.Engine, pod: objects.Pod) -> object:
    """What the pods of a group have in common; what kube-scheduler reads beside devices counts."""
    resolved = judging.resolver.resolve(pod, judging.policy)
    spec = pod.spec
    rest = (
        pod.metadata.namespace,
        tuple(sorted((spec.node_selector or {}).items())),
        spec.affinity,
        spec.tolerations,
        spec.priority,
    )
    if isinstance(resolved, resolver.NotJudged):
        return resolved.why, rest
    return resolved.question, resolved.by_node, resolved.requests, bool(resolved.bound_to), rest


def judged(judging: engine.Engine, pod: objects.Pod) -> Generator[None, None, GroupJudgement]:
    """Judge one pod on every node, in turns."""
    resolved = judging.resolver.resolve(pod, judging.policy)
    names = sorted(judging.index.rows)
    yield
    if isinstance(resolved, resolver.NotJudged):
        return GroupJudgement("", 0, len(names), note=resolved.why)
    asked = {name for name, _ in resolved.question.extended}
    filters = in_tree_filters.InTreeFilters(pod, judging.store, asked)
    refusals: dict[_RefusalKey, list[str]] = {}  # why → nodes
    passing = yield from _ours(judging, pod, names, refusals)
    fitting = yield from _theirs(judging, filters, passing, refusals)
    ranked = sorted(refusals.items(), key=lambda each: -len(each[1]))[:_MOST_REASONS]
    reasons = [
        Reason(text, len(nodes), nodes[0], lasting=lasting, ours=ours)
        for (text, lasting, ours), nodes in ranked
    ]
    ordered = sorted(reasons, key=lambda each: (each.lasting, -each.nodes))
    demand = explain_demand.demand(resolved)
    return GroupJudgement(demand, len(fitting), len(names), tuple(ordered), fitting=tuple(fitting))


def _ours(
    judging: engine.Engine,
    pod: objects.Pod,
    names: Sequence[str],
    refusals: dict[_RefusalKey, list[str]],
) -> Generator[None, None, list[str]]:
    """Add what our filter refuses; the nodes that it lets pass."""
    passing: list[str] = []
    sliced = timed_batches.TimedBatches(len(names))
    for part in sliced:
        with sliced:
            with judging.assumed.suspended(pod):
                found = judging.filter_only(pod, names[part])
            for name in names[part]:
                reason = _refusal(name, found)
                if reason is None:
                    passing.append(name)
                else:
                    refusals.setdefault(reason, []).append(name)
        yield
    return passing


def _theirs(
    judging: engine.Engine,
    filters: in_tree_filters.InTreeFilters,
    passing: Sequence[str],
    refusals: dict[_RefusalKey, list[str]],
) -> Generator[None, None, list[str]]:
    """Add what kube-scheduler's own filters refuse of what ours lets pass; the nodes left."""
    fitting: list[str] = []
    sliced = timed_batches.TimedBatches(len(passing))
    for part in sliced:
        with sliced:
            for name in passing[part]:
                node = judging.store.nodes.get(name)
                reason = filters.first_refusal(node) if node is not None else None
                if reason is not None:
                    refusals.setdefault((reason, False, False), []).append(name)
                elif node is not None:
                    fitting.append(name)
        yield
    return fitting


def _refusal(name: str, found: verb_results.FilterResult) -> _RefusalKey | None:
    for reasons, lasting in ((found.failed, False), (found.unresolvable, True)):
        if name in reasons:
            return reasons[name], lasting, True
    return None


def is_waiting(pod: objects.Pod) -> bool:
    return not pod.spec.node_name and pod.status.phase in _WAITS


def is_over(pod: objects.Pod) -> bool:
    return pod.status.phase in relevant_fields.FINISHED


def searched(
    source: store.ClusterStore, text: str, *, most: int
) -> Generator[None, None, tuple[Sequence[objects.Pod], bool]]:
    """Pods that ask for devices and whose name has the text; whether there are more."""
    found: list[objects.Pod] = []
    wanted = text.lower()
    for number, ((namespace, name), pod) in enumerate(list(source.pods.items())):
        if number % _PODS == 0:
            yield
        if wanted in f"{namespace}/{name}".lower() and pods.concerns(pod):
            if len(found) == most:
                return found, True
            found.append(pod)
    return found, False
