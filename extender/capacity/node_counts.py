"""How many more pods of a shape each node takes, by the verdicts that requests get.

Pods of one shape on different nodes do not stand in each other's way, so the nodes are counted one
by one and their sum is what any order of placing them comes to. (Devices that several nodes reach
are the exception: `shared_devices` tells of them.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from typing import TypeAlias

from extender.cluster import index
from extender.decisions import engine
from extender.decisions.explanation import in_tree_filters
from extender.demand import work
from extender.hardware.usage import NOTHING, NodeState
from extender.verdicts import query, resolver
from extender.verdicts.evaluator import Verdict, VerdictCode

# Of one node: a claim that takes nothing (admin access) fits any number of times.
MOST = 10_000
# Turns that one verdict may take: a search within its budget of steps takes a few hundred.
_MOST_TURNS = 5_000

Turns: TypeAlias = Generator[None, None, None]


@dataclasses.dataclass(slots=True)
class NodeCount:
    """What one node takes. `left` is what is free; `by_resource` how many pods that takes.

    `devices` is how many its devices take, however much CPU there is; `last` the verdict on the
    next one; `empty` how many the node would take if no pod were there; `first` the verdict on the
    first one there.
    """

    node: str
    row: int
    state: NodeState
    refusals: tuple[str, ...]
    left: dict[str, int]
    by_resource: dict[str, int]
    devices: int
    last: Verdict | None
    empty: int
    first: Verdict | None
    judged: bool = True

    @property
    def beside(self) -> int:
        """How many fit, whatever taints and affinities say."""
        return min([self.devices, *self.by_resource.values()])

    @property
    def fits(self) -> int:
        """How many fit."""
        return 0 if self.refusals else self.beside

    def without(self, name: str) -> int:
        """How many would fit if there were enough of one resource."""
        rest = (count for other, count in self.by_resource.items() if other != name)
        return 0 if self.refusals else min([self.devices, *rest])


@dataclasses.dataclass(frozen=True, slots=True)
class _Chain:
    """How often a pod fits after another, from one state on."""

    count: int
    last: Verdict | None  # on the one that does not fit; None where they never end
    judged: bool


class NodeCounter:
    """Counts pods of one resolved shape on the nodes of an index that stays as it is."""

    def __init__(
        self, judging: engine.Engine, cluster: index.TopologyIndex, asked: resolver.ResolvedPod
    ) -> None:
        self._engine = judging
        self._index = cluster
        self._surroundings = cluster.surroundings
        self.question: query.Query = asked.by_node or asked.question
        self._single = asked.by_node is not None
        splitter = judging.verdicts.single.splitter
        self._chains = splitter.chains(self.question) if self._single else ()
        # (state, the row where nodes are judged one by one, else -1) → the verdict there
        self._verdicts: dict[tuple[NodeState, int], Verdict] = {}
        self._known: dict[tuple[NodeState, int], _Chain] = {}

    def count(
        self, name: str, filters: in_tree_filters.InTreeFilters
    ) -> Generator[None, None, NodeCount | None]:
        """Count one node, in turns; None for one that is not there."""
        row, detail = self._index.rows.get(name, -1), self._index.detail(name)
        if detail is None:
            return None
        state = NodeState(detail.machine.shape, detail.usage)
        unused = NodeState(detail.machine.shape, NOTHING)
        now = yield from self.chain(row, state)
        then = now if state == unused else (yield from self.chain(row, unused))
        wanted, left = filters.wanted(), filters.left(detail.node)
        whole = filters.left(detail.node, empty=True)
        return NodeCount(
            node=name,
            row=row,
            state=state,
            refusals=tuple(filters.refusals(detail.node)),
            left=left,
            by_resource={name: amount // wanted[name] for name, amount in left.items()},
            devices=now.count,
            last=now.last,
            empty=min([then.count, *(amount // wanted[name] for name, amount in whole.items())]),
            first=self._verdicts.get((unused, row if self._single else -1)),
            judged=now.judged and then.judged,
        )

    def chain(self, row: int, state: NodeState) -> Generator[None, None, _Chain]:
        """How often the pod fits from this state on; what is known of later states is used."""
        if not self.question:
            return _Chain(MOST, None, judged=True)
        path: list[tuple[NodeState, int]] = []
        key_row = row if self._single else -1
        end: _Chain | None = None
        while end is None:
            key = (state, key_row)
            end = self._known.get(key)
            if end is not None:
                break
            verdict = yield from self._verdict(row, key)
            if verdict is None or verdict.code is VerdictCode.UNJUDGED:
                end = _Chain(0, verdict, judged=False)
            elif not verdict.fits:
                end = self._known[key] = _Chain(0, verdict, judged=True)
            elif verdict.after == state.usage or len(path) >= MOST:
                end = _Chain(MOST, None, judged=True)
            else:
                path.append(key)
                state = NodeState(state.shape, verdict.after)
        for key in reversed(path):
            end = self._known[key] = _Chain(min(end.count + 1, MOST), end.last, end.judged)
        return end

    def _verdict(
        self, row: int, key: tuple[NodeState, int]
    ) -> Generator[None, None, Verdict | None]:
        """The verdict on one state; None where it cannot be had in a bounded number of turns."""
        for _ in range(_MOST_TURNS):
            known = self._verdicts.get(key)
            if known is not None:
                return known
            self._engine.work.allow_turn(work.IDLE)
            try:
                found = self._judge(row, key[0])
            except work.SpentError:
                found = None
            if found is not None:
                self._verdicts[key] = found
            yield
        return None

    def _judge(self, row: int, state: NodeState) -> Verdict | None:
        judging, surroundings = self._engine, self._surroundings
        if not self._single:
            return judging.judge.verdict(self.question, state, surroundings)
        found = judging.verdicts.single.found(row, self._chains)
        if found is None:
            return None
        return judging.verdicts.single.judge(self.question, state, surroundings, found)
