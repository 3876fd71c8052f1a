"""Which policy is in force, as readiness and metrics tell it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

Family: TypeAlias = GaugeMetricFamily | CounterMetricFamily


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
    shadow_projected: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    """By policy: what it would have made of the cluster: figure → value."""
    canary: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """State → 1 for the one that the candidate's canary is in, 0 for the others."""
    canary_calls: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Calls of kube-scheduler that came to the candidate: result → calls."""
    canary_pods: int | None = None
    """Filter calls that the candidate answered; None without a canary."""
    canary_recent: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Of the last calls that came to the candidate, the share that `failed`, and was `slow`."""
    canary_limits: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Above which of these shares the candidate is rolled back: `failed`, `slow`."""


def families(figures: PolicyFigures) -> Iterator[Family]:
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
    yield from _of_candidate(figures)


def _of_candidate(figures: PolicyFigures) -> Iterator[Family]:
    """What became of the policy that is tried beside the one in force."""
    yield labelled(
        CounterMetricFamily,
        "railyard_shadow_decisions",
        "Decisions that the candidate policy met, by what came of it.",
        result=figures.shadow,
    )
    yield labelled(
        CounterMetricFamily,
        "railyard_shadow_regret",
        "GPUs that the other policy's node costs more than the own one, by whose cost.",
        policy=figures.shadow_regret,
    )
    projected = GaugeMetricFamily(
        "railyard_shadow_projected",
        "What each policy would have made of the cluster with the same pods, by figure.",
        labels=["policy", "figure"],
    )
    for policy, values in figures.shadow_projected.items():
        for name, value in values.items():
            projected.add_metric([policy, name], value)
    yield projected
    yield from _of_canary(figures)


def _of_canary(figures: PolicyFigures) -> Iterator[Family]:
    """What became of the pods that the candidate policy answers for."""
    yield labelled(
        GaugeMetricFamily,
        "railyard_canary_state",
        "1 for the state that the candidate policy's canary is in.",
        state=figures.canary,
    )
    yield labelled(
        CounterMetricFamily,
        "railyard_canary_calls",
        "Calls of kube-scheduler that came to the candidate policy, by what came of it.",
        result=figures.canary_calls,
    )
    pods = CounterMetricFamily(
        "railyard_canary_pods",
        "Filter calls that the candidate policy answered.",
    )
    if figures.canary_pods is not None:
        pods.add_metric([], float(figures.canary_pods))
    yield pods
    yield labelled(
        GaugeMetricFamily,
        "railyard_canary_recent_ratio",
        "Share of the candidate policy's last calls that went wrong, by how.",
        what=figures.canary_recent,
    )
    yield labelled(
        GaugeMetricFamily,
        "railyard_canary_limit_ratio",
        "Share of calls that go wrong above which the candidate policy is rolled back.",
        what=figures.canary_limits,
    )


def labelled(kind: type[Family], name: str, text: str, /, **values: Mapping[str, float]) -> Family:
    """A family with one label, given as `label=…`: the label's value → the figure."""
    ((label, figures),) = values.items()
    family = kind(name, text, labels=[label])
    for value, figure in figures.items():
        family.add_metric([value], float(figure))
    return family
