"""Questions about what tells equal machines apart, answered node by node beside the shared states.

A selector that reads a uuid, or anything else of which machines of one kind have different values
(`cluster.machines`), says something else on each of them. What it says is found on the published
devices, kept per node, and goes when no claim or class has the selector any more. Nodes on which
all such selectors say the same share a verdict per state.

A call does a bounded amount of it; the other nodes pass, not judged yet (`advance` goes on).
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from extender import bounded_cache
from extender.cluster import index
from extender.cluster.states import ByNumbering, States
from extender.demand import selectors, work
from extender.hardware import shape
from extender.hardware.usage import NodeState
from extender.verdicts import selector_matches, verdict_table
from extender.verdicts.by_node import node_predictor, selector_split
from extender.verdicts.evaluator import UNSEEN, Evaluator, Verdict, VerdictCode
from extender.verdicts.query import Query

# Bytes of all questions' tables; one takes about 140 kB at 5,000 nodes, and different verdicts,
# one for each state and set of findings on it, as much again each thousand. The latest stays.
_MOST_BYTES = 8 * bounded_cache.MIB
_TABLE, _ROW, _VERDICT = 4000, 21, 800  # bytes of a table, of a row, and of a verdict
# Different verdicts kept per question.
_MOST_VERDICTS = 8192
# Units of work: to look up a node, and to judge it by what was found there, beside the search.
_LOOKING_UP, _JUDGING = 5, 100

_Key: TypeAlias = tuple[Query, shape.Broken | None]

NOT_YET = Verdict(
    VerdictCode.UNJUDGED, detail="not judged yet: its selectors are asked node by node"
)


class PerNodeVerdicts:
    """The verdicts on such questions; all are bounded and may be dropped at any time."""

    def __init__(
        self,
        cluster: index.TopologyIndex,
        verdicts: Evaluator,
        shared: selectors.Shared,
        splitter: selector_split.Splitter,
    ) -> None:
        self.splitter = splitter
        self._index = cluster
        self._shared = shared
        self._selectors = node_predictor.NodeSelectors(shared)
        self._predictor = verdicts.predictor.like(node_predictor.NodePredictor, self._selectors)
        self._judge = verdicts.by(self._predictor)
        self._work = verdicts.work
        self._findings = selector_matches.Findings(cluster, shared, self._work)
        self._kept: ByNumbering[OrderedDict[_Key, PerNodeTable]] = ByNumbering(OrderedDict)
        self._taken: tuple[shape.Shape, selector_matches.Found] | None = None
        self._demands_version = -1  # of the store, when `begin` last looked what is still there

    def __len__(self) -> int:
        return len(self._kept.kept)

    def begin(self) -> None:
        """Begin a call: forget selectors that nothing in the cluster has any more."""
        source = self._index.store
        if self._demands_version != source.demands_version:
            self._demands_version = source.demands_version
            self._keep(source.expressions)

    @property
    def unfinished(self) -> bool:
        """Whether somebody asked for a verdict that is still to be found."""
        return any(table.wanted for table in self._kept.kept.values())

    def advance(self) -> None:
        """Go on with what was asked for, as far as the call's allowance goes."""
        for table in self._kept.kept.values():
            if table.wanted:
                table.fill(self._index.in_use())

    def _keep(self, expressions: Collection[str]) -> None:
        """Forget all about other selectors."""
        self._findings.keep(expressions)
        for key in [key for key, table in self._kept.kept.items() if not table.stands(expressions)]:
            del self._kept.kept[key]

    def of(self, question: Query) -> PerNodeTable:
        """The question's table."""
        tables = self._kept.of(self._index.states)
        key = (question, self._index.surroundings)
        table = tables.get(key)
        if table is None:
            reads = self._shared.reads_apart
            chains = self.splitter.chains(question)
            own = tuple(chain for chain in chains if any(map(reads, chain)))
            table = tables[key] = PerNodeTable(self, question, key[1], own)
            while len(tables) > 1 and self._used() > _MOST_BYTES:
                tables.popitem(last=False)
        else:
            tables.move_to_end(key)
        return table

    def caches(self) -> Iterator[bounded_cache.Figures]:
        """How full its caches are."""
        yield bounded_cache.Figures("verdicts-by-node", self._used(), _MOST_BYTES)
        yield from self._findings.caches()
        yield from self._shared.each.caches()
        yield self.splitter.figures
        own = self._predictor.figures
        yield dataclasses.replace(own, name="allocator-plans-by-node")

    def _used(self) -> int:
        return sum(table.bytes for table in self._kept.kept.values())

    # ------------------------------------------------------------ for tables

    @property
    def index(self) -> index.TopologyIndex:
        return self._index

    @property
    def work(self) -> work.Work:
        return self._work

    def configure(self, *, budget: int) -> None:
        """Search up to so many steps for a verdict from now on."""
        self._predictor.configure(budget=budget)
        self._kept.kept.clear()

    def found(
        self, row: int, chains: tuple[selector_split.Chain, ...]
    ) -> selector_matches.Found | None:
        """What the selectors say of the devices of the row's node; None if not all is known yet."""
        return self._findings.of(row, chains)

    def judge(
        self,
        question: Query,
        state: NodeState,
        surroundings: shape.Broken | None,
        found: selector_matches.Found,
    ) -> Verdict:
        """Judge the question where its selectors say this."""
        self._take(state.shape, found)
        try:
            verdict = self._judge.verdict(question, state, surroundings)
            # The next node has other selectors' answers: the words have to be made now.
            return dataclasses.replace(verdict, words=verdict.reason)
        finally:
            self._work.spend(_JUDGING)

    def may_pick(
        self,
        question: Query,
        hardware: shape.Shape,
        claim: int,
        picked: Mapping[str, int],
        found: selector_matches.Found,
    ) -> bool:
        """See `Judge.may_pick`, where the selectors say this."""
        self._take(hardware, found)
        return self._judge.may_pick(question, hardware, claim, picked)

    def _take(self, hardware: shape.Shape, found: selector_matches.Found) -> None:
        """Plan for a node where the selectors say this; what was begun for it goes on."""
        if self._taken != (hardware, found):
            self._taken = hardware, found
            self._predictor.forget()
            self._predictor.variant = self._selectors.take(hardware, found)


