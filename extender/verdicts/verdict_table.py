"""Verdicts by state number: each distinct state is judged once, a request only gathers."""

from __future__ import annotations

import contextlib
import functools
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from extender import bounded_cache
from extender.cluster.states import ByNumbering, States
from extender.demand import work
from extender.hardware.shape import Broken, Shape
from extender.hardware.usage import NodeState
from extender.policy import preference
from extender.verdicts import reasons, whole_devices
from extender.verdicts.evaluator import NOT_YET, UNSEEN, Evaluator, Verdict, VerdictCode
from extender.verdicts.query import Query

_FIRST_STATES = 1024
# A burst holds tens of distinct questions.
MOST_TABLES = 256
# Bytes of all tables; with 5,000 states, each with a verdict and its own usage after it, one takes
# about 4 MB. The latest stays, whatever it takes.
_MOST_BYTES = 24 * bounded_cache.MIB
_TABLE = 4000  # bytes of a table without its states, its question included
_CELL, _TEXT = 29, 400  # bytes of a state's columns, and of a reason
_VERDICT, _SHARED = 650, 100  # of a verdict, and of one that states have in common, for each
# Steps searched in one call; ordinary claims need a few per state, most come from memory for none.
_MOST_STEPS = 100_000


# Whether a node is refused for good, and the reason.
Refusal: TypeAlias = tuple[bool, str]


class Verdicts(Protocol):
    """Verdicts of one question by state: of all nodes alike, or as they are for one node."""

    @property
    def states(self) -> States: ...

    def verdict(self, number: int) -> Verdict: ...

    def may_pick(self, number: int, claim: int, picked: Mapping[str, int]) -> bool: ...


