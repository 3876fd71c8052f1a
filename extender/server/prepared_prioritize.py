"""The prioritize that kube-scheduler sends next: known by its bytes, and answered ahead.

It sends the names that filter let through back in our order, behind the same pod, so the body is
made of bytes that we know. Any other body takes the usual way, with the same result.
"""

from __future__ import annotations

from extender.decisions import ticket as tickets
from extender.kube.api import objects
from extender.server import replies, wire

_START, _KEY = b'{"Pod":', b'"NodeNames":'
_NO_NAMES = _KEY + b"[]}"


class Followup:
    """What may follow one filter: its ticket, and how request and reply are written.

    `listed` are the ticket's names as JSON; `body` the request to filter.
    """

    def __init__(
        self, ticket: tickets.Ticket, listed: bytes, body: bytes, *, awaited: bool
    ) -> None:
        self.ticket = ticket
        self.awaited = awaited  # whether it is worth to work the answer out ahead
        self._reply = b""  # to the ticket's scores, once these are known
        self._tail = _KEY + listed + b"}"
        # What stood before the names when filter was asked about the pod.
        self._head = body[: body.rfind(_KEY)] if body.startswith(_START) else b""

    def take(self, ticket: tickets.Ticket) -> None:
        """Keep the ticket with its scores, and write the reply to it."""
        self.ticket = ticket
        if ticket.scores is not None:
            self._reply = replies.priorities(ticket.names, ticket.scores)

    def ticket_for(self, body: bytes) -> tickets.Ticket | None:
        """The ticket that a prioritize is about; None if it asks about other names."""
        if not (body.endswith(self._tail) and body.startswith(_START)):
            return None
        start = len(body) - len(self._tail)
        if start == len(self._head) and body.startswith(self._head):
            return self.ticket
        return self.ticket.of_pod(_pod_of(body[:start]))

    def reply(self, scores: replies.Scores) -> bytes:
        """The reply with these scores; written ahead where they are the ticket's own."""
        if self._reply and scores is self.ticket.scores:
            return self._reply
        return replies.priorities(self.ticket.names, scores)


def _pod_of(head: bytes) -> objects.Pod:
    return wire.question(head + _NO_NAMES).pod
