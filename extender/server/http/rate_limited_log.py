"""Log lines about what clients do wrong: one in a while, and how many were left out."""

from __future__ import annotations

import asyncio
import logging

_QUIET_SECONDS = 10.0


class RateLimitedLog:
    """Logs each kind of message once in ten seconds; a kind is its text before the arguments.

    Time is that of the running loop.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._last: dict[str, tuple[float, int]] = {}  # text → when it was logged, left out since

    def info(self, text: str, *arguments: object) -> None:
        self._say(logging.INFO, text, arguments, fault=False)

    def warn(self, text: str, *arguments: object) -> None:
        self._say(logging.WARNING, text, arguments, fault=False)

    def fault(self, text: str, *arguments: object) -> None:
        """Log the exception that is being handled, with its traceback."""
        self._say(logging.ERROR, text, arguments, fault=True)

    def _say(self, level: int, text: str, arguments: tuple[object, ...], *, fault: bool) -> None:
        now = asyncio.get_running_loop().time()
        when, left_out = self._last.get(text, (-_QUIET_SECONDS, 0))
        if self._last.get(text) is not None and now - when < _QUIET_SECONDS:
            self._last[text] = (when, left_out + 1)
            return
        self._last[text] = (now, 0)
        more = f" ({left_out} more since the last time)" if left_out else ""
        self._log.log(level, text + "%s", *arguments, more, exc_info=fault)
