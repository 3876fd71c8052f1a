"""Lists cut into batches that each take a fraction of a millisecond, whatever an item costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType

_SHORT, _LONG = 0.0002, 0.0005  # seconds; a call of kube-scheduler may wait for one batch
# Items of a batch. To judge any number of nodes takes a tenth of a millisecond: fewer are no gain.
_LEAST, _MOST = 6, 512


class TimedBatches:
    """Slices of a list of `count` items; what is done with each is done within the context.

        batches = TimedBatches(len(names))
        for batch in batches:
            with batches:
                …names[batch]…
            yield

    The next batch is larger where the last one was quick, and smaller where it was slow; none is
    smaller than `least` or larger than `most`. `spent` is the processor's time in seconds.
    """

    def __init__(
        self,
        count: int,
        *,
        spent: Callable[[], float] = time.thread_time,
        least: int = _LEAST,
        most: int = _MOST,
    ) -> None:
        self._count = count
        self._spent = spent
        self._most = most
        self._size = self._least = least
        self._began = 0.0
        self.used = 0.0  # seconds, in all

    def __iter__(self) -> Iterator[slice]:
        first = 0
        while first < self._count:
            batch = slice(first, min(first + self._size, self._count))
            yield batch
            first = batch.stop

    def __enter__(self) -> None:
        self._began = self._spent()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        took = self._spent() - self._began
        self.used += took
        if took < _SHORT:
            self._size = min(self._size * 2, self._most)
        elif took > _LONG:
            self._size = max(self._size // 2, self._least)
