"""One workload through one policy: what was placed, what waited, and how the cluster stood."""

from __future__ import annotations

import dataclasses
import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from extender.decisions import engine
from extender.kube.api import objects
from extender.simulation import placer, workload
from extender.verdicts import resolver

SIZES = (1, 2, 4, 8)  # GPUs of a pod for which headroom is shown
SAMPLES = 200  # points of a plot


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """The cluster at one time (seconds of the workload). `headroom` is by size, in GPUs.

    `pools` is by model: GPUs in use. `rate` is the mean expected bandwidth factor of the pods that
    were placed since the last sample and have one; None where there were none.
    """

    at: float
    arrived: int
    placed: int
    pending: int
    gpus_pending: float
    used: float
    gpus: float
    headroom: dict[int, float]
    pools: dict[str, float]
    rate: float | None


@dataclasses.dataclass(slots=True)
class RunTally:
    """Sums along a run."""

    arrived: int = 0
    placed: int = 0
    gpus_asked: float = 0.0
    gpus_placed: float = 0.0
    rates: list[float] = dataclasses.field(default_factory=list)
    waited: float = 0.0  # seconds, of those that were placed
    gpu_seconds: float = 0.0  # in use
    seconds: float = 0.0
    per_pool: Counter[str] = dataclasses.field(default_factory=Counter)


@dataclasses.dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a run came to."""

    tally: RunTally
    samples: tuple[Sample, ...]
    pending: tuple[str, ...]  # pods that never got a node

    def figures(self) -> dict[str, float]:
        """What policies are compared by: name → value."""
        last = self.samples[-1]
        tally = self.tally
        held = tally.gpu_seconds / tally.seconds if tally.seconds else last.used
        rates = tally.rates
        return {
            "allocation %": 100.0 * last.used / last.gpus if last.gpus else 0.0,
            "mean allocation %": 100.0 * held / last.gpus if last.gpus else 0.0,
            "pods placed": float(tally.placed),
            "GPUs placed": tally.gpus_placed,
            "pods pending": float(last.pending),
            "GPUs pending": last.gpus_pending,
            "headroom 8": last.headroom[8],
            "bandwidth factor": float(np.mean(rates)) if rates else 1.0,
            "mean wait s": tally.waited / tally.placed if tally.placed else 0.0,
        }


class Run:
    """Plays arrivals on an engine's own cluster. What finds no node waits, first come first."""

    def __init__(
        self,
        judging: engine.Engine,
        arrivals: Sequence[workload.Arrival],
        *,
        draws: np.random.Generator,
        rules: placer.Rules,
    ) -> None:
        self._engine = judging
        self._arrivals = arrivals
        self._placer = placer.Placer(judging, draws, rules)
        self._waiting: dict[str, workload.Arrival] = {}  # uid → arrival, first come first
        self._ends: list[tuple[float, str]] = []  # heap: (when, uid)
        self._tally = RunTally()
        self._samples: list[Sample] = []
        self._rates: list[float] = []  # since the last sample
        self._now = arrivals[0].at if arrivals else 0.0

    def play(self) -> Iterator[int]:
        """Yield how many have arrived, after each; `outcome` is complete at the end."""
        every = max(len(self._arrivals) // SAMPLES, 1)
        for number, arrival in enumerate(self._arrivals):
            self._until(arrival.at)
            self._tally.arrived += 1
            self._placer.arrive(arrival.pod, arrival.claims)
            if not self._try(arrival):
                self._waiting[arrival.pod.metadata.uid] = arrival
            if number % every == 0:
                self._sample()
            yield number + 1
        while self._ends and self._waiting:
            self._until(self._ends[0][0])
        self._sample()

    def outcome(self) -> RunOutcome:
        """What it came to so far."""
        names = tuple(
            f"{each.pod.metadata.namespace}/{each.pod.metadata.name}"
            for each in self._waiting.values()
        )
        return RunOutcome(self._tally, tuple(self._samples), names)

    def _until(self, when: float) -> None:
        """Let pods end up to a time; those that wait get what becomes free, in their order."""
        while self._ends and self._ends[0][0] <= when:
            at = self._ends[0][0]
            self._advance(at)
            while self._ends and self._ends[0][0] <= at:
                self._placer.leave(heapq.heappop(self._ends)[1])
            self._retry()
        self._advance(when)

    def _advance(self, when: float) -> None:
        if when > self._now:
            self._engine.index.settle()
            used = self._used()[0]
            self._tally.gpu_seconds += used * (when - self._now)
            self._tally.seconds += when - self._now
            self._now = when

    def _retry(self) -> None:
        """Try those that wait; of a kind that finds no node the others need not be tried."""
        full: set[bytes] = set()
        for uid, arrival in list(self._waiting.items()):
            if arrival.kind in full:
                continue
            if self._try(arrival):
                del self._waiting[uid]
            else:
                full.add(arrival.kind)

    def _try(self, arrival: workload.Arrival) -> bool:
        found = self._placer.place(arrival.pod)
        if found is None:
            return False
        tally = self._tally
        tally.placed += 1
        tally.gpus_placed += found.gpus
        tally.waited += max(self._now - arrival.at, 0.0)
        if found.rate is not None and found.gpus:
            tally.rates.append(found.rate)
            self._rates.append(found.rate)
        if arrival.life is not None:
            heapq.heappush(self._ends, (self._now + arrival.life, arrival.pod.metadata.uid))
        return True

    # ------------------------------------------------------------ looking

    def _used(self) -> tuple[float, float]:
        free, total = self._engine.pricer.inventory.totals()
        return total - free, total

    def _sample(self) -> None:
        self._engine.settle()
        used, gpus = self._used()
        inventory = self._engine.pricer.inventory
        asked = [self._gpus(each.pod) for each in self._waiting.values()]
        self._samples.append(
            Sample(
                at=self._now,
                arrived=self._tally.arrived,
                placed=self._tally.placed,
                pending=len(self._waiting),
                gpus_pending=sum(asked),
                used=used,
                gpus=gpus,
                headroom=inventory.whole_sets(SIZES),
                pools=self._by_pool(),
                rate=float(np.mean(self._rates)) if self._rates else None,
            )
        )
        self._rates.clear()

    def _gpus(self, pod: objects.Pod) -> float:
        asked = self._engine.resolver.resolve(pod, self._engine.policy)
        if not isinstance(asked, resolver.ResolvedPod) or not asked.question:
            return 0.0
        return self._engine.pricer.gpus_asked(asked.question)

    def _by_pool(self) -> dict[str, float]:
        """Model → GPUs in use."""
        cluster, inventory = self._engine.index, self._engine.pricer.inventory
        states = cluster.state[cluster.in_use()]
        busy = inventory.gpus(states) - inventory.left(states)
        by_shape = np.bincount(cluster.states.shape_of[states], weights=busy)
        found: dict[str, float] = defaultdict(float)
        for number in np.unique(cluster.states.shape_of[states]).tolist():
            product = cluster.states.shapes[number].product
            if product or by_shape[number]:
                found[product or "unknown model"] += float(by_shape[number])
        return dict(found)
