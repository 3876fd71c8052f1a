"""Work ahead makes way for calls, and is done soon after the last of them."""

import types

import pytest

from extender.service.process import pauses


def judging(*, calls=0, unfinished=False, catching_up=False, outdated=False):
    """What is read of an engine to decide how long to rest."""
    ahead = types.SimpleNamespace(calls=calls, unfinished=unfinished, catching_up=catching_up)
    return types.SimpleNamespace(ahead=ahead, index=types.SimpleNamespace(outdated=outdated))


def test_turns_follow_each_other_while_a_kind_is_new_and_nobody_calls():
    assert pauses.Pauses().next(judging(unfinished=True, catching_up=True)) == 0.0


@pytest.mark.parametrize(("catching_up", "seconds"), [(False, 0.02), (True, 0.005)])
def test_calls_that_follow_each_other_do_not_wait_for_turns(catching_up, seconds):
    resting = pauses.Pauses()
    for calls in (1, 2, 3):
        busy = judging(calls=calls, unfinished=True, catching_up=catching_up)
        assert resting.next(busy) == seconds


def test_what_a_placement_changed_is_worked_out_soon_after_the_last_call():
    resting = pauses.Pauses()
    resting.next(judging(calls=1, unfinished=True))

    assert resting.next(judging(calls=1, unfinished=True)) == 0.002
    assert resting.next(judging(calls=1)) == 0.002  # the next call is expected


def test_a_service_that_nobody_calls_rests():
    resting = pauses.Pauses()
    resting.next(judging(calls=1))
    seconds = [resting.next(judging(calls=1)) for _ in range(60)]

    assert seconds[-1] == pauses.IDLE_SECONDS
    assert resting.next(judging(calls=1, outdated=True)) < pauses.IDLE_SECONDS
