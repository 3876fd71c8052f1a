"""Work ahead makes way for calls, and is done soon after the last of them."""

import types

import pytest

from extender.service.process import pauses


def judging(*, unfinished=False, catching_up=False, outdated=False):
    """What is read of an engine to decide how long to rest."""
    ahead = types.SimpleNamespace(unfinished=unfinished, catching_up=catching_up)
    return types.SimpleNamespace(ahead=ahead, index=types.SimpleNamespace(outdated=outdated))


class Called:
    """The pauses of a service, and how often kube-scheduler has called it."""

    def __init__(self):
        self.calls = 0
        self.pauses = pauses.Pauses(lambda: self.calls)

    def next(self, *, call=False, **state):
        self.calls += call
        return self.pauses.next(judging(**state))


def test_turns_follow_each_other_while_a_kind_is_new_and_nobody_calls():
    assert Called().next(unfinished=True, catching_up=True) == 0.0


@pytest.mark.parametrize(("catching_up", "seconds"), [(False, 0.02), (True, 0.005)])
def test_calls_that_follow_each_other_do_not_wait_for_turns(catching_up, seconds):
    service = Called()
    for _ in range(3):
        assert service.next(call=True, unfinished=True, catching_up=catching_up) == seconds


def test_what_a_placement_changed_is_worked_out_soon_after_the_last_call():
    service = Called()
    service.next(call=True, unfinished=True)

    assert service.next(unfinished=True) == 0.002
    assert service.next() == 0.002  # the next call is expected


def test_a_service_that_nobody_calls_rests():
    service = Called()
    service.next(call=True)
    seconds = [service.next() for _ in range(60)]

    assert seconds[-1] == pauses.IDLE_SECONDS
    assert service.next(outdated=True) < pauses.IDLE_SECONDS
