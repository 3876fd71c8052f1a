"""Pods that wait: equal ones together, with what refuses them, counted over the nodes.

A group is judged as filter would judge its first pod, on every node; where nodes pass, what
kube-scheduler's own filters say of these is counted, too. Nothing is reserved by it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Generator, Sequence

from extender.cluster import relevant_fields, store
from extender.decisions import engine, verb_results
from extender.decisions.explanation import explain_demand, node_filters
from extender.demand import pod as pods
from extender.kube.api import objects
from extender.verdicts import resolver

_CHUNK = 16  # nodes of one turn
_PODS = 64  # pods looked at in one turn
# Of one page, groups times nodes: 40,000 take half a second of the processor, in turns.
_MOST_JUDGED = 40_000
_MOST_GROUPS = 24
_KEPT_SECONDS = 30.0  # that a group's judgement is shown again
_MOST_REASONS = 12
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
    """How the nodes stand to a pod: `passing` ones by both filters, the others by reason."""

    demand: str
    passing: int
    nodes: int
    reasons: tuple[Reason, ...] = ()
    note: str = ""  # why it is not judged

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
    """Waiting pods that ask for the same; the first has waited longest."""

    pods: tuple[objects.Pod, ...]
    judged: GroupJudgement | None  # None beyond what one page judges

    @property
    def first(self) -> objects.Pod:
        return self.pods[0]


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


class Groups:
    """The waiting pods by what they ask for; each group is judged every half minute at the most."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[
            object, tuple[float, GroupJudgement]
        ] = {}  # what they ask for → when, how judged

    def of(self, judging: engine.Engine) -> Generator[None, None, list[PendingGroup]]:
        """The groups now, the one that waits longest first, in turns."""
        judging.settle()
        waits = yield from waiting(judging.store)
        same: dict[object, list[objects.Pod]] = {}
        for pod in waits:
            same.setdefault(_demand(judging, pod), []).append(pod)
            yield
        self._known = {key: each for key, each in self._known.items() if key in same}
        most = max(min(_MOST_GROUPS, _MOST_JUDGED // max(len(judging.index.rows), 1)), 1)
        found = []
        for number, (key, members) in enumerate(same.items()):
            known = yield from self._judged(judging, key, members[0], new=number < most)
            found.append(PendingGroup(tuple(members), known))
        # Those that fit nowhere first: the others are about to go.
        return sorted(found, key=lambda each: bool(each.judged and each.judged.passing))

    def _judged(
        self, judging: engine.Engine, key: object, pod: objects.Pod, *, new: bool
    ) -> Generator[None, None, GroupJudgement | None]:
        at, known = self._known.get(key, (0.0, None))
        if not new or (known is not None and self._clock() - at < _KEPT_SECONDS):
            return known
        found = yield from judged(judging, pod)
        if not found.note:  # what is not judged yet is soon
            self._known[key] = self._clock(), found
        return found


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
    filters = node_filters.NodeFilters(pod, judging.store, asked)
    counts: Counter[tuple[str, bool, bool]] = Counter()
    examples: dict[tuple[str, bool, bool], str] = {}
    passing = 0
    for first in range(0, len(names), _CHUNK):
        some = names[first : first + _CHUNK]
        with judging.assumed.suspended(pod):
            found = judging.filter_only(pod, some)
        for name in some:
            reason = _refusal(name, found)
            reason = reason or _theirs(filters, judging.store.nodes.get(name))
            if reason is None:
                passing += 1
                continue
            counts[reason] += 1
            examples.setdefault(reason, name)
        yield
    reasons = tuple(
        Reason(key[0], count, examples[key], lasting=key[1], ours=key[2])
        for key, count in counts.most_common(_MOST_REASONS)
    )
    ordered = sorted(reasons, key=lambda each: (each.lasting, -each.nodes))
    return GroupJudgement(explain_demand.demand(resolved), passing, len(names), tuple(ordered))


def _refusal(name: str, found: verb_results.FilterResult) -> tuple[str, bool, bool] | None:
    for reasons, lasting in ((found.failed, False), (found.unresolvable, True)):
        if name in reasons:
            return reasons[name], lasting, True
    return None


def _theirs(
    filters: node_filters.NodeFilters, node: objects.Node | None
) -> tuple[str, bool, bool] | None:
    """What kube-scheduler's own filters say of a node that ours lets pass."""
    refusals = filters.answer(node).refusals if node is not None else ()
    return (refusals[0], False, False) if refusals else None


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
