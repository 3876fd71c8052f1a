"""What Prometheus scrapes: requests by verb, faults, predictions, and the picture of the cluster.

Labels come from fixed sets (verbs, status codes, results, kinds), never from names of pods or
nodes, so the number of series does not grow with the cluster. Pools and models are bounded
(`pool_models`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import prometheus_client
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from extender import bounded_cache
from extender.server import policy_figures
from extender.server.figures import pool_series
from extender.server.policy_figures import Family, labelled

VERBS = ("filter", "prioritize", "preempt")
RELOADED = ("certificate", "policy")
RETRY_OUTCOMES = ("fits", "refused")
RESULTS = ("same", "possible", "different", "elsewhere", "expired")
STATUSES = (200, 400, 403, 404, 405, 408, 413, 415, 417, 431, 500, 501, 503, 505)
# 100 µs is an answer for a few nodes, 5 s is kube-scheduler's default patience.
_SECONDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01),
    *(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
_NODES = (1, 10, 100, 250, 500, 1000, 2500, 5000, 10000, 25000)

_Values: TypeAlias = tuple[str | int, ...]
# Counters: what each counts, its labels, and all values these may have.
_COUNTERS: dict[str, tuple[str, tuple[str, ...], list[_Values]]] = {
    "railyard_requests": (
        "Requests answered, by verb and status.",
        ("verb", "code"),
        [(verb, code) for verb in (*VERBS, "other") for code in STATUSES],
    ),
    "railyard_fail_open": (
        "Requests let through unjudged after a fault of ours; prepare is work between requests.",
        ("verb",),
        [(verb,) for verb in (*VERBS, "prepare")],
    ),
    "railyard_not_ready": (
        "Requests that came before the first sync.",
        ("verb",),
        [(verb,) for verb in VERBS],
    ),
    "railyard_filter_retries": (
        "Filter calls that refused all nodes and were evaluated again 5 ms later.",
        ("outcome",),
        [(outcome,) for outcome in RETRY_OUTCOMES],
    ),
    "railyard_predictions": (
        "Predicted devices compared with those allocated.",
        ("result",),
        [(result,) for result in RESULTS],
    ),
    "railyard_reloads": (
        "Files read again after a change, by outcome.",
        ("what", "outcome"),
        [(what, outcome) for what in RELOADED for outcome in ("used", "refused")],
    ),
}


# Gauges of the ports: what each shows, and by what.
_GAUGES = {
    "railyard_connections": ("Open connections, TLS handshakes included.", "port"),
    "railyard_held_bytes": (
        "Bytes held for clients: bodies of calls, answers to questions.",
        "what",
    ),
}


@dataclasses.dataclass(frozen=True, slots=True)
class KindFigures:
    """How one kind of API objects stands; `age_seconds` since it was last known to be current.

    `detail` is for people: why it is not read, such as "not permitted".
    """

    synced: bool
    objects: int
    age_seconds: float
    detail: str = ""
    decode_failures: int = 0  # objects and events that could not be read, and were left out
    sink_failures: int = 0  # objects that our own picture could not take in: a bug of ours


@dataclasses.dataclass(frozen=True, slots=True)
class ClusterFigures:
    """The cluster as the index holds it at scrape time."""

    ready: bool = False
    waiting: Mapping[str, str] = dataclasses.field(default_factory=dict)  # what is awaited → why
    degraded: Mapping[str, str] = dataclasses.field(default_factory=dict)  # what is missing → why
    restarts: Mapping[str, int] = dataclasses.field(default_factory=dict)  # task → restarts
    # kind → objects that cannot be read and count as not there, by name → why
    unreadable: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    generation: int = 0
    nodes: int = 0
    states: int = 0
    reservations: int = 0
    free_gpus: float = 0.0
    stranded_gpus: float = 0.0
    gpus: float = 0.0
    unknown_predictions: int = 0
    unjudged: Mapping[str, int] = dataclasses.field(default_factory=dict)  # why → pods
    caches: tuple[bounded_cache.Figures, ...] = ()  # of what is remembered beside the objects
    # size → GPUs in whole free sets of it
    headroom: Mapping[str, float] = dataclasses.field(default_factory=dict)
    kinds: Mapping[str, KindFigures] = dataclasses.field(default_factory=dict)  # kind → figures
    policy: policy_figures.PolicyFigures = dataclasses.field(
        default_factory=policy_figures.PolicyFigures
    )
    notes: tuple[str, ...] = ()  # what an operator should know, beside the policy's
    pools: pool_series.PoolSample = dataclasses.field(default_factory=pool_series.PoolSample)


class Metrics:
    """The service's metrics in a registry of their own; `picture` is asked at each scrape."""

    def __init__(self, picture: Callable[[], ClusterFigures]) -> None:
        # The creation times would double the series and tell what a restart already tells.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # upstream has none
        self.registry = prometheus_client.CollectorRegistry()
        self._counters = {
            name: self._counter(name, text, labels, values)
            for name, (text, labels, values) in _COUNTERS.items()
        }
        self._unknown = Counter(
            "railyard_unknown_nodes",
            "Asked node names not known here, passed unjudged.",
            registry=self.registry,
        )
        self._seconds = self._histograms(
            "railyard_request_duration_seconds",
            "Time from a whole request body to a whole answer.",
            _SECONDS,
        )
        self._sizes = self._histograms(
            "railyard_request_nodes", "Nodes asked about in a request.", _NODES
        )
        self._gauges = {
            name: Gauge(name, text, [label], registry=self.registry)
            for name, (text, label) in _GAUGES.items()
        }
        self.registry.register(_ClusterCollector(picture))
        prometheus_client.ProcessCollector(registry=self.registry)

    def watch(self, family: str, which: str, figure: Callable[[], float]) -> None:
        """Show a figure of the ports at each scrape; the family is one of the gauges below."""
        self._gauges[family].labels(which).set_function(figure)

    def _counter(
        self, name: str, text: str, labels: tuple[str, ...], values: list[_Values]
    ) -> dict[_Values, Counter]:
        # Every series is there from the start, so that a rate over it misses no first event.
        family = Counter(name, text, labels, registry=self.registry)
        return {each: family.labels(*map(str, each)) for each in values}

    def _histograms(self, name: str, text: str, buckets: Sequence[float]) -> dict[str, Histogram]:
        family = Histogram(name, text, ["verb"], buckets=buckets, registry=self.registry)
        return {verb: family.labels(verb) for verb in VERBS}

    def request(self, verb: str, code: int, seconds: float) -> None:
        """Count an answer; only judgements (200) count in the durations."""
        self._counters["railyard_requests"][verb, code].inc()
        if code == 200 and verb in self._seconds:
            self._seconds[verb].observe(seconds)

    def nodes(self, verb: str, count: int) -> None:
        self._sizes[verb].observe(count)

    def fail_open(self, verb: str) -> None:
        self._counters["railyard_fail_open"][verb,].inc()

    def not_ready(self, verb: str) -> None:
        self._counters["railyard_not_ready"][verb,].inc()

    def unknown_nodes(self, count: int) -> None:
        if count:
            self._unknown.inc(count)

    def filter_retry(self, *, fits: bool) -> None:
        """Count a filter call that was evaluated twice; `fits` if a node passed by then."""
        self._counters["railyard_filter_retries"]["fits" if fits else "refused",].inc()

    def prediction(self, result: str) -> None:
        """Count a comparison: one of RESULTS."""
        self._counters["railyard_predictions"][result,].inc()

    def reload(self, what: str, *, good: bool) -> None:
        """Count a changed file, "certificate" or "policy", that was taken into use or refused."""
        self._counters["railyard_reloads"][what, "used" if good else "refused"].inc()

    def exposition(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return b"".join(self.families())

    def families(self) -> Iterator[bytes]:
        """`exposition` in turns, one family of series each."""
        for family in self.registry.collect():
            yield prometheus_client.generate_latest(_One(family))


class _One(Collector):
    """A registry of one family."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


# What is said of the whole cluster: name, text, and the value.
_OF_CLUSTER: tuple[tuple[str, str, Callable[[ClusterFigures], float]], ...] = (
    ("railyard_ready", "1 when requests are judged.", lambda p: p.ready),
    ("railyard_index_generation", "Changes settled so far.", lambda p: p.generation),
    ("railyard_index_nodes", "Nodes in the index.", lambda p: p.nodes),
    ("railyard_index_states", "Distinct node states in the index.", lambda p: p.states),
    ("railyard_reservations", "Soft reservations held.", lambda p: p.reservations),
    (
        "railyard_gpus",
        "Physical GPUs of all nodes that plug-ins or DRA offer.",
        lambda p: p.gpus,
    ),
    ("railyard_free_gpus", "GPUs that nothing holds.", lambda p: p.free_gpus),
    (
        "railyard_stranded_gpus",
        "Of these, those that free CPU and memory do not cover at what pods request.",
        lambda p: p.stranded_gpus,
    ),
)


class _ClusterCollector(Collector):
    def __init__(self, picture: Callable[[], ClusterFigures]) -> None:
        self._picture = picture

    def collect(self) -> Iterator[Family]:
        picture = self._picture()
        for name, text, value_of in _OF_CLUSTER:
            # Shares of GPUs add up to whole ones but for the last digits of a double.
            yield GaugeMetricFamily(name, text, value=round(float(value_of(picture)), 6))
        yield CounterMetricFamily(
            "railyard_unknown_predictions",
            "States on which a search ended without an answer: its budget, or a selector.",
            value=float(picture.unknown_predictions),
        )
        yield labelled(
            CounterMetricFamily,
            "railyard_unjudged",
            "Pods passed unjudged, by what was missing.",
            why=picture.unjudged,
        )
        yield labelled(
            GaugeMetricFamily,
            "railyard_headroom_gpus",
            "GPUs in whole free sets of a size on one node: how fragmented the free ones are.",
            size=picture.headroom,
        )
        yield from _of_caches(picture.caches)
        yield labelled(
            CounterMetricFamily,
            "railyard_task_restarts",
            "Background tasks started again after a fault of ours.",
            task=picture.restarts,
        )
        yield from _of_kinds(picture)
        yield from policy_figures.families(picture.policy)
        yield from pool_series.families(picture.pools)

    def describe(self) -> list[GaugeMetricFamily]:
        # Without this, registering would collect once, before there is a picture.
        return []


# What is said of each kind of objects: family, name, text, and the value of one kind's figures.
_OF_KIND: tuple[tuple[type[Family], str, str, Callable[[ClusterFigures, str], float]], ...] = (
    (
        GaugeMetricFamily,
        "railyard_synced",
        "1 when the kind was read.",
        lambda picture, kind: picture.kinds[kind].synced,
    ),
    (
        GaugeMetricFamily,
        "railyard_objects",
        "Objects held.",
        lambda picture, kind: picture.kinds[kind].objects,
    ),
    (
        GaugeMetricFamily,
        "railyard_cache_age_seconds",
        "Time since what is held was last known to be current.",
        lambda picture, kind: picture.kinds[kind].age_seconds,
    ),
    (
        GaugeMetricFamily,
        "railyard_degraded",
        "1 while we do without the kind.",
        lambda picture, kind: kind in picture.degraded,
    ),
    (
        CounterMetricFamily,
        "railyard_decode_failures",
        "Objects and events that could not be read, and were left out.",
        lambda picture, kind: picture.kinds[kind].decode_failures,
    ),
    (
        CounterMetricFamily,
        "railyard_sink_failures",
        "Objects that our own picture could not take in: a bug of ours.",
        lambda picture, kind: picture.kinds[kind].sink_failures,
    ),
    (
        GaugeMetricFamily,
        "railyard_unreadable_objects",
        "Objects that cannot be read as they are now, and count as not there.",
        lambda picture, kind: len(picture.unreadable.get(kind, ())),
    ),
)


def _of_kinds(picture: ClusterFigures) -> Iterator[Family]:
    for family, name, text, value_of in _OF_KIND:
        figures = {kind: float(value_of(picture, kind)) for kind in picture.kinds}
        yield labelled(family, name, text, kind=figures)


def _of_caches(caches: tuple[bounded_cache.Figures, ...]) -> Iterator[GaugeMetricFamily]:
    for name, text, values in (
        ("used", "What is remembered beside the objects.", [each.used for each in caches]),
        ("limit", "Beyond this a cache drops values.", [each.bound for each in caches]),
    ):
        family = GaugeMetricFamily(f"railyard_cache_{name}", text, labels=["cache", "unit"])
        for each, value in zip(caches, values, strict=True):
            family.add_metric([each.name, each.unit], float(value))
        yield family
