"""What the cluster had free over the last hours: a bounded series, lost on restart."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Generator, Mapping

from extender.decisions import engine
from extender.pools import node_pools, pool_figures

EVERY_SECONDS = 30.0
HOURS = 6
_MOST = int(HOURS * 3600 / EVERY_SECONDS)
_MOST_POOLS = 64  # of one sample: 720 samples of 64 pools are 5 MB


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """Free GPUs, those of them that are fragmented (on nodes in part use), and stranded ones."""

    gpus: float
    free: float
    fragmented: float
    stranded: float


@dataclasses.dataclass(frozen=True, slots=True)
class FleetSample:
    """The figures at one time, in seconds since 1970; pools by their title."""

    at: float
    cluster: Measured
    pools: Mapping[str, Measured]


class History:
    """The last six hours, a sample every half minute."""

    def __init__(self) -> None:
        self.samples: deque[FleetSample] = deque(maxlen=_MOST)

    def sampling(
        self, judging: engine.Engine, known: node_pools.NodePools, *, now: float
    ) -> Generator[None, None, None]:
        """Add a sample, in turns."""
        yield from known.refresh()
        found = yield from pool_figures.of_pools(judging, known)
        parts = {each.pool.title: _measured(each.figures) for each in found[:_MOST_POOLS]}
        whole = pool_figures.together([each.figures for each in found])
        self.samples.append(FleetSample(now, _measured(whole), parts))


def _measured(figures: pool_figures.GpuFigures) -> Measured:
    return Measured(figures.gpus, figures.free, figures.free - figures.whole, figures.stranded)