class PerNodeTable:
    """The verdicts of one question by row, filled as nodes are met."""

    def __init__(
        self,
        whole: PerNodeVerdicts,
        question: Query,
        surroundings: shape.Broken | None,
        chains: tuple[selector_split.Chain, ...],
    ) -> None:
        self.question = question
        self.wanted = False  # whether some row was asked for in vain
        self._whole = whole
        self._surroundings = surroundings
        self._chains = chains
        self._texts = frozenset(text for chain in chains for text in chain)
        rows = len(whole.index.state)
        self._code: NDArray[np.int8] = np.zeros(rows, dtype=np.int8)
        self._state: NDArray[np.int32] = np.full(rows, -1, dtype=np.int32)
        self._read: NDArray[np.int64] = np.full(rows, -1, dtype=np.int64)
        self._verdicts: list[Verdict | None] = [None] * rows
        # (state, what the selectors say there) → verdict
        self._known: dict[tuple[int, selector_matches.Found], Verdict] = {}

    @property
    def bytes(self) -> int:
        """What the table takes, about."""
        return _TABLE + _ROW * len(self._code) + _VERDICT * len(self._known)

    def stands(self, expressions: Collection[str]) -> bool:
        """Whether all its selectors are among these."""
        return all(text in expressions for text in self._texts)

    def fill(self, rows: NDArray[np.int32] | NDArray[np.int64]) -> NDArray[np.int8]:
        """Judge these rows as far as the allowance goes; their codes, UNSEEN for the rest.

        A row of -1 is an unknown node, and stays UNSEEN.
        """
        cluster = self._whole.index
        if len(self._code) < len(cluster.state):
            self._grow(len(cluster.state))
        known = self._code[rows] != UNSEEN
        known &= self._state[rows] == cluster.state[rows]
        known &= self._read[rows] == cluster.read[rows]
        missing = rows[~known & (rows >= 0)]
        self._code[missing] = UNSEEN
        self.wanted = False
        for row in dict.fromkeys(missing.tolist()):
            if self._whole.work.spent or not self._fill_one(row):
                self.wanted = True
                break
        return np.where(rows < 0, UNSEEN, self._code[rows])

    def refusal(self, row: int) -> verdict_table.Refusal:
        """Whether a row that `fill` has refused is so for good, and why."""
        verdict = self._verdicts[row] or NOT_YET
        return verdict.code is VerdictCode.NEVER, verdict.reason

    def verdict(self, row: int, number: int) -> Verdict:
        """The verdict if the row's node were in that state of its shape."""
        found = self._whole.found(row, self._chains)
        try:
            return NOT_YET if found is None else self._on(number, found)
        except work.SpentError:
            return NOT_YET

    def on(self, row: int) -> OnNode:
        """The table as it is for the node of one row."""
        return OnNode(self, row)

    def may_pick(self, row: int, number: int, claim: int, picked: Mapping[str, int]) -> bool:
        """Whether the claim of this number could get these devices; true where nobody can tell."""
        found = self._whole.found(row, self._chains)
        hardware = self._whole.index.states[number].shape
        return found is None or self._whole.may_pick(self.question, hardware, claim, picked, found)

    @property
    def states(self) -> States:
        return self._whole.index.states

    def _fill_one(self, row: int) -> bool:
        cluster = self._whole.index
        found = self._whole.found(row, self._chains)
        if found is None:
            return False
        number = int(cluster.state[row])
        try:
            verdict = self._on(number, found)
        except work.SpentError:
            return False
        self._whole.work.spend(_LOOKING_UP)
        self._verdicts[row], self._code[row] = verdict, verdict.code
        self._state[row], self._read[row] = number, cluster.read[row]
        return True

    def _on(self, number: int, found: selector_matches.Found) -> Verdict:
        known = self._known.get((number, found))
        if known is None:
            if len(self._known) >= _MOST_VERDICTS:
                self._known.clear()
            state = self._whole.index.states[number]
            known = self._whole.judge(self.question, state, self._surroundings, found)
            self._known[number, found] = known
        return known

    def _grow(self, size: int) -> None:
        more = size - len(self._code)
        self._code = np.concatenate([self._code, np.zeros(more, dtype=np.int8)])
        self._state = np.concatenate([self._state, np.full(more, -1, dtype=np.int32)])
        self._read = np.concatenate([self._read, np.full(more, -1, dtype=np.int64)])
        self._verdicts += [None] * more


class OnNode:
    """A table as it is for the node of one row: its verdicts by state, like those of all others."""

    def __init__(self, table: PerNodeTable, row: int) -> None:
        self._table = table
        self._row = row

    @property
    def states(self) -> States:
        return self._table.states

    def verdict(self, number: int) -> Verdict:
        return self._table.verdict(self._row, number)

    def may_pick(self, number: int, claim: int, picked: Mapping[str, int]) -> bool:
        return self._table.may_pick(self._row, number, claim, picked)
