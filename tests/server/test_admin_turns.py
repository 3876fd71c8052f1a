"""Questions worked out in turns: one of a kind at a time, kept while nothing changes."""

import asyncio

import pytest

from extender.errors import WireError
from extender.server import admin_turns
from tests.kit.clock import Clock, eventually


class Work:
    """Counts how often it was begun; goes on when let."""

    def __init__(self):
        self.begun = 0
        self.go_on = False

    def __call__(self):
        self.begun += 1
        while not self.go_on:
            yield
        return [b"%d" % self.begun]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def turns(clock):
    found = admin_turns.TurnRunner(quiet=lambda: False, clock=clock)
    yield found
    await found.close()


async def begun(work):
    await eventually(lambda: work.begun, "the work")


@pytest.fixture
def work():
    return Work()


def whole(answer):
    return answer.pieces().whole()


class Ticking(Clock):
    """A clock that moves each time it is read, so that every turn is over after one step."""

    def __call__(self):
        self.now += 0.0001
        return self.now


@pytest.fixture
async def turning():
    found = admin_turns.TurnRunner(quiet=lambda: True, clock=Ticking())
    yield found
    await found.close()


async def test_who_asks_the_same_meanwhile_gets_the_same_answer(turning, work):
    first = asyncio.create_task(turning.answer("verify", "", 1, work))
    await begun(work)
    second = asyncio.create_task(turning.answer("verify", "", 1, work))
    await asyncio.sleep(0)
    work.go_on = True

    assert await first is await second
    assert work.begun == 1


async def test_another_question_of_the_kind_is_asked_to_come_back(turning, work):
    first = asyncio.create_task(turning.answer("explain", "a", 1, work))
    await begun(work)

    with pytest.raises(WireError) as refused:
        await turning.answer("explain", "b", 1, work)

    assert refused.value.status == 429
    work.go_on = True
    await first


async def test_only_so_many_wait_for_an_answer(turning, work):
    waiting = [asyncio.create_task(turning.answer("verify", "", 1, work)) for _ in range(16)]
    await begun(work)
    await asyncio.sleep(0)

    with pytest.raises(WireError) as refused:
        await turning.answer("verify", "", 1, work)

    assert refused.value.status == 429
    work.go_on = True
    await asyncio.gather(*waiting)


async def test_an_answer_serves_until_the_cluster_moves_on(turns, work):
    work.go_on = True

    answers = [whole(await turns.answer("topology", "", moment, work)) for moment in (1, 1, 2, 2)]

    assert answers == [b"1", b"1", b"2", b"2"]


async def test_an_answer_serves_a_few_seconds_at_the_most(turns, work, clock):
    work.go_on = True
    await turns.answer("topology", "", 1, work)
    clock.now += 10.0

    assert whole(await turns.answer("topology", "", 1, work)) == b"2"


async def test_an_answer_that_rests_on_nothing_is_not_kept(turns, work):
    work.go_on = True
    await turns.answer("metrics", "", None, work)

    assert whole(await turns.answer("metrics", "", None, work)) == b"2"
    await eventually(lambda: turns.held == 0, "letting go")


async def test_answers_that_are_still_read_are_bounded(turns, work, monkeypatch):
    monkeypatch.setattr(admin_turns, "_MOST_BYTES", 0)
    work.go_on = True
    answer = await turns.answer("topology", "", None, work)

    with pytest.raises(WireError) as refused:
        await turns.answer("topology", "", None, work)

    assert refused.value.status == 429
    read = iter(answer.pieces().parts)
    del answer
    assert turns.held == 1
    del read
    await eventually(lambda: turns.held == 0, "letting go")


async def test_what_the_work_raises_is_raised_to_all_and_forgotten(turning):
    def broken():
        yield
        raise WireError(404, "no such pod")

    for _ in range(2):
        with pytest.raises(WireError):
            await turning.answer("explain", "a", 1, broken)


async def test_others_have_their_turn_in_between(turning, work):
    asking = asyncio.create_task(turning.answer("verify", "", 1, work))
    await begun(work)

    for _ in range(100):
        await asyncio.sleep(0)
    assert not asking.done()

    work.go_on = True
    await asking
