"""`railyard_capacity_pods`: how many more pods of each declared shape fit, counted in turns.

A count takes seconds at thousands of nodes. It is worked out as `/v1/capacity` is, in turns that
leave nineteen twentieths of a core to kube-scheduler's calls, one shape after the other, and again
when the cluster has changed; `railyard_capacity_counted_seconds` says how old each figure is.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from extender import errors, settings
from extender.capacity import answer, counting, pod_shape
from extender.decisions import engine
from extender.server import metrics

_LOG = logging.getLogger(__name__)
MOST_SHAPES = 16
MOST_POOLS = 24  # of a shape; the rest are one pool of the model `other`
_REST = 19.0  # seconds for each second of work
_SHORTEST_REST = 0.001
_ROUND_SECONDS = 15.0  # from one count of all shapes to the next


@dataclasses.dataclass(slots=True)
class _CountedShape:
    """What was counted last of a shape, and when (seconds since 1970)."""

    shape: pod_shape.PodShape
    found: answer.ShapeCapacity | None = None
    when: float = 0.0
    moment: object = None
    fault: str = ""


class DeclaredShapes(Collector):
    """Counts the shapes of one service; ConfigError for a shape that cannot be read.

    `judging` gives the engine of the moment, `ready` whether it may be asked.
    """

    def __init__(
        self,
        texts: Sequence[str],
        judging: Callable[[], engine.Engine],
        ready: Callable[[], bool],
        *,
        wall: Callable[[], float] = time.time,
        spent: Callable[[], float] = time.thread_time,
    ) -> None:
        if len(texts) > MOST_SHAPES:
            problem = f"{len(texts)} shapes; at most {MOST_SHAPES} are counted"
            raise errors.ConfigError(
                "the settings cannot be used", [("--capacity-shapes", problem)]
            )
        self._counted = [_CountedShape(pod_shape.parse(text)) for text in dict.fromkeys(texts)]
        self._judging = judging
        self._ready = ready
        self._wall, self._spent = wall, spent

    async def run(self) -> None:
        """Count until cancelled."""
        while True:
            for each in self._counted:
                await self.count(each)
            await asyncio.sleep(_ROUND_SECONDS if self._ready() else 1.0)

    async def count(self, counted: _CountedShape) -> None:
        """Count one shape, if anything has changed; what was counted before stays until then."""
        if not self._ready():
            return
        judging = self._judging()
        moment = id(judging), judging.index.generation, judging.moment
        if moment == counted.moment:
            counted.when = self._wall()
            return
        turns = counting.counting(judging, counted.shape)
        while self._judging() is judging:
            before = self._spent()
            try:
                next(turns)
            except StopIteration as over:
                counted.found, counted.when, counted.fault = over.value, self._wall(), ""
                counted.moment = moment
                return
            except errors.ConfigError as error:
                self._failed(counted, error)
                return
            await asyncio.sleep(max(_REST * (self._spent() - before), _SHORTEST_REST))

    def _failed(self, counted: _CountedShape, error: errors.ConfigError) -> None:
        """No figure is better than one that has nothing to do with the cluster any more."""
        problem = "; ".join(why for _, why in error.problems)
        if problem != counted.fault:
            _LOG.warning("capacity for %s cannot be counted: %s", counted.shape.title, problem)
        counted.found, counted.fault = None, problem

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures as Prometheus reads them."""
        labels = ["shape", "model", "source"]
        fits = GaugeMetricFamily(
            "railyard_capacity_pods",
            "How many more pods of a declared shape fit, by model and by what they would get.",
            labels=labels,
        )
        defragmented = GaugeMetricFamily(
            "railyard_capacity_defragmented_pods",
            "At most so many would fit if pods could be moved at will.",
            labels=labels,
        )
        when = GaugeMetricFamily(
            "railyard_capacity_counted_seconds",
            "When the shape was counted last, in seconds since 1970; 0 if never.",
            labels=["shape"],
        )
        for each in self._counted:
            when.add_metric([each.shape.title], each.when)
            for pool in _bounded(each.found.pools if each.found is not None else ()):
                names = [each.shape.title, pool.model, pool.source]
                fits.add_metric(names, float(pool.fits))
                defragmented.add_metric(names, float(pool.defragmented))
        yield from (fits, defragmented, when)


def shown(
    measured: metrics.Metrics,
    chosen: settings.Settings,
    judging: Callable[[], engine.Engine],
    ready: Callable[[], bool],
) -> DeclaredShapes:
    """The shapes of the settings, shown among the metrics."""
    found = DeclaredShapes(chosen.capacity_shapes, judging, ready)
    measured.registry.register(found)
    return found


def _bounded(pools: Sequence[answer.PoolCapacity]) -> Iterator[answer.PoolCapacity]:
    """The pools, those beyond the bound as one: a cluster of many models shall not be many series.

    A shape that fits nowhere has one series of 0, so that an alert on it has something to see.
    """
    yield from pools[:MOST_POOLS]
    rest = pools[MOST_POOLS:]
    if rest or not pools:
        yield answer.PoolCapacity(
            model="other" if rest else "",
            source="",
            nodes=sum(pool.nodes for pool in rest),
            free=0,
            total=0,
            fits=sum(pool.fits for pool in rest),
            defragmented=sum(pool.defragmented for pool in rest),
            empty=sum(pool.empty for pool in rest),
            fits_on={},
        )
