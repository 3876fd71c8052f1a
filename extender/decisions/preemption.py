"""Which of the offered evictions make room that our own filter would then accept.

kube-scheduler's dry run never asks a filter extender, so without this verb it may evict on a node
that we refuse afterwards. A node stays when the pod fits there once the victims are gone. Where the
victims given leave the pod with distant devices, an equally small set of pods of no higher priority
that leaves near ones is offered instead; where they are not enough, lower-priority pods are added.
PodDisruptionBudgets are not watched, so each victim of our own choice counts as a violation: a node
that needs none of those is preferred.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

from extender.cluster import index, machines
from extender.decisions import answers, tables
from extender.decisions.judge import Verdict
from extender.hardware.usage import NOTHING
from extender.kube import objects

# Sets of victims tried per node: 8 pods taken 4 at a time are 70.
_MOST_SETS = 70
_NEAR_ENOUGH = 0.999  # of the locality score


def keep(
    pod: objects.Pod,
    offered: Mapping[str, answers.Victims],
    *,
    table: tables.Table,
    cluster: index.TopologyIndex,
) -> dict[str, answers.Victims]:
    """The offered nodes on which eviction helps, each with the pods to evict."""
    kept: dict[str, answers.Victims] = {}
    for name, victims in offered.items():
        detail = cluster.detail(name)
        if detail is None:
            kept[name] = victims  # not known here: as kube-scheduler decided
            continue
        chosen = _on_node(pod, victims, detail, table, cluster)
        if chosen is not None:
            kept[name] = chosen
    return kept


def fits_without(
    gone: frozenset[str], name: str, *, table: tables.Table, cluster: index.TopologyIndex
) -> bool:
    """Whether the pod would fit on the node if these pods were not there."""
    detail = cluster.detail(name)
    return detail is not None and _verdict(gone, detail, table, cluster).fits


def _on_node(
    pod: objects.Pod,
    victims: answers.Victims,
    detail: index.Row,
    table: tables.Table,
    cluster: index.TopologyIndex,
) -> answers.Victims | None:
    empty = table.verdict(cluster.states.number(detail.machine.shape, NOTHING))
    if not empty.fits:
        return None  # not even an empty node would do
    present = cluster.store.pods_on.get(detail.name, {})
    if any(uid not in {p.metadata.uid for p in present.values()} for uid in victims.pods):
        return victims  # our picture lags: never invent, never drop
    given = _verdict(frozenset(victims.pods), detail, table, cluster)
    score = given.locality.score if given.locality is not None else 1.0
    if given.fits and (score >= _NEAR_ENOUGH or not victims.pods):
        return victims
    best = (score, victims) if given.fits else None
    for others in _other_sets(pod, victims, present.values(), given_fits=given.fits):
        verdict = _verdict(others, detail, table, cluster)
        nearness = verdict.locality.score if verdict.locality is not None else 1.0
        if verdict.fits and (best is None or nearness > best[0]):
            best = (nearness, _ordered(others, victims, present.values()))
            if nearness >= _NEAR_ENOUGH:
                break
    return best[1] if best is not None else None


def _verdict(
    gone: frozenset[str],
    detail: index.Row,
    table: tables.Table,
    cluster: index.TopologyIndex,
) -> Verdict:
    """The verdict on the node without these pods and the claims that only they use."""
    source = cluster.store
    bound = [
        each for each in source.tenants_on.get(detail.name, {}).values() if each.uid not in gone
    ]
    allocated = {
        pool: {
            key: results
            for key, results in source.allocated.get(pool, {}).items()
            if not _released(source.claims[key], gone)
        }
        for pool in detail.machine.pool_names
    }
    usage = machines.usage(detail.machine, allocated, bound, features=cluster.builder.features)
    return table.verdict(cluster.states.number(detail.machine.shape, usage))


def _released(claim: objects.ResourceClaim, gone: frozenset[str]) -> bool:
    users = {consumer.uid for consumer in claim.status.reserved_for or ()}
    return bool(users) and users <= gone


def _other_sets(
    pod: objects.Pod,
    victims: answers.Victims,
    present: Iterable[objects.Pod],
    *,
    given_fits: bool,
) -> Iterator[frozenset[str]]:
    """Yield sets to try: as many pods of no higher priority, or the given ones and more."""
    mine = pod.spec.priority or 0
    lower = sorted(
        (each for each in present if (each.spec.priority or 0) < mine),
        key=lambda each: (each.spec.priority or 0, each.metadata.uid),
    )
    if given_fits:
        named = {each.metadata.uid: each.spec.priority or 0 for each in lower}
        top = max((named.get(uid, 0) for uid in victims.pods), default=0)
        allowed = [uid for uid, priority in named.items() if priority <= top]
        sets = itertools.combinations(allowed, len(victims.pods))
        yield from map(frozenset, itertools.islice(sets, _MOST_SETS))
        return
    chosen = set(victims.pods)
    for each in lower:
        if each.metadata.uid not in chosen:
            chosen.add(each.metadata.uid)
            yield frozenset(chosen)


def _ordered(
    chosen: frozenset[str], given: answers.Victims, present: Iterable[objects.Pod]
) -> answers.Victims:
    """The victims by falling priority, as kube-scheduler compares nodes by the first."""
    pods = [each for each in present if each.metadata.uid in chosen]
    pods.sort(key=lambda each: (-(each.spec.priority or 0), each.metadata.uid))
    added = len(chosen - set(given.pods))
    return answers.Victims(
        pods=tuple(each.metadata.uid for each in pods),
        pdb_violations=given.pdb_violations + added,
    )
