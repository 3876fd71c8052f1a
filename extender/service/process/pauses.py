"""How long work in the background rests between two turns."""

from __future__ import annotations

from extender.decisions import engine

IDLE_SECONDS = 0.05  # how long changes may wait for a request before they are settled anyway
_TURN_SECONDS = 0.01  # that others get between two turns of work that somebody asked for
# Between turns of work ahead while calls come: a fifth of a core, and what a placement changed is
# worked out before the next pod.
_AHEAD_SECONDS = 0.002
_TURNS_AFTER_A_CALL = 50  # that a scheduler's next call is expected for: 100 ms


class Pauses:
    """Sees from one turn to the next whether kube-scheduler calls."""

    def __init__(self) -> None:
        self._calls = 0  # of filter, when the last turn was given
        self._awake = 0  # turns left after the last call

    def next(self, judging: engine.Engine) -> float:
        """Seconds until the next turn: none where a kind of pods is new and nobody calls."""
        ahead = judging.ahead
        called, self._calls = ahead.calls != self._calls, ahead.calls
        self._awake = _TURNS_AFTER_A_CALL if called else max(self._awake - 1, 0)
        if ahead.unfinished:
            return 0.0 if ahead.catching_up and not called else _AHEAD_SECONDS
        if self._awake:
            return _AHEAD_SECONDS
        return _TURN_SECONDS if judging.index.outdated else IDLE_SECONDS
