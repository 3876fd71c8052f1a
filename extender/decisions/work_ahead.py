"""What is done ahead, in turns between requests, so that the next request finds it done.

    the watch shows a pod of a new kind, or a request is the first of its kind
        ─▶ its verdicts on all rows, and what it takes from each, a few rows a turn
    a row changes
        ─▶ the same for that row, for each kind asked about of late
    requests list names far apart in memory
        ─▶ they are laid out anew (`cluster.names.memory_layout`)

All of it may be left undone: a request does by itself what it needs, with the same answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.cluster.names import memory_layout
from extender.demand import work
from extender.pricing import headroom
from extender.verdicts import evaluator, resolver, verdict_sources

# Kinds of pods kept ready, and no more than there are losses kept of: one would push out another.
_MOST_KINDS = 16
# Rows a turn: to find, to word or to price one takes 2 to 10 µs, and judging is bounded by the
# turn's units of work beside. A kind with few of them takes as long as one with so many.
_ROWS_A_TURN, _ROWS_A_KIND = 64, 12
_PARTITIONED_ROWS_A_TURN = 25  # of the look-ahead: 20 µs each
# Turns in vain after which rows are left to the request: some may not be known at all.
_MOST_IN_VAIN = 400
_NONE = -1


class WorkAhead:
    """The turns of one engine: each is less than half a millisecond."""

    def __init__(
        self,
        cluster: index.TopologyIndex,
        verdicts: verdict_sources.VerdictSources,
        pricer: headroom.HeadroomPricer,
        spending: work.Work,
    ) -> None:
        self.names = memory_layout.NameLayout(cluster)
        self.kinds = PodKinds(cluster, verdicts, pricer)
        self._verdicts = verdicts
        self._work = spending

    @property
    def unfinished(self) -> bool:
        """Whether there is something to do."""
        return self._verdicts.unfinished or self.names.unfinished or self.kinds.unfinished

    @property
    def catching_up(self) -> bool:
        """Whether some kind of pods was not yet worked out for all rows."""
        return self.kinds.catching_up

    def asked(
        self, resolved: resolver.ResolvedPod, names: Sequence[str], rows: NDArray[np.int32]
    ) -> None:
        """Note what filter was asked, of which names, and which rows these are."""
        self.names.see(names, rows)
        self.kinds.want(resolved)

    def step(self) -> None:
        """Do a turn; verdicts that requests asked for in vain come first."""
        self._work.allow_turn(work.IDLE)
        if self._verdicts.unfinished:
            self._verdicts.advance()
        elif self.names.unfinished:
            self.names.step()
        else:
            self.kinds.step()


@dataclasses.dataclass(slots=True)
class _PodKind:
    """Pods that ask for the same, and what of it is worked out: row → its version then, or -1."""

    pod: resolver.ResolvedPod
    judged: NDArray[np.int64]
    priced: NDArray[np.int64]
    epoch: int = _NONE  # of the prices
    in_vain: int = 0  # turns since the last row was finished
    ready: bool = False  # whether all rows were worked out once


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
        self._kinds: dict[tuple[int, int, int], _PodKind] = {}
        self._done_at = (_NONE, _NONE)  # writes of the index, epoch of the prices: all was done
        self._changed: NDArray[np.int32] = np.zeros(0, dtype=np.int32)  # rows changed since then

    def want(self, pod: resolver.ResolvedPod) -> None:
        """Be ready for pods that ask for the same as this one."""
        if not pod.question or pod.by_node is not None:
            return  # the verdicts of each node by itself have turns of their own
        key = id(pod.question), pod.requests.cpu, pod.requests.memory
        kind = self._kinds.pop(key, None)
        if kind is None:
            nothing = np.zeros(0, dtype=np.int64)
            kind, self._done_at = _PodKind(pod, nothing, nothing), (_NONE, _NONE)
            while len(self._kinds) >= min(_MOST_KINDS, self._pricer.most_sizes):
                del self._kinds[next(iter(self._kinds))]
        self._kinds[key] = kind

    @property
    def unfinished(self) -> bool:
        """Whether some kind is not worked out for some row."""
        return bool(self._kinds) and self._done_at != self._now

    @property
    def catching_up(self) -> bool:
        """Whether some kind was not yet worked out for all rows once."""
        return any(not kind.ready for kind in self._kinds.values())

    @property
    def _now(self) -> tuple[int, int]:
        return self._index.writes, self._pricer.epoch

    def step(self) -> None:
        """Work out a few rows of the latest kinds that want some: verdicts first, then losses."""
        self._find_changed_rows()
        left = self._of_each(self._judge, _ROWS_A_TURN)
        if left > 0:
            self._count_headroom_left()
            left = self._of_each(self._price, left)
        if left <= 0:
            return
        read = self._pricer.lookahead.advance(most=_PARTITIONED_ROWS_A_TURN)
        if left == _ROWS_A_TURN and not read:
            self._done_at = self._now

    def _find_changed_rows(self) -> None:
        """The rows in use that changed since all was done; all of them for new kinds and arrays."""
        cluster = self._index
        for kind in self._kinds.values():
            if len(kind.judged) != len(cluster.version):
                kind.judged = np.full(len(cluster.version), _NONE, dtype=np.int64)
                kind.priced = kind.judged.copy()
                self._done_at = (_NONE, _NONE)
        changed = (cluster.version > self._done_at[0]) & (cluster.state >= 0)
        self._changed = np.flatnonzero(changed).astype(np.int32)

    def _of_each(self, work_out: Callable[[_PodKind, int], int], left: int) -> int:
        """Work out rows of each kind, the latest first, as far as the turn goes; what is left."""
        for kind in reversed(self._kinds.values()):
            rows = work_out(kind, left)
            left -= max(rows, _ROWS_A_KIND) if rows else 0
            if left <= 0:
                break
        return left

    def _count_headroom_left(self) -> None:
        """Count what pods of each kind would leave of the changed rows, in one go for all kinds.

        To count a few states takes not much longer than one.
        """
        if not self._pricer.priced:
            return
        after = []
        for kind in self._kinds.values():
            rows = self._outdated(kind.priced, _ROWS_A_KIND)
            after.append(self._verdicts.table(kind.pod).after[self._index.expected[rows]])
        self._pricer.count_ahead(np.concatenate(after))

    def _judge(self, kind: _PodKind, most: int) -> int:
        """Judge and word some rows of the kind; how many were to be."""
        cluster, rows = self._index, self._outdated(kind.judged, most)
        if not len(rows):
            return 0
        table = self._verdicts.table(kind.pod)
        table.fill(np.concatenate([cluster.state[rows], cluster.expected[rows]]))
        if table.left:  # what is left of the turn's work goes on with these
            return most
        states = cluster.state[rows]
        refused = table.code[states] >= evaluator.REFUSED_FROM
        table.reasons(states[refused])
        self._note(kind, kind.judged, rows, ~refused | table.worded(states))
        return len(rows)

    def _price(self, kind: _PodKind, most: int) -> int:
        """Work out what such a pod takes from some rows; how many were to be."""
        rows = self._outdated(kind.priced, most)
        kind.ready |= len(rows) < most
        renewed = kind.epoch != self._pricer.epoch
        if not self._pricer.priced or not (len(rows) or renewed):
            return 0
        table, asked, losses = (
            self._verdicts.table(kind.pod),
            kind.pod.requests,
            self._pricer.losses,
        )
        size = table.question, asked.cpu, asked.memory
        if not len(rows):  # new classes: as many of their rows as one turn goes
            rows = losses.behind(size)
        self._pricer.cost(table, rows, cpu=asked.cpu, memory=asked.memory)
        self._note(kind, kind.priced, rows, losses.knows(size, rows))
        kind.epoch = _NONE if len(losses.behind(size)) else self._pricer.epoch
        return max(len(rows), 1)

    def _note(
        self,
        kind: _PodKind,
        done: NDArray[np.int64],
        rows: NDArray[np.int32],
        known: NDArray[np.bool_],
    ) -> None:
        """Note of which rows all is known, and which are given up."""
        kind.in_vain = 0 if known.any() or not len(rows) else kind.in_vain + 1
        finished = rows if kind.in_vain > _MOST_IN_VAIN else rows[known]
        done[finished] = self._index.version[finished]

    def _outdated(self, done: NDArray[np.int64], most: int) -> NDArray[np.int32]:
        """Some rows in use whose version differs from the one that was worked out."""
        rows = self._changed
        found: NDArray[np.int32] = rows[done[rows] != self._index.version[rows]][:most]
        return found
