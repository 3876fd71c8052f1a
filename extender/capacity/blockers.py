"""What blocks the next pod, the largest gain first: by itself, how many more would fit without it.

Gains are not added up: two things that block the same node each have to go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from extender.capacity import answer, node_counts
from extender.cluster import relevant_fields, store
from extender.demand import claims
from extender.demand import pod as pods
from extender.kube.api import objects
from extender.verdicts import query

_NAMES = {"cpu": "CPU", "memory": "memory", "pods": "the number of pods a node may have"}
_MOST_HOLDERS = 5
_MOST_GROUPS = 8  # of reasons that single nodes have


def of_amounts(counts: Sequence[node_counts.NodeCount]) -> Iterator[answer.Blocker]:
    """CPU, memory and other amounts that run out while devices are free."""
    names = dict.fromkeys(name for each in counts for name in each.by_resource)
    for name in names:
        gains = [each.without(name) - each.fits for each in counts]
        if gain := sum(gains):
            nodes = sum(1 for each in gains if each)
            word = _NAMES.get(name, name)
            text = f"{word} runs out while devices are free on {_nodes(nodes)}"
            yield answer.Blocker(name, gain, text, nodes)


def of_nodes(counts: Sequence[node_counts.NodeCount]) -> Iterator[answer.Blocker]:
    """Cordons, taints and selectors that keep the pod from nodes where it would fit."""
    groups: dict[tuple[str, ...], list[node_counts.NodeCount]] = defaultdict(list)
    for each in counts:
        if each.refusals and each.beside:
            groups[each.refusals].append(each)
    for reasons, some in groups.items():
        gain = sum(each.beside for each in some)
        yield answer.Blocker("node", gain, f"{_nodes(len(some))}: {'; '.join(reasons)}", len(some))


def of_hardware(
    counts: Sequence[node_counts.NodeCount], question: query.Query
) -> Iterator[answer.Blocker]:
    """What nodes say that could never take the pod: it is shown, and gains nothing."""
    groups: dict[str, int] = defaultdict(int)
    for each in counts:
        if question and each.first is not None and not each.first.fits:
            groups[each.first.reason or each.first.detail] += 1
    most = sorted(groups.items(), key=lambda item: (-item[1], item[0]))[:_MOST_GROUPS]
    for reason, nodes in most:
        yield answer.Blocker("hardware", 0, f"{_nodes(nodes)}: {reason}", nodes)


def of_fragmentation(pools: Sequence[answer.PoolCapacity]) -> Iterator[answer.Blocker]:
    """What is free, and lies where no pod can use it together."""
    gain = sum(pool.defragmented - pool.fits for pool in pools)
    if gain:
        text = "what is free is scattered: at most so many more if pods could be moved"
        yield answer.Blocker("fragmentation", gain, text, sum(pool.nodes for pool in pools))


def of_rules(gains: dict[str, tuple[int, int]]) -> Iterator[answer.Blocker]:
    """Rules on how close devices must be: rule → (how many more without it, nodes)."""
    for kind, (gain, nodes) in gains.items():
        if gain:
            if kind == "locality":
                rule = "the policy's required locality"
            else:
                rule = "the claim's constraints on its devices"
            yield answer.Blocker(kind, gain, f"{rule} on {_nodes(nodes)}", nodes)


def of_holders(
    counts: Sequence[node_counts.NodeCount], source: store.ClusterStore, asked: query.Query
) -> Iterator[answer.Blocker]:
    """Pods on nodes that would take more without them, and who these are."""
    held: dict[str, list[int]] = defaultdict(lambda: [0, 0])  # namespace → pods, devices
    gain = nodes = 0
    names = {name for name, _ in asked.extended}
    for each in counts:
        if each.refusals or each.empty <= each.fits:
            continue
        gain += each.empty - each.fits
        nodes += 1
        for pod in source.pods_on.get(each.node, {}).values():
            if pod.status.phase in relevant_fields.FINISHED:
                continue
            devices = _devices(pod, source, names)
            if devices or not asked:
                total = held[pod.metadata.namespace or "default"]
                total[0] += 1
                total[1] += devices
    if not gain:
        return
    ranked = sorted(held.items(), key=lambda item: (-item[1][1], -item[1][0], item[0]))
    holders = tuple(answer.BlockingHolder(name, *amounts) for name, amounts in ranked)
    text = f"other pods hold what is needed on {_nodes(nodes)}"
    yield answer.Blocker("held", gain, text, nodes, holders)


def holders_text(blocker: answer.Blocker) -> str:
    """The holders in words: "ml (40 devices of 9 pods), research (16 devices of 2 pods)"."""
    some = [
        f"{each.namespace} ({each.devices} device{_s(each.devices)} of"
        f" {each.pods} pod{_s(each.pods)})"
        for each in blocker.holders[:_MOST_HOLDERS]
    ]
    more = len(blocker.holders) - _MOST_HOLDERS
    return ", ".join([*some, *([f"{more} more namespaces"] if more > 0 else [])])


def _devices(pod: objects.Pod, source: store.ClusterStore, names: set[str]) -> int:
    """How many devices the pod holds: by its claims, and units of these resources."""
    found = claims.of_pod(pod, source)
    allocated = [
        each.allocation for each in (found if isinstance(found, tuple) else ()) if each.allocation
    ]
    by_claim = sum(len(allocation.devices.results or ()) for allocation in allocated)
    try:
        requested = pods.requests_of(pod).extended
    except ValueError:
        requested = ()
    return by_claim + sum(count for name, count in requested if name in names)


def _nodes(count: int) -> str:
    return f"{count} node{_s(count)}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"
