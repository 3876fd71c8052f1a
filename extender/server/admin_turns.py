"""Questions that take longer than a call may wait: worked out in turns, between the calls.

An answer is made by a generator that yields wherever others may have their turn. All of them
together get a small part of the loop's time while calls come, and half of it while none does. A
question that is being worked out is not worked out twice at a time: who asks the same gets the same
answer, who asks another of its kind is sent away (429). An answer is kept until the cluster
moves on, and for a few seconds at the most.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import time
import weakref
from collections import Counter
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec
import orjson

from extender.errors import WireError
from extender.server import replies

Turns: TypeAlias = Generator[None, None, Sequence[bytes]]  # its value are the pieces of the answer

_TURN_SECONDS = 0.00025  # a call may come in the middle of a turn, and waits for its end
_SHARE = 6.0  # so many times longer is rested than worked while calls come
_QUIET_TURN_SECONDS = 0.001
_PIECE_BYTES = 64 * 1024  # about 20 µs to send
# Objects made since the collector last looked. An answer makes many that stay for its while: to
# look at them all at once, as at 100,000 in a call's time, takes 30 ms, at these half of one.
_MOST_YOUNG = 2000
_KEPT_SECONDS = 5.0
_MOST_WAITING = 16  # for one answer
# Of answers kept and being sent. Topology of 5,000 nodes in 14,000 states takes 10 MB.
_MOST_BYTES = 32 * 1024 * 1024
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


class ChunkedText:
    """Collects an answer in pieces that are quick to send."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._open: list[bytes] = []
        self._size = 0

    def add(self, *parts: bytes) -> None:
        for part in parts:
            self._open.append(part)
            self._size += len(part)
        if self._size >= _PIECE_BYTES:
            self._close()

    def json(self, value: object) -> None:
        """Add a value that is quick to write."""
        self.add(encoded(value))

    def pieces(self) -> list[bytes]:
        self._close()
        return self._pieces

    def _close(self) -> None:
        if self._open:
            self._pieces.append(b"".join(self._open))
            self._open, self._size = [], 0


def encoded(value: object) -> bytes:
    """The value as JSON: plain values, dataclasses, structs, arrays."""
    return orjson.dumps(value, _plain, _OPTIONS)


def _plain(value: object) -> Any:  # noqa: ANN401 - whatever JSON can hold
    return msgspec.to_builtins(value)


class QueryAnswer:
    """One answer; counted for as long as anybody has it, or reads its pieces."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self.size = sum(map(len, pieces))

    def pieces(self) -> replies.Pieces:
        """The answer for one more client."""
        return replies.Pieces(self.size, self._each())

    def _each(self) -> Iterator[bytes]:
        yield from self._pieces  # by way of `self`, which so stays counted


@dataclasses.dataclass(slots=True)
class _QueryWork:
    key: Hashable
    task: asyncio.Task[QueryAnswer]
    waiting: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class _KeptAnswer:
    key: Hashable
    moment: Hashable
    until: float
    answer: QueryAnswer


class TurnRunner:
    """Works out answers. `quiet` tells whether no call has come for a moment; `clock` in s."""

    def __init__(
        self, *, quiet: Callable[[], bool], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._quiet = quiet
        self._clock = clock
        self._turn = asyncio.Lock()
        self._working: dict[str, _QueryWork] = {}  # kind of question → what is being worked out
        self._kept: dict[str, _KeptAnswer] = {}  # kind of question → its last answer
        self._queued: Counter[str] = Counter()  # kind of question → who waits for their turn
        self._alive: weakref.WeakSet[QueryAnswer] = weakref.WeakSet()

    @property
    def held(self) -> int:
        """Bytes of answers that are kept or being sent."""
        return sum(answer.size for answer in self._alive)

    async def answer(
        self,
        kind: str,
        key: Hashable,
        moment: Hashable | None,
        work: Callable[[], Turns],
        *,
        queued: bool = False,
    ) -> QueryAnswer:
        """The answer to one question of this kind.

        `moment` is what it rests on: a kept answer of the same moment serves; None keeps none.
        `queued`: wait while another question of this kind is answered, as a page does for people.
        Raises WireError 429 where too much is asked at once, and what the work raises.
        """
        if queued:
            await self._others_done(kind, key)
        kept = self._kept.get(kind)
        if kept is not None and self._clock() >= kept.until:
            del self._kept[kind]
        elif kept is not None and kept.key == key and kept.moment == moment:
            return kept.answer
        mine = self._working.get(kind)
        if mine is None:
            if self.held > _MOST_BYTES:
                raise WireError(429, "answers of others are still being read; ask again")
            mine = _QueryWork(key, asyncio.create_task(self._work(kind, key, moment, work)))
            self._working[kind] = mine
            mine.task.add_done_callback(lambda done: self._over(kind, done))
        elif mine.key != key:
            raise WireError(429, "another question of this kind is being answered; ask again")
        elif mine.waiting >= _MOST_WAITING:
            raise WireError(429, "too many wait for this answer; ask again")
        mine.waiting += 1
        try:
            return await asyncio.shield(mine.task)
        finally:
            mine.waiting -= 1

    async def _others_done(self, kind: str, key: Hashable) -> None:
        """Wait until no other question of this kind is being answered."""
        if self._queued[kind] >= _MOST_WAITING:
            raise WireError(429, "too many questions of this kind are waiting; ask again")
        self._queued[kind] += 1
        try:
            while (mine := self._working.get(kind)) is not None and mine.key != key:
                await asyncio.wait([mine.task])
        finally:
            self._queued[kind] -= 1

    async def close(self) -> None:
        """Give up what is being worked out."""
        tasks = [work.task for work in self._working.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _over(self, kind: str, task: asyncio.Task[QueryAnswer]) -> None:
        self._working.pop(kind, None)
        if not task.cancelled():
            task.exception()  # whoever waited has it

    async def _work(
        self, kind: str, key: Hashable, moment: Hashable | None, work: Callable[[], Turns]
    ) -> QueryAnswer:
        answer = QueryAnswer(await self._worked_out(work()))
        self._alive.add(answer)
        if moment is not None:
            self._kept[kind] = _KeptAnswer(key, moment, self._clock() + _KEPT_SECONDS, answer)
            asyncio.get_running_loop().call_later(_KEPT_SECONDS, self._drop, kind, answer)
        return answer

    def _drop(self, kind: str, answer: QueryAnswer) -> None:
        kept = self._kept.get(kind)
        if kept is not None and kept.answer is answer:
            del self._kept[kind]

    async def _worked_out(self, turns: Turns) -> Sequence[bytes]:
        """Run the generator; all of them share one turn at a time, and its rest."""
        while True:
            async with self._turn:
                quiet = self._quiet()
                began = self._clock()
                end = began + (_QUIET_TURN_SECONDS if quiet else _TURN_SECONDS)
                try:
                    next(turns)
                    while self._clock() < end:
                        next(turns)
                except StopIteration as over:
                    found: Sequence[bytes] = over.value
                    return found
                if gc.get_count()[0] > _MOST_YOUNG:
                    gc.collect(1)
                await asyncio.sleep((self._clock() - began) * (1.0 if quiet else _SHARE))
