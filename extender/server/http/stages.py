"""The stages of a connection, and how long each may take."""

from __future__ import annotations

import enum

from extender.settings import Limits

LINGER_SECONDS = 2.0  # a refused body is dropped for so long: the client gets to see why


class Stage(enum.Enum):
    """Where a connection stands; each has its time (`Connection.patience`)."""

    OPENING = "opening"  # TLS
    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    ANSWERING = "answering"
    SENDING = "sending"  # the client reads its answer slowly
    RESTING = "resting"  # answered; is read from, and its next request waits a little
    LEAVING = "leaving"  # refused; what it still sends is dropped
    CLOSED = "closed"


BUSY = frozenset({Stage.HEAD, Stage.BODY, Stage.ANSWERING, Stage.SENDING})
OCCUPIED = frozenset({Stage.ANSWERING, Stage.SENDING, Stage.RESTING})  # what comes now waits


def patience(stage: Stage, limits: Limits) -> float:
    """How long a connection may be in this stage, in seconds."""
    return {
        Stage.OPENING: limits.head_seconds,
        Stage.IDLE: limits.idle_seconds,
        Stage.HEAD: limits.head_seconds,
        Stage.BODY: limits.body_seconds,
        Stage.SENDING: limits.body_seconds,
        Stage.LEAVING: 2 * LINGER_SECONDS,
    }.get(stage, float("inf"))
