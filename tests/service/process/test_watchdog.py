"""Work that takes too long is stopped; all other work, and what comes after, is not."""

import contextlib
import threading

import pytest

from extender import errors
from extender.service.process import watchdog


def loops():
    while True:
        pass


def test_work_without_end_is_stopped_and_the_next_is_done():
    limited, done = watchdog.Watchdog(0.03), []

    with pytest.raises(errors.StoppedError, match=r"more than 0\.03 s of processor time"):
        limited.limit(loops)
    limited.limit(lambda: done.append(1))

    assert done == [1]
    sum(range(3_000_000))  # longer than the limit, and nobody's work


def test_work_that_catches_every_error_is_stopped_too():
    def stubborn():
        while True:
            with contextlib.suppress(Exception):
                loops()

    with pytest.raises(errors.StoppedError):
        watchdog.Watchdog(0.03).limit(stubborn)


def test_an_error_of_the_work_is_its_own():
    with pytest.raises(ZeroDivisionError):
        watchdog.Watchdog(1).limit(lambda: 1 // 0)


def test_beside_the_main_thread_work_is_done_without_a_limit():
    done = []
    beside = threading.Thread(
        target=lambda: watchdog.Watchdog(0.001).limit(lambda: done.append(sum(range(10**6))))
    )
    beside.start()
    beside.join()

    assert done == [499999500000]
