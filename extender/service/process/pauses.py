"""How long work in the background rests between two turns."""

from __future__ import annotations

from collections.abc import Callable

from extender.decisions import engine

IDLE_SECONDS = 0.05  # how long changes may wait for a request before they are settled anyway
_TURN_SECONDS = 0.01  # that others get between two turns of work that somebody asked for
# Between turns of work ahead after a call: what a placement changed is worked out before a next pod
# that comes some time later.
_AHEAD_SECONDS = 0.002
# While one call follows the other: each works out what it needs, and would only wait for turns.
# Measured at 5,000 nodes, 500 names, pods without a pause, in blocks of one run: 0.78 of the CPU
# time a pod that turns 2 ms apart take, with 3 ms between pods 0.69, and 0.44 of the time it waits.
_BUSY_SECONDS = 0.02
# The same while a kind of pods is new: a tenth of a core, so that it is soon worked out.
_BUSY_CATCHING_UP_SECONDS = 0.005
_TURNS_AFTER_A_CALL = 50  # that a scheduler's next call is expected for: 100 ms


class Pauses:
    """Sees from one turn to the next whether kube-scheduler calls; `calls` counts all verbs."""

    def __init__(self, calls: Callable[[], int]) -> None:
        self._count = calls
        self._calls = 0  # when the last turn was given
        self._awake = 0  # turns left after the last call

    def next(self, judging: engine.Engine) -> float:
        """Seconds until the next turn: none where a kind of pods is new and nobody calls.

        Long after a call, so that calls that follow each other do not wait for turns.
        """
        ahead = judging.ahead
        calls = self._count()
        called, self._calls = calls != self._calls, calls
        self._awake = _TURNS_AFTER_A_CALL if called else max(self._awake - 1, 0)
        if called:
            return _BUSY_CATCHING_UP_SECONDS if ahead.catching_up else _BUSY_SECONDS
        if ahead.unfinished:
            return 0.0 if ahead.catching_up else _AHEAD_SECONDS
        if self._awake:
            return _AHEAD_SECONDS
        return _TURN_SECONDS if judging.index.outdated else IDLE_SECONDS
