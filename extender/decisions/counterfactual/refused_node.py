"""What would let a pod go to a node that refuses it: pods gone, fewer devices, another level.

Each change that is named was tried: the same verdict on the node as it would be then. What would
take too many tries is not named.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Generator, Iterator, Sequence

from extender.cluster import index
from extender.decisions.counterfactual import changes
from extender.decisions.eviction import node_fit, node_without
from extender.decisions.explanation import pod_as_pending
from extender.demand import requests, work
from extender.hardware.shape import Level
from extender.hardware.usage import NodeState
from extender.policy import config, profile
from extender.verdicts import query as queries
from extender.verdicts import resolver

MOST_SETS = 100  # sets of pods tried for each size
_LARGEST = 3  # pods of a set that is searched for as such
_TRIES_A_TURN = 4
_LEVELS = (Level.PIX, Level.PXB, Level.PHB, Level.NODE)


@dataclasses.dataclass(frozen=True, slots=True)
class _RefusedNode:
    """The node that refuses, and the pod as it would come."""

    coming: pod_as_pending.PodAsPending
    resolved: resolver.ResolvedPod
    detail: index.Row

    def state(self, gone: Sequence[str] = ()) -> NodeState:
        """The node without the pod itself and these."""
        cluster = self.coming.judging.index
        usage = node_without.usage(self.detail, cluster, {self.coming.pod.metadata.uid, *gone})
        return NodeState(self.detail.machine.shape, usage)

    def fits(self, gone: Sequence[str] = ()) -> bool:
        """Whether the pod's devices are there without these pods."""
        judging = self.coming.judging
        state = self.state(gone)
        number = judging.index.states.number(state.shape, state.usage)
        return judging.verdicts.on(self.resolved, self.detail.name).verdict(number).fits

    def fits_query(self, query: queries.Query) -> bool:
        """Whether another query would fit as things are."""
        judging = self.coming.judging
        try:
            return judging.judge.verdict(query, self.state(), judging.index.surroundings).fits
        except work.SpentError:
            return False


def search(
    coming: pod_as_pending.PodAsPending,
    resolved: resolver.ResolvedPod,
    detail: index.Row,
    holders: Sequence[changes.EvictableHolder],
    *,
    amounts_fit: bool = True,
) -> Generator[None, None, list[changes.Change]]:
    """The changes of which each alone would do, in turns; `holders` are those of the node.

    Where the CPU, the memory or what else kube-scheduler counts is not enough (`amounts_fit`), only
    pods that go make room for it: fewer devices or another level do not.
    """
    node = _RefusedNode(coming, resolved, detail)
    coming.judging.settle()
    found: list[changes.Change] = []
    pods = yield from _pods(node, holders)
    found += [pods] if pods is not None else []
    if amounts_fit and resolved.by_node is None:
        for tried in (_counts(node), _levels(node)):
            change = yield from tried
            found += [change] if change is not None else []
    return found


# ---------------------------------------------------------------- pods that would have to go


def _pods(
    node: _RefusedNode, holders: Sequence[changes.EvictableHolder]
) -> Generator[None, None, changes.Change | None]:
    """The fewest pods without which the pod fits, of equally many those that go most easily."""
    amounts = _amounts(node)
    if not amounts.fits_without(()):
        holders = [*holders, *_others(node, holders)]

    def does(gone: Sequence[changes.EvictableHolder]) -> bool:
        uids = [each.uid for each in gone]
        return amounts.fits_without(uids) and node.fits(uids)

    if not holders or not does(holders):
        return None
    for number, gone in enumerate(_sets(holders)):
        if does(gone):
            return _pods_change(gone)
        if number % _TRIES_A_TURN == 0:
            yield
            node.coming.judging.settle()
    left = list(holders)
    for each in reversed(holders):  # the most important is spared first
        rest = [other for other in left if other is not each]
        if does(rest):
            left = rest
        yield
        node.coming.judging.settle()
    return _pods_change(left) if does(left) else None


def _sets(
    holders: Sequence[changes.EvictableHolder],
) -> Iterator[tuple[changes.EvictableHolder, ...]]:
    """Sets of pods, the smaller first; of equally large ones the preemptible and lowly first."""
    ordered = sorted(holders, key=lambda each: (not each.leaving, each.priority))
    for size in range(1, min(_LARGEST, len(ordered) - 1) + 1):
        sets = itertools.combinations(ordered, size)
        yield from itertools.islice(sets, MOST_SETS)


def _amounts(node: _RefusedNode) -> node_fit.NodeFit:
    source, pod = node.coming.judging.store, node.coming.pod
    present = source.pods_on.get(node.detail.name, {}).values()
    others = [each for each in present if each.metadata.uid != pod.metadata.uid]
    return node_fit.NodeFit(pod, node.detail.node, others)


