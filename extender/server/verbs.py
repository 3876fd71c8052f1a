"""The verbs of a scheduler extender: a body in, a body out, and nothing awaited in between.

A fault of ours lets nodes through unjudged, and is counted and logged: a scheduler that cannot ask
must not stop scheduling. Before the first sync no pod that asks for devices can be judged; that is
said in `Error`, so that kube-scheduler tries the pod again instead of placing it blindly.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from extender.decisions import ticket as tickets
from extender.decisions.verb_results import FilterResult, Victims
from extender.kube.api import objects
from extender.server import prepared_prioritize, replies, wire
from extender.server.metrics import Metrics

_LOG = logging.getLogger(__name__)
_QUIET_SECONDS = 10.0  # a fault that meets every pod shall not fill the disk with tracebacks
# Pods that fit nowhere are tried again and again; each retry holds the scheduler up 5 ms.
_RETRIES_APART_SECONDS = 0.25


class VerbEngine(Protocol):
    """Who decides. Pure calls: the same request and cluster give the same answer."""

    def concerns(self, pod: objects.Pod) -> bool:
        """Whether this pod can be refused at all, by the pod alone, at once."""

    def scores(self, pod: objects.Pod) -> bool:
        """Whether prioritize has an opinion on this pod, at once."""

    def filter(self, pod: objects.Pod, names: list[str]) -> FilterResult:
        """Refuse nodes, each with a reason. Called again if names turn out to be repeated."""

    def prepare(self, ticket: tickets.Ticket) -> tickets.Ticket:
        """The ticket of a filter with the scores that prioritize would answer now, if any."""

    def prioritize(
        self, pod: objects.Pod, names: Sequence[str], ticket: tickets.Ticket | None = None
    ) -> replies.Scores:
        """Score the nodes, parallel to names; empty is no opinion.

        `ticket` is filter's, where it was about this pod and these names. If its scores still
        hold, they are answered as that very object.
        """

    def settle(self) -> None:
        """Take in what has changed, so that the next call need not."""

    def preempt(self, pod: objects.Pod, victims: dict[str, Victims]) -> dict[str, Victims]:
        """Keep the nodes on which evicting makes room, with the pods to evict there."""


class Judge(Protocol):
    """The engine of the day, and whether it may judge yet."""

    @property
    def engine(self) -> VerbEngine: ...

    def waiting_for(self) -> Collection[str]:
        """What is not read yet, such as kinds of objects; empty when ready to judge."""


class Verbs:
    """filter, prioritize and preempt for one judge; `clock` is in seconds, for quiet logs only."""

    def __init__(self, judge: Judge, metrics: Metrics, *, clock: Callable[[], float]) -> None:
        self._judge = judge
        self._metrics = metrics
        self._clock = clock
        self._logged: dict[str, float] = {}  # verb → when its last fault was logged
        # What the last filter found, while a prioritize may come for it.
        self._next: prepared_prioritize.Followup | None = None
        self._followed = True  # whether prioritize came after the last filter
        self.full = False  # whether the last filter refused all nodes, some of them for now only
        self._looked = -_RETRIES_APART_SECONDS  # when it was last said to be worth a retry

    def filter(self, body: bytes) -> replies.Body:
        """Answer filter: who passes, and for everyone else why not."""
        request = wire.question(body)
        pod, nodes = request.pod, request.asked
        self.full = False
        self._metrics.nodes("filter", len(nodes.names))
        engine = self._judge.engine
        try:
            # Known from the pod alone: it needs nothing that is still to be read.
            if not engine.concerns(pod):
                return self._remembered(pod, _ALL, replies.filtered(nodes.once(), _ALL), body)
            if waiting := self._judge.waiting_for():
                self._metrics.not_ready("filter")
                return replies.no_judgement(f"Railyard is still reading: {', '.join(waiting)}")
            found = engine.filter(pod, nodes.names)
            if not found.distinct and (once := nodes.once()) is not nodes:
                nodes = once
                found = engine.filter(pod, nodes.names)
            reply = replies.filtered(nodes, found)
        except Exception:  # noqa: BLE001 - any fault of ours opens, is counted and logged
            self._fault("filter", pod)
            return replies.filtered(nodes.once(), _ALL).body
        self._metrics.unknown_nodes(found.unknown)
        self.full = bool(found.failed) and not reply.passing
        return self._remembered(pod, found, reply, body)

    def worth_a_retry(self, *, noted: bool = True) -> bool:
        """Whether filter just refused all nodes, some for now only, and may do so again soon.

        kube-scheduler hears of a pod's end by a watch of its own. If that is ahead of ours, it
        asks about devices that we still take for held, and then lets the pod wait for another
        event, which in a quiet cluster may be minutes. Said now and then only: see the constant.
        """
        if not self.full:
            return False
        now = self._clock()
        if now - self._looked < _RETRIES_APART_SECONDS:
            return False
        if noted:
            self._looked = now
        return True

    def prepare(self) -> None:
        """While nobody waits: take in what the last call left, and be ready for the next one.

        kube-scheduler reads filter's list, and then asks about it: in that time the answer to
        prioritize is written. A scheduler that did not ask the last time is not prepared for.
        """
        following, engine = self._next, self._judge.engine
        awaited = following is not None and following.awaited
        try:
            if following is None or not awaited:
                if not self._judge.waiting_for():
                    engine.settle()
                return
            following.awaited = False
            if engine.scores(following.ticket.pod):
                following.take(engine.prepare(following.ticket))
        except Exception:  # noqa: BLE001 - the next call may not meet it: counted and logged here
            self._fault("prepare", None)

    def prioritize(self, body: bytes) -> bytes:
        """Answer prioritize: a score per node, or `[]` for no opinion."""
        self._followed = True
        following = self._next
        ticket = following.ticket_for(body) if following is not None else None
        if following is None or ticket is None:
            following, ticket = None, _ticket_of(body)
        self._metrics.nodes("prioritize", len(ticket.names))
        engine = self._judge.engine
        try:
            if not engine.scores(ticket.pod):
                return b"[]"
            if self._judge.waiting_for():
                self._metrics.not_ready("prioritize")
                return b"[]"
            scores = engine.prioritize(ticket.pod, ticket.names, ticket)
            if following is None:
                return replies.priorities(ticket.names, scores)
            if following.large:
                self._next = None  # nobody asks twice
            return following.reply(scores)
        except Exception:  # noqa: BLE001 - any fault of ours opens, is counted and logged
            self._fault("prioritize", ticket.pod)
            return b"[]"

    def preempt(self, body: bytes) -> bytes:
        """Answer preempt: the asked nodes on which evicting helps; unjudged, as they were asked."""
        asked = wire.preemption(body)
        self._metrics.nodes("preempt", len(asked.victims))
        try:
            if not self._judge.engine.concerns(asked.pod):
                return replies.preemption(asked.victims)
            if self._judge.waiting_for():
                self._metrics.not_ready("preempt")
                return replies.preemption(asked.victims)
            kept = self._judge.engine.preempt(asked.pod, dict(asked.victims))
            return replies.preemption(_answerable(asked.victims, kept))
        except Exception:  # noqa: BLE001 - any fault of ours opens, is counted and logged
            self._fault("preempt", asked.pod)
            return replies.preemption(asked.victims)

    def _remembered(
        self, pod: objects.Pod, found: FilterResult, reply: replies.FilterReply, body: bytes
    ) -> replies.Body:
        """The body of the reply; what may follow it is known from here on."""
        ticket = found.ticket
        if ticket is None or ticket.names is not reply.passing:
            ticket = tickets.Ticket(pod, reply.passing)
        awaited = self._followed and len(reply.passing) > 1
        self._next = prepared_prioritize.after(ticket, reply, body, awaited=awaited)
        self._followed = False
        return reply.body

    def _fault(self, verb: str, pod: objects.Pod | None) -> None:
        self._metrics.fail_open(verb)
        now = self._clock()
        if now - self._logged.get(verb, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            self._logged[verb] = now
            if pod is None:
                _LOG.exception("%s failed between calls", verb)
            else:
                name = pod.metadata.name[:253]
                _LOG.exception("%s of %r failed; nodes pass unjudged", verb, name)


_ALL = FilterResult()


def _ticket_of(body: bytes) -> tickets.Ticket:
    """The ticket of a prioritize that follows nothing we know."""
    request = wire.question(body)
    return tickets.Ticket(request.pod, request.asked.once().names)


def _answerable(asked: dict[str, Victims], kept: dict[str, Victims]) -> dict[str, Victims]:
    """Drop nodes never asked, and those left without victims unless they came without any.

    Schedulers up to 1.37 take an empty list for an error of the whole call; from 1.38 on they send
    empty lists themselves and accept them back.
    """
    return {
        name: victims
        for name, victims in kept.items()
        if name in asked and (victims.pods or not asked[name].pods)
    }
