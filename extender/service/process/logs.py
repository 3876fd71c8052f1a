"""Log lines as JSON objects, one a line: user text cannot forge a line or a field."""

from __future__ import annotations

import datetime as dt
import logging

import orjson

_MOST_CHARACTERS = 4096  # of one message; a traceback fits


class JsonFormatter(logging.Formatter):
    """Writes time (RFC 3339, UTC), level, logger, message and, for faults, the traceback.

    `extra={"fields": {…}}` adds members of one's own, of any shape that JSON holds.
    """

    def format(self, record: logging.LogRecord) -> str:
        when = dt.datetime.fromtimestamp(record.created, tz=dt.UTC)
        line = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:_MOST_CHARACTERS],
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)[-_MOST_CHARACTERS:]
        # A lone surrogate (a file name, say) is no JSON text: it is written as a question mark.
        clean = {key: value.encode("utf-8", "replace").decode() for key, value in line.items()}
        return orjson.dumps(getattr(record, "fields", {}) | clean).decode()


def set_up(level: str) -> None:
    """Log to standard error from `level` up."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
