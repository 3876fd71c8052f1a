"""How long work in the background rests between two turns."""

from __future__ import annotations

from extender.decisions import engine

IDLE_SECONDS = 0.05  # how long changes may wait for a request before they are settled anyway
_TURN_SECONDS = 0.01  # that others get between two turns of work that somebody asked for
_AHEAD_SECONDS = 0.002  # between turns of work ahead, of half a millisecond: a fifth of a core


class Pauses:
    """Sees from one turn to the next whether kube-scheduler calls."""

    def __init__(self) -> None:
        self._calls = 0  # of filter, when the last turn was given

    def next(self, judging: engine.Engine) -> float:
        """Seconds until the next turn: none where a kind of pods is new and nobody calls."""
        ahead = judging.ahead
        if not ahead.unfinished:
            return _TURN_SECONDS if judging.index.outdated else IDLE_SECONDS
        called, self._calls = ahead.calls != self._calls, ahead.calls
        return 0.0 if ahead.catching_up and not called else _AHEAD_SECONDS