class VerdictTable:
    """The verdicts of one question, filled as states are met."""

    def __init__(
        self, question: Query, judge: Evaluator, states: States, surroundings: Broken | None
    ) -> None:
        self.question = question
        self.states = states
        self.code: NDArray[np.int8] = np.zeros(_FIRST_STATES, dtype=np.int8)
        self.after: NDArray[np.int32] = np.full(_FIRST_STATES, -1, dtype=np.int32)
        self.locality: NDArray[np.float64] = np.ones(_FIRST_STATES)
        self.preference: NDArray[np.float64] = np.zeros(_FIRST_STATES)
        self._verdicts: dict[int, Verdict] = {}  # state → verdict, of those judged by themselves
        # State → what it has in common with others; its verdict is made when it is read.
        self._shared: dict[int, whole_devices.SharedVerdict] = {}
        whole_alone = bool(question.claims) and not question.extended and surroundings is None
        self._whole = whole_devices.WholeDevices(question, judge) if whole_alone else None
        self.left: list[int] = []  # states asked for that no verdict was found for yet
        # State → its reason, of those that were read and are final.
        self._reasons: NDArray[np.object_] = np.full(_FIRST_STATES, None, dtype=object)
        # What a reason depends on, or its words → the one object of it.
        self._texts: dict[Hashable, str] = {}
        # kind of text → what is said where nothing is left to make it, the same for all states
        self._meanwhile: dict[type[reasons.Lazy], str] = {}
        self._judged_by = judge
        self.surroundings = surroundings

    def fill(self, numbers: NDArray[np.int32]) -> None:
        """Judge the states among `numbers` that were not met before, within a bound.

        A claim that is hard to place must not hold up the next request: after a search without an
        answer, or when the call's allowance is spent, the other states stay UNSEEN until somebody
        asks again.
        """
        while len(self.states) > len(self.code):
            self._grow()
        missing = numbers[self.code[numbers] == UNSEEN]
        self._fill(list(dict.fromkeys(missing.tolist())))

    def advance(self) -> None:
        """Go on with the states that were asked for last."""
        self._fill([number for number in self.left if self.code[number] == UNSEEN])

    def _fill(self, missing: list[int]) -> None:
        steps = found = 0
        for number in missing:
            try:
                verdict = self._judge(number)
            except work.SpentError:
                break
            found += 1
            if verdict is None:
                continue
            steps += verdict.steps
            if verdict.code is VerdictCode.UNJUDGED or steps > _MOST_STEPS:
                break
        self.left = missing[found:]

    @property
    def bytes(self) -> int:
        """What the table takes, about."""
        verdicts = _VERDICT * len(self._verdicts) + _SHARED * len(self._shared)
        return _TABLE + _CELL * len(self.code) + verdicts + _TEXT * len(self._texts)

    @property
    def judged(self) -> int:
        """How many states have a verdict."""
        return len(self._verdicts) + len(self._shared)

    def unseen(self, numbers: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of the states no search has come to yet; none where no devices are asked for."""
        if not self.question:
            return np.zeros(len(numbers), dtype=np.bool_)
        found: NDArray[np.bool_] = self.code[numbers] == UNSEEN
        return found

    def is_unseen(self, number: int) -> bool:
        """Whether no search has come to the state yet."""
        return bool(self.code[number] == UNSEEN)

    def verdict(self, number: int) -> Verdict:
        """The verdict on one state; where the call's allowance ends before, "not judged yet"."""
        self._reach(number)
        found = self.known(number)
        if found is None:
            usage = self.states[number].usage
            found = Verdict(VerdictCode.UNJUDGED, detail=NOT_YET, after=usage)
        return found

    def known(self, number: int) -> Verdict | None:
        """The verdict on a state that was judged; None of others."""
        found = self._verdicts.get(number)
        if found is None and self._whole is not None and number in self._shared:
            return self._whole.verdict(self._shared[number], self.states[number])
        return found

    def next_state(self, number: int) -> int:
        """The state that the pod leaves; -1 where it gets no device, or is not judged yet."""
        self._reach(number)
        alone = self._verdicts.get(number)
        gets_none = alone is not None and not alone.picks and not alone.plugin
        return -1 if gets_none else int(self.after[number])

    def takes_whole_devices(self, number: int) -> bool:
        """Whether the state is known to have a verdict that takes whole devices, or none."""
        return number in self._shared

    def reasons(self, numbers: NDArray[np.int32]) -> list[str]:
        """Why these states, which `fill` has refused, are so; kept by state once they are final."""
        found: list[str | None] = self._reasons[numbers].tolist()
        if None in found:
            met: dict[int, str] = {}  # state → reason, also such as are not final
            for position, number in enumerate(numbers.tolist()):
                if found[position] is None:
                    found[position] = met.get(number) or met.setdefault(
                        number, self._reason(number)
                    )
        return found  # type: ignore[return-value]  # none is left

    def worded(self, numbers: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Of which of these refused states the reason was read, and is final."""
        found: NDArray[np.bool_] = self._reasons[numbers] != None  # noqa: E711 - of each element
        return found

    def _reason(self, number: int) -> str:
        known: str | None = self._reasons[number]
        if known is None:
            if number in self._shared and self._judged_by.work.spent:
                return self._unclear  # of thousands of states none needs a verdict for that
            verdict = self.known(number)
            words = "" if verdict is None else verdict.words
            if isinstance(words, reasons.Lazy) and not words.made and self._judged_by.work.spent:
                kind = type(words)
                if kind not in self._meanwhile:
                    self._meanwhile[kind] = words.meanwhile()
                if self._meanwhile[kind]:
                    return self._meanwhile[kind]
            known = words if isinstance(words, str) else words.text(self._texts)
            if isinstance(words, str) or words.made:
                # Equal words are one object: a reply tells them apart by their hashes.
                known = self._reasons[number] = self._texts.setdefault(known, known)
        return known

    def may_pick(self, number: int, claim: int, picked: Mapping[str, int]) -> bool:
        """Whether the pod's claim of this number could get these devices in the state."""
        return self._judged_by.may_pick(self.question, self.states[number].shape, claim, picked)

    @functools.cached_property
    def _unclear(self) -> str:
        """What is said of states with a refusal in common, until its words are made."""
        return reasons.unclear(self.question)

    def _reach(self, number: int) -> None:
        """Judge the state if it was not, and the call's allowance goes as far."""
        if number in self._shared or number in self._verdicts:
            return
        while len(self.states) > len(self.code):
            self._grow()
        with contextlib.suppress(work.SpentError):
            self._judge(number)

    def _judge(self, number: int) -> Verdict | None:
        """Judge the state; None where it has its verdict in common with others."""
        state = self.states[number]
        if self._whole is None:
            return self._judge_alone(number, state)
        outcome, shared = self._whole.find(state)
        if shared is None:
            verdict = self._judge_alone(number, state)
            if outcome is not None:
                suits = float(self.preference[number])
                self._whole.learn(outcome, state.usage, verdict, suits)
            return verdict
        self.code[number] = shared.code
        if shared.verdict is not None:
            hardware, usage = state
            self.after[number] = self.states.number(hardware, shared.after(hardware, usage))
            self.locality[number] = shared.locality
            self.preference[number] = shared.preference
        self._shared[number] = shared
        return None

    def _judge_alone(self, number: int, state: NodeState) -> Verdict:
        verdict = self._judged_by.verdict(self.question, state, self.surroundings)
        self._verdicts[number] = verdict
        self.code[number] = verdict.code
        if verdict.fits:
            after = self.states.number(state.shape, verdict.after)
            self.after[number] = after
            devices = verdict.devices()
            self.preference[number] = self._suits(state.shape, verdict, devices)
        if verdict.locality is not None:
            self.locality[number] = verdict.locality.score
        return verdict

    def _suits(self, hardware: Shape, verdict: Verdict, devices: Sequence[int]) -> float:
        """What speaks against the devices that the pod would get, as `policy.preference` has it."""
        ranks = preference.later_choices(self.question.claims, verdict.picks)
        return (
            preference.wasted(hardware, devices)
            + preference.tainted(hardware, devices)
            + preference.shared(hardware, self.question.extended)
            + preference.out_of_order(ranks)
        )

    def _grow(self) -> None:
        size = len(self.code)
        self.code = np.concatenate([self.code, np.zeros(size, dtype=np.int8)])
        self.after = np.concatenate([self.after, np.full(size, -1, dtype=np.int32)])
        self.locality = np.concatenate([self.locality, np.ones(size)])
        self.preference = np.concatenate([self.preference, np.zeros(size)])
        self._reasons = np.concatenate([self._reasons, np.full(size, None, dtype=object)])


_Tables: TypeAlias = OrderedDict[tuple[Query, Broken | None], VerdictTable]


class VerdictTables:
    """The tables of the questions asked of late; all are dropped when states are numbered anew."""

    def __init__(self, judge: Evaluator, *, most: int = MOST_TABLES) -> None:
        self._judge = judge
        self._most = most
        self._kept: ByNumbering[_Tables] = ByNumbering(OrderedDict)

    def __len__(self) -> int:
        return len(self._kept.kept)

    @property
    def unfinished(self) -> bool:
        """Whether a table was asked for verdicts that are still to be found."""
        return any(table.left for table in self._kept.kept.values())

    def advance(self) -> None:
        """Go on with what was asked for, as far as the allowance goes."""
        for table in self._kept.kept.values():
            if table.left:
                table.advance()

    def clear(self) -> None:
        """Drop all tables: their verdicts rest on what does not hold any more."""
        self._kept.kept.clear()

    @property
    def figures(self) -> bounded_cache.Figures:
        """How much all tables take."""
        used = sum(table.bytes for table in self._kept.kept.values())
        return bounded_cache.Figures("verdict-tables", used, _MOST_BYTES)

    def of(self, question: Query, states: States, surroundings: Broken | None) -> VerdictTable:
        """The question's table for the states of the moment."""
        tables, key = self._kept.of(states), (question, surroundings)
        table = tables.get(key)
        if table is None:
            table = tables[key] = VerdictTable(question, self._judge, states, surroundings)
            while len(tables) > 1 and (len(tables) > self._most or self.figures.used > _MOST_BYTES):
                tables.popitem(last=False)
        else:
            tables.move_to_end(key)
        return table
