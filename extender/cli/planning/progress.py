"""A progress bar with the time that is left, on a terminal only."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable

_LEAST_SECONDS = 0.2  # between two drawings
_BAR = 30  # columns, fewer where the terminal is narrow


class Bar:
    """Draws on standard error; silent where that is no terminal."""

    def __init__(self, what: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._clock = clock
        self._began = clock()
        self._drawn = 0.0
        self._shown = sys.stderr.isatty()

    def show(self, share: float) -> None:
        """Show the share that is done, 0 to 1."""
        now = self._clock()
        if not self._shown or (now - self._drawn < _LEAST_SECONDS and share < 1.0):
            return
        self._drawn = now
        width = shutil.get_terminal_size().columns
        print(f"\r{line(self._what, share, now - self._began, width)}", end="", file=sys.stderr)
        sys.stderr.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self._shown:
            width = shutil.get_terminal_size().columns
            print(f"\r{' ' * (width - 1)}\r", end="", file=sys.stderr)
            sys.stderr.flush()


def line(what: str, share: float, seconds: float, width: int) -> str:
    """The bar as text, no wider than the terminal."""
    share = min(max(share, 0.0), 1.0)
    left = f"{clock_of(seconds / share - seconds)} left" if share > 0.0 else "…"
    columns = max(min(_BAR, width - len(what) - len(left) - 12), 0)
    full = round(share * columns)
    text = f"{what} [{'#' * full}{'.' * (columns - full)}] {share:4.0%} {left}"
    return text[: width - 1].ljust(width - 1)


def clock_of(seconds: float) -> str:
    """Seconds as people read them: 0:42, 12:05, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
