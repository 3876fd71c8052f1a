"""Which policy is in force, as readiness and metrics tell it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily


@dataclasses.dataclass(frozen=True, slots=True)
class PolicyFigures:
    """The policy in force: what replicas that agree have in common, and where it comes from.

    `source` is one of a few words for the kind of `origin`.

    `refused_since` is when a ConfigMap was first not followed, in seconds since 1970; 0 when it is.
    """

    fingerprint: str = ""
    origin: str = ""
    source: str = ""
    refused_since: float = 0.0
    notes: tuple[str, ...] = ()  # for people: what is wrong with it
    shadow: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """How a candidate policy's judgements came out: result → decisions."""
    shadow_regret: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Sums of what each policy's node costs more in the other's cost: by whose cost."""


def families(figures: PolicyFigures) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
    """The figures as Prometheus reads them."""
    family = GaugeMetricFamily(
        "railyard_policy_info",
        "The policy in force, by a hash of what it says: replicas that agree show the same.",
        labels=["hash", "source"],
    )
    if figures.fingerprint:
        family.add_metric([figures.fingerprint, figures.source], 1.0)
    yield family
    yield GaugeMetricFamily(
        "railyard_policy_refused",
        "1 while the ConfigMap's policy is not followed, as it is broken or missing.",
        value=float(figures.refused_since > 0),
    )
    yield GaugeMetricFamily(
        "railyard_policy_refused_since_seconds",
        "When the ConfigMap stopped being followed, in seconds since 1970; 0 while it is.",
        value=figures.refused_since,
    )
    decisions = CounterMetricFamily(
        "railyard_shadow_decisions",
        "Decisions that the candidate policy met, by what came of it.",
        labels=["result"],
    )
    for result, count in figures.shadow.items():
        decisions.add_metric([result], float(count))
    regret = CounterMetricFamily(
        "railyard_shadow_regret",
        "GPUs that the other policy's node costs more than the own one, by whose cost.",
        labels=["policy"],
    )
    for policy, total in figures.shadow_regret.items():
        regret.add_metric([policy], total)
    yield from (decisions, regret)
