"""What is done ahead, in turns between requests, so that the next request finds it done.

    the watch shows a pod of a new kind, or a request is the first of its kind
        ─▶ its verdicts on all rows, and what it takes from each, a few rows a turn
    a row changes
        ─▶ the same for that row, for each kind asked about of late
    requests list names far apart in memory
        ─▶ they are laid out anew (`cluster.name_layout`)

All of it may be left undone: a request does by itself what it needs, with the same answer.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index, name_layout
from extender.demand import work
from extender.pricing import headroom
from extender.verdicts import evaluator, resolver, verdict_sources

# Kinds of pods kept ready, and no more than there are losses kept of: one would push out another.
_MOST_KINDS = 16
# Rows of one kind a turn: where all differ, one takes 20 to 40 µs to judge, to word and to price.
_ROWS_A_TURN = 10


class WorkAhead:
    """The turns of one engine: each is less than half a millisecond."""

    def __init__(
        self,
        cluster: index.TopologyIndex,
        verdicts: verdict_sources.VerdictSources,
        pricer: headroom.HeadroomPricer,
        spending: work.Work,
    ) -> None:
        self.names = name_layout.NameLayout(cluster)
        self.kinds = PodKinds(cluster, verdicts, pricer)
        self._verdicts = verdicts
        self._work = spending

    @property
    def unfinished(self) -> bool:
        """Whether there is something to do."""
        return self._verdicts.unfinished or self.names.unfinished or self.kinds.unfinished

    def step(self) -> None:
        """Do a turn; verdicts that requests asked for in vain come first."""
        self._work.allow(work.IDLE)
        if self._verdicts.unfinished:
            self._verdicts.advance()
        elif self.names.unfinished:
            self.names.step()
        else:
            self.kinds.step()


@dataclasses.dataclass(slots=True)
class _Kind:
    """Pods that ask for the same, and of which row version that is worked out; -1 is none."""

    pod: resolver.ResolvedPod
    done: NDArray[np.int64]
    epoch: int = -1  # of the prices


class PodKinds:
    """The kinds of pods asked about of late, and those that the watch showed."""

    def __init__(
        self,
        cluster: index.TopologyIndex,
        verdicts: verdict_sources.VerdictSources,
        pricer: headroom.HeadroomPricer,
    ) -> None:
        self._index = cluster
        self._verdicts = verdicts
        self._pricer = pricer
        # (identity of the query, CPU, memory) → the kind, the latest last
        self._kinds: dict[tuple[int, int, int], _Kind] = {}
        self._done_at = (-1, -1)  # writes of the index and epoch of the prices with all done

    def want(self, pod: resolver.ResolvedPod) -> None:
        """Be ready for pods that ask for the same as this one."""
        if not pod.question or pod.by_node is not None:
            return  # the verdicts of each node by itself have turns of their own
        key = id(pod.question), pod.requests.cpu, pod.requests.memory
        kind = self._kinds.pop(key, None)
        if kind is None:
            kind, self._done_at = _Kind(pod, np.zeros(0, dtype=np.int64)), (-1, -1)
            while len(self._kinds) >= min(_MOST_KINDS, self._pricer.most_sizes):
                del self._kinds[next(iter(self._kinds))]
        self._kinds[key] = kind

    @property
    def unfinished(self) -> bool:
        """Whether some kind is not worked out for some row."""
        return bool(self._kinds) and self._done_at != self._now

    @property
    def _now(self) -> tuple[int, int]:
        return self._index.writes, self._pricer.epoch

    def step(self) -> None:
        """Work out a few rows of the latest kind that lacks some."""
        for kind in reversed(self._kinds.values()):
            if self._worked_out(kind):
                return
        self._done_at = self._now

    def _worked_out(self, kind: _Kind) -> bool:
        """Work out some rows of the kind, if any are to be."""
        cluster = self._index
        if len(kind.done) != len(cluster.version):
            kind.done = np.full(len(cluster.version), -1, dtype=np.int64)
        stale = (kind.done != cluster.version) & (cluster.state >= 0)
        rows = np.flatnonzero(stale)[:_ROWS_A_TURN]
        if not len(rows) and kind.epoch == self._pricer.epoch:
            return False
        table, asked = self._verdicts.table(kind.pod), kind.pod.requests
        table.fill(np.concatenate([cluster.state[rows], cluster.expected[rows]]))
        if not table.left:  # else the verdicts go on first
            states = cluster.state[rows]
            table.reasons(states[table.code[states] >= evaluator.REFUSED_FROM])
            self._pricer.cost(table, rows.astype(np.int32), cpu=asked.cpu, memory=asked.memory)
            kind.done[rows] = cluster.version[rows]
            kind.epoch = self._pricer.epoch
        return True
