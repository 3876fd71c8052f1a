"""Pools by GPU model, as Prometheus reads them: sampled beside the calls, cheap at a scrape."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily

from extender.pools import pool_models, topology_domains

_LABELS = ["pool", "model"]
_DOMAINS = {  # kind → how its metrics call it
    topology_domains.RACK: "racks",
    topology_domains.NVLINK_DOMAIN: "nvlink_domains",
}


@dataclasses.dataclass(frozen=True, slots=True)
class PoolSample:
    """The pools as they were at one time, in seconds since 1970; 0 before the first sample."""

    at: float = 0.0
    pools: tuple[pool_models.PoolModel, ...] = ()


def families(sample: PoolSample) -> Iterator[GaugeMetricFamily]:
    """The figures of the pools; none where there is nothing such in a pool."""
    yield GaugeMetricFamily(
        "railyard_pools_sampled_timestamp_seconds",
        "When the figures of pools were taken, in seconds since 1970; every half minute.",
        value=sample.at,
    )
    pools = sample.pools
    for name, text, values in (
        ("nodes", "Nodes with GPUs.", [each.nodes for each in pools]),
        ("gpus", "Physical GPUs.", [each.gpus for each in pools]),
        ("free_gpus", "GPUs that nothing holds, where pods may go.", [p.free for p in pools]),
        (
            "closed_gpus",
            "GPUs that nothing holds, on nodes where no pod goes: cordoned or not ready.",
            [each.closed for each in pools],
        ),
        (
            "stranded_gpus",
            "Of the free ones, those that free CPU and memory do not cover at what pods request.",
            [each.stranded for each in pools],
        ),
        (
            "fragmented_gpus",
            "Of the free ones, what the next pod cannot use on average (FGD), by observed demand.",
            [each.fragmented for each in pools],
        ),
    ):
        yield _family(name, text, zip(pools, values, strict=True))
    yield _headroom(pools)
    pairs = [(each, each.pairs) for each in pools if each.pairs is not None]
    yield _family("aligned_pairs", "Free GPUs that can have a close, free NIC each.", pairs)
    yield from _partitions(pools)
    for kind, word in _DOMAINS.items():
        found = [(each, each.domains[kind]) for each in pools if kind in each.domains]
        text = f"{kind}s with GPUs, by what their nodes' labels say."
        yield _family(word, text[0].upper() + text[1:], [(p, there) for p, (_, there) in found])
        text = "Of these, those that are whole: nothing of them is held, and all may be used."
        yield _family(f"whole_{word}", text, [(p, whole) for p, (whole, _) in found])


def _family(
    name: str, text: str, values: Iterable[tuple[pool_models.PoolModel, float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"railyard_pool_{name}", text, labels=_LABELS)
    for each, value in values:
        family.add_metric([each.pool, each.model], float(value))
    return family


def _headroom(pools: Iterable[pool_models.PoolModel]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "railyard_pool_headroom_pods",
        "Pods of so many whole GPUs that fit by their GPUs, each size for itself.",
        labels=[*_LABELS, "size"],
    )
    for each in pools:
        for size, pods in each.headroom.items():
            family.add_metric([each.pool, each.model, str(size)], float(pods))
    return family


def _partitions(pools: Iterable[pool_models.PoolModel]) -> Iterator[GaugeMetricFamily]:
    cut = [(each, each.partition) for each in pools if each.partition is not None]
    yield _family(
        "largest_partition_size",
        "Part of a GPU of the largest MIG profile (or other partition) that can be placed now.",
        [(each, found.size) for each, found in cut],
    )
    family = GaugeMetricFamily(
        "railyard_pool_largest_partition",
        "The largest MIG profile that can be placed now, and on how many GPUs.",
        labels=[*_LABELS, "profile"],
    )
    for each, found in cut:
        family.add_metric([each.pool, each.model, found.profile], float(found.gpus))
    yield family