def _others(
    node: _RefusedNode, holders: Sequence[changes.EvictableHolder]
) -> Iterator[changes.EvictableHolder]:
    """The pods on the node that hold no devices: their CPU and memory may be what is missing."""
    known = {each.uid for each in holders} | {node.coming.pod.metadata.uid}
    mine = node.coming.pod.spec.priority or 0
    for each in node.coming.judging.store.pods_on.get(node.detail.name, {}).values():
        if each.metadata.uid not in known:
            name = f"{each.metadata.namespace or 'default'}/{each.metadata.name}"
            priority = each.spec.priority or 0
            yield changes.EvictableHolder(
                name, each.metadata.uid, "CPU and memory", priority, priority < mine
            )


def _pods_change(gone: Sequence[changes.EvictableHolder]) -> changes.Change:
    names = [f"{each.pod} ({each.holds}, priority {each.priority})" for each in gone]
    preemptible = all(each.preemptible for each in gone)
    tail = "; this pod may preempt " + ("it" if len(gone) == 1 else "them") if preemptible else ""
    verb = "leaves" if len(gone) == 1 else "leave"
    return changes.Change(
        changes.PODS,
        f"if {changes.listed(names)} {verb}{tail}",
        pods=tuple(each.uid for each in gone),
        preemptible=preemptible,
    )


# ---------------------------------------------------------------- fewer devices


def _counts(node: _RefusedNode) -> Generator[None, None, changes.Change | None]:
    """The most that fits of one of the counts that the pod requests, the others as they are."""
    query = node.resolved.question
    for name, count in query.extended:
        for fewer in range(count - 1, 0, -1):
            if node.fits_query(_with_resource(query, name, fewer)):
                return _count_change(name, queries.noun(name), fewer, count)
            yield
            node.coming.judging.settle()
    for number, claim in enumerate(query.claims):
        for at, request in enumerate(claim.requests):
            choice = request.choices[0]
            if request.prioritized or choice.mode != requests.EXACT:
                continue
            for fewer in range(choice.count - 1, 0, -1):
                if node.fits_query(_with_count(query, number, at, fewer)):
                    field = f"{node.resolved.claims[number].name}/{request.name}"
                    word = queries.noun(choice.device_class)
                    return _count_change(field, word, fewer, choice.count)
                yield
                node.coming.judging.settle()
    return None


def _count_change(field: str, word: str, fewer: int, count: int) -> changes.Change:
    words = f"if it requested {queries.counted(fewer, word)} instead of {count} ({field})"
    return changes.Change(changes.COUNT, words, field=field, value=fewer)


def _with_resource(query: queries.Query, name: str, count: int) -> queries.Query:
    extended = tuple((each, count if each == name else many) for each, many in query.extended)
    special = tuple(
        (each, ((asked[0][0], count),) if each == name and asked else asked)
        for each, asked in query.special
    )
    return dataclasses.replace(query, extended=extended, special=special)


def _with_count(query: queries.Query, number: int, at: int, count: int) -> queries.Query:
    claims = list(query.claims)
    asked = list(claims[number].requests)
    choice = dataclasses.replace(asked[at].choices[0], count=count)
    asked[at] = dataclasses.replace(asked[at], choices=(choice,))
    claims[number] = dataclasses.replace(claims[number], requests=tuple(asked))
    return dataclasses.replace(query, claims=tuple(claims))


# ---------------------------------------------------------------- a required level


def _levels(node: _RefusedNode) -> Generator[None, None, changes.Change | None]:
    """The nearest level that would do where one is required; else that none is required."""
    query = node.resolved.question
    if query.mode != "Required":
        return None
    where = _where(node)
    for level in _LEVELS:
        if level > Level[query.level]:
            if node.fits_query(dataclasses.replace(query, level=level.name)):
                text = f"if {where} required {level.name} instead of {query.level}"
                return changes.Change(changes.LEVEL, text, field="level", value=level.name)
            yield
            node.coming.judging.settle()
    if query.unknown != "Accept" and node.fits_query(dataclasses.replace(query, unknown="Accept")):
        text = f"if {where} accepted devices whose locality is not published"
        return changes.Change(changes.LEVEL, text, field="unknown", value="Accept")
    if node.fits_query(dataclasses.replace(query, mode="Preferred")):
        text = f"if {where} did not require a level (now {query.level})"
        return changes.Change(changes.MODE, text, field="mode", value="Preferred")
    return None


def _where(node: _RefusedNode) -> str:
    """What says that a level is required: the profile, or the pod's own annotation."""
    policy: config.Policy = node.coming.judging.policy
    annotations = node.coming.pod.metadata.annotations or {}
    if policy.pod_annotations == "Allow" and annotations.get(profile.LOCALITY_ANNOTATION):
        return f"the pod's annotation {profile.LOCALITY_ANNOTATION}"
    return f"locality of profile {node.resolved.profile.name}"
