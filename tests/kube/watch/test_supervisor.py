"""Background tasks that fail are started again, counted and reported."""

import asyncio
import logging
import random

import pytest

from extender.kube.watch import supervisor
from tests.kit import virtual_time
from tests.kit.clock import eventually
from tests.kit.virtual_time import Clock

LOOP = virtual_time.Loop


class Rig:
    def __init__(self):
        self.clock = Clock()
        self.runs = 0
        self.made = supervisor.Supervisor(rng=random.Random(1))

    async def failing(self):
        self.runs += 1
        raise RuntimeError(f"run {self.runs}")

    async def wake(self):
        await eventually(lambda: self.clock.asleep)
        pause = self.clock.next_deadline - self.clock.now
        self.clock.advance(pause)
        return pause


@pytest.fixture
async def rig():
    return Rig()


async def test_a_task_that_fails_is_started_again_with_growing_pauses(rig, caplog):
    with caplog.at_level(logging.ERROR):
        task = asyncio.create_task(rig.made.keep("settling", rig.failing))
        pauses = [await rig.wake() for _ in range(7)]
        await eventually(lambda: rig.runs == 8)
        task.cancel()
    assert all(base <= found <= 2 * base for base, found in zip(
        [0.8, 1.6, 3.2, 6.4, 12, 12, 12], pauses, strict=True
    ))  # fmt: skip
    assert rig.made.restarts == {"settling": 8}
    assert "the task settling failed" in caplog.text


async def test_a_failure_is_reported_for_a_minute_and_as_long_as_it_comes_again(rig):
    task = asyncio.create_task(rig.made.keep("settling", rig.failing))
    for _ in range(20):
        await rig.wake()
        assert "RuntimeError: run" in rig.made.failing()["settling"]
    await eventually(lambda: rig.clock.asleep)
    task.cancel()
    rig.clock.advance(61)
    assert rig.made.failing() == {}
    assert rig.made.restarts["settling"] == 21


async def test_a_task_that_ends_is_not_started_again(rig):
    async def once():
        rig.runs += 1

    await rig.made.keep("once", once)
    assert rig.runs == 1
    assert rig.made.restarts == {"once": 0}
    assert rig.made.failing() == {}


async def test_a_task_that_is_cancelled_ends(rig):
    task = asyncio.create_task(rig.made.keep("waiting", asyncio.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
