"""The prioritize that kube-scheduler sends next: known by its bytes, and answered ahead.

It sends the names that filter let through back in our order, behind the same pod, so the body is
made of bytes that we know. Any other body takes the usual way, with the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from extender.decisions import ticket as tickets
from extender.errors import WireError
from extender.kube.api import objects
from extender.server import replies, wire

_Piece: TypeAlias = bytes | msgspec.Raw

_START, _KEY = b'{"Pod":', b'"NodeNames":'
_NO_NAMES = _KEY + b"[]}"
_WHOLE, _WHOLE_END = b'"Nodes":{"metadata":{},"items":[', b']},"NodeNames":null}'
# Of whole nodes the bytes are held on to until prioritize has come: 500 nodes take 10 MB.
_MOST_HELD_BYTES = 32 * 1024 * 1024


class Followup:
    """What may follow one filter: its ticket, and how request and reply are written.

    `head` is what stood before the nodes when filter was asked; `tail` the bytes from there on, in
    pieces, as they are sent about the ticket's names.
    """

    def __init__(
        self, ticket: tickets.Ticket, head: bytes, tail: Sequence[_Piece], *, awaited: bool
    ) -> None:
        self.ticket = ticket
        self.awaited = awaited  # whether it is worth to work the answer out ahead
        self._reply = b""  # to the ticket's scores, once these are known
        self._head, self._tail = head, tail
        self.large = len(tail) > 1  # holds on to whole nodes, so to the body they came in
        self._tail_bytes = sum(map(_size, tail))

    def take(self, ticket: tickets.Ticket) -> None:
        """Keep the ticket with its scores, and write the reply to it."""
        self.ticket = ticket
        if ticket.scores is not None:
            self._reply = replies.priorities(ticket.names, ticket.scores)

    def ticket_for(self, body: bytes) -> tickets.Ticket | None:
        """The ticket that a prioritize is about; None if it asks about other names."""
        start = len(body) - self._tail_bytes
        if not (body.startswith(_START) and _continues(body, start, self._tail)):
            return None
        if start == len(self._head) and body.startswith(self._head):
            return self.ticket
        return self.ticket.of_pod(_pod_of(body[:start]))

    def reply(self, scores: replies.Scores) -> bytes:
        """The reply with these scores; written ahead where they are the ticket's own."""
        if self._reply and scores is self.ticket.scores:
            return self._reply
        return replies.priorities(self.ticket.names, scores)


def after(
    ticket: tickets.Ticket, reply: replies.FilterReply, body: bytes, *, awaited: bool
) -> Followup | None:
    """What may follow the filter that `body` asked; None where it is not worth its memory."""
    listed, plain = reply.listed, body.startswith(_START)
    if isinstance(listed, bytes):
        head = body[: body.rfind(_KEY)] if plain else b""
        return Followup(ticket, head, (_KEY + listed + b"}",), awaited=awaited)
    if not awaited or len(body) > _MOST_HELD_BYTES:
        return None
    head = body[: max(body.find(_WHOLE), 0)] if plain else b""
    if not _is_head_of(ticket.pod, head):
        head = b""
    return Followup(ticket, head, _whole_tail(listed), awaited=awaited)


def _is_head_of(pod: objects.Pod, head: bytes) -> bool:
    """Whether these bytes are a body up to its nodes, and about this pod.

    A pod may have "Nodes" in it, too, at which the body must not be cut.
    """
    try:
        return _pod_of(head) == pod
    except WireError:
        return False


def _whole_tail(items: Sequence[msgspec.Raw]) -> list[_Piece]:
    tail: list[_Piece] = [b","] * (2 * len(items) + 1)
    tail[0], tail[-1] = _WHOLE, _WHOLE_END
    tail[1::2] = items
    return tail


def _continues(body: bytes, start: int, parts: Sequence[_Piece]) -> bool:
    """Whether these parts, one after the other, are what stands in the body from there on."""
    if start < 0:
        return False
    for part in parts:
        if not body.startswith(part, start):
            return False
        start += _size(part)
    return True


def _size(part: _Piece) -> int:
    return memoryview(part).nbytes  # what has no length but its bytes is among them


def _pod_of(head: bytes) -> objects.Pod:
    return wire.question(head + _NO_NAMES).pod
