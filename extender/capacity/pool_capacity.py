"""Counted nodes by what the shape gets there: the model, and the DeviceClass or resource."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence

from extender.capacity import answer, free_amounts, node_counts
from extender.hardware.shape import Device, Kind, Shape
from extender.verdicts import query
from extender.verdicts.evaluator import Verdict

PLAIN = "cpu, memory"  # what a shape without devices gets


def key_of(counted: node_counts.NodeCount, question: query.Query) -> tuple[str, str] | None:
    """(model, source) of what the shape gets on the node; None where it gets nothing, ever."""
    if not question:
        return counted.state.shape.product or "no GPU", PLAIN
    first = counted.first
    if first is None or not first.fits:
        return None
    hardware = counted.state.shape
    classes = {
        choice.name: choice.device_class
        for claim in question.claims
        for request in claim.requests
        for choice in request.choices
    }
    sources = [classes[pick.request] for pick in first.picks if pick.request in classes]
    sources += [name for name, _ in question.extended]
    return _model(hardware, first, question), ", ".join(dict.fromkeys(sources))


def grouping(
    counts: Sequence[node_counts.NodeCount], question: query.Query, wanted: Mapping[str, int]
) -> Generator[None, None, tuple[answer.PoolCapacity, ...]]:
    """The pools, those where most fit first, in turns of a node.

    Nodes that the pod may not use are left out. `wanted` is what the pod needs of the resources
    that kube-scheduler counts.
    """
    members: dict[tuple[str, str], list[node_counts.NodeCount]] = defaultdict(list)
    for each in counts:
        key = key_of(each, question)
        if key is not None and not each.refusals:
            members[key].append(each)
        yield
    found = []
    for (model, source), some in members.items():
        found.append((yield from _pool(model, source, some, wanted)))
    return tuple(sorted(found, key=lambda pool: (-pool.fits, -pool.empty, pool.model, pool.source)))


def reaches_beyond(counts: Iterable[node_counts.NodeCount]) -> bool:
    """Whether the shape gets devices that several nodes reach, so that each counts them."""
    return any(
        not each.state.shape.devices[pick.device].on_node
        for each in counts
        if each.first is not None and not each.refusals
        for pick in each.first.picks
    )


def _pool(
    model: str,
    source: str,
    counts: Sequence[node_counts.NodeCount],
    amounts_wanted: Mapping[str, int],
) -> Generator[None, None, answer.PoolCapacity]:
    wanted: list[free_amounts.Amounts] = []
    free: list[free_amounts.Amounts] = []
    total: free_amounts.Amounts = Counter()
    totals: dict[int, free_amounts.Amounts] = {}  # id of a shape → all that it has
    for each in counts:
        hardware = each.state.shape
        if id(hardware) not in totals:
            totals[id(hardware)] = free_amounts.total(hardware)
        here = totals[id(hardware)]
        total.update(here)
        free.append(free_amounts.free(each.state, here))
        if each.first is not None and each.first.fits:
            wanted.append(free_amounts.needed(hardware, each.first.after))
        yield
    empty = sum(each.empty for each in counts)
    counted = _counted(wanted)
    fits = sum(each.fits for each in counts)
    bound = free_amounts.bound(free, wanted, empty)
    for name, amount in amounts_wanted.items():
        if all(name in each.left for each in counts):
            bound = min(bound, sum(each.left[name] for each in counts) // amount)
    return answer.PoolCapacity(
        model=model,
        source=source,
        nodes=len(counts),
        free=sum(amounts[counted] for amounts in free) if counted else 0,
        total=total[counted] if counted else 0,
        fits=fits,
        defragmented=max(bound, fits),
        empty=empty,
        fits_on={each.node: each.fits for each in counts if each.fits},
    )


def _counted(wanted: Sequence[free_amounts.Amounts]) -> tuple[str, str, str] | None:
    """What is counted for people: GPUs before all else."""
    keys = {key for each in wanted for key in each}
    ranked = sorted(keys, key=lambda key: (key[0] == free_amounts.CAPACITY, not _gpu(key), key))
    return ranked[0] if ranked else None


def _gpu(key: tuple[str, str, str]) -> bool:
    return "gpu" in f"{key[1]} {key[2]}".lower()


def _model(hardware: Shape, first: Verdict, question: query.Query) -> str:
    picked = [hardware.devices[pick.device] for pick in first.picks]
    gpus = [device for device in picked if device.kind in {Kind.GPU, Kind.PARTITION}]
    named = next((name for name in map(_name, gpus or picked) if name), "")
    shared = [
        resource.replicas
        for resource in hardware.resources
        if resource.replicas > 1 and resource.name in dict(question.extended)
    ]
    model = named or hardware.product or "unknown model"
    return f"{model} (shared by {shared[0]})" if shared else model


def _name(device: Device) -> str:
    return free_amounts.model_of(device)
