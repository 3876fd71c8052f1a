"""The verbs of a scheduler extender: a body in, a body out, and nothing awaited in between.

A fault of ours lets nodes through unjudged, and is counted and logged: a scheduler that cannot ask
must not stop scheduling. Before the first sync no pod that asks for devices can be judged; that is
said in `Error`, so that kube-scheduler tries the pod again instead of placing it blindly.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Protocol

from extender.decisions.verb_results import FilterResult, Victims
from extender.kube.api import objects
from extender.server import replies, wire
from extender.server.metrics import Metrics

_LOG = logging.getLogger(__name__)
_QUIET_SECONDS = 10.0  # a fault that meets every pod shall not fill the disk with tracebacks
# Pods that fit nowhere are tried again and again; each second look holds the scheduler up 5 ms.
_LOOKS_APART_SECONDS = 0.25


class Judge(Protocol):
    """Who decides. Pure calls: the same request and cluster give the same answer."""

    def waiting_for(self) -> Collection[str]:
        """What is not read yet, such as kinds of objects; empty when ready to judge."""

    def concerns(self, pod: objects.Pod) -> bool:
        """Whether this pod can be refused at all, told from the pod alone, at once."""

    def scores(self, pod: objects.Pod) -> bool:
        """Whether prioritize has an opinion on this pod, told at once."""

    def filter(self, pod: objects.Pod, names: list[str]) -> FilterResult:
        """Refuse nodes, each with a reason. Called again if names turn out to be repeated."""

    def prioritize(self, pod: objects.Pod, names: list[str]) -> replies.Scores:
        """Score the nodes, parallel to names; empty is no opinion.

        `names` is the very list that `filter` returned in `kept`, when that is what is asked.
        """

    def prepare(self, pod: objects.Pod, names: list[str]) -> replies.Scores:
        """Work out what prioritize would answer now; if it is asked next, it may be that object."""

    def settle(self) -> None:
        """Take in what has changed, so that the next call need not."""

    def preempt(self, pod: objects.Pod, victims: dict[str, Victims]) -> dict[str, Victims]:
        """Keep the nodes on which evicting makes room, with the pods to evict there."""


class Verbs:
    """filter, prioritize and preempt for one judge; `clock` is in seconds, for quiet logs only."""

    def __init__(self, judge: Judge, metrics: Metrics, *, clock: Callable[[], float]) -> None:
        self._judge = judge
        self._metrics = metrics
        self._clock = clock
        self._logged: dict[str, float] = {}  # verb → when its last fault was logged
        self._last = _Expected([], b"[]")
        self._filtered: objects.Pod | None = None  # the pod of `_last`, where prioritize may follow
        self._followed = True  # whether prioritize came after the last filter
        self.full = False  # whether the last filter refused all nodes, some of them for now only
        self._looked = -_LOOKS_APART_SECONDS  # when it was last said to be worth another look
        self._ready: tuple[object, bytes] = (object(), b"")  # scores, and how they are written

    def filter(self, body: bytes) -> replies.Body:
        """Answer filter: who passes, and for everyone else why not."""
        question = wire.question(body)
        asked = question.asked
        self.full = False
        self._metrics.nodes("filter", len(asked.names))
        try:
            # Told from the pod alone: it needs nothing that is still to be read.
            if not self._judge.concerns(question.pod):
                return self._remembered(question.pod, replies.filtered(asked.once(), _ALL), body)
            if waiting := self._judge.waiting_for():
                self._metrics.not_ready("filter")
                return replies.no_judgement(f"Railyard is still reading: {', '.join(waiting)}")
            answer = self._judge.filter(question.pod, asked.names)
            if not answer.distinct and (once := asked.once()) is not asked:
                asked = once
                answer = self._judge.filter(question.pod, asked.names)
            reply = replies.filtered(asked, answer)
        except Exception:  # noqa: BLE001 - any fault of ours opens, is counted and logged
            self._fault("filter", question.pod)
            return replies.filtered(asked.once(), _ALL).body
        self._metrics.unknown_nodes(answer.unknown)
        self.full = bool(answer.failed) and not reply.passing
        return self._remembered(question.pod, reply, body)

    def worth_another_look(self) -> bool:
        """Whether filter just refused all nodes, some for now only, and may do so again soon.

        kube-scheduler hears of a pod's end by a watch of its own. If that is ahead of ours, it
        asks about room that we still take for held, and then lets the pod wait for another event,
        which in a quiet cluster may be minutes. Said now and then only: see the constant.
        """
        if not self.full:
            return False
        now = self._clock()
        if now - self._looked < _LOOKS_APART_SECONDS:
            return False
        self._looked = now
        return True

    def prepare(self) -> None:
        """While nobody waits: take in what the last call left, and be ready for the next one.

        kube-scheduler reads filter's list, and then asks about it: in that time the answer to
        prioritize is written. A scheduler that did not ask the last time is not prepared for.
        """
        pod, self._filtered = self._filtered, None
        names = self._last.names.names
        try:
            if pod is None:
                self._judge.settle()
            elif self._judge.scores(pod):
                scores = self._judge.prepare(pod, names)
                self._ready = (scores, replies.priorities(names, scores))
        except Exception:  # noqa: BLE001 - the next call meets the same fault, and counts it
            self._ready = (object(), b"")

    def prioritize(self, body: bytes) -> bytes:
        """Answer prioritize: a score per node, or `[]` for no opinion."""
        self._followed = True
        known = self._last.question(body)
        question = known or wire.question(body)
        names = (question.asked if known else question.asked.once()).names
        self._metrics.nodes("prioritize", len(names))
        try:
            if not self._judge.scores(question.pod):
                return b"[]"
            if self._judge.waiting_for():
                self._metrics.not_ready("prioritize")
                return b"[]"
            scores = self._judge.prioritize(question.pod, names)
            ready, reply = self._ready
            return reply if scores is ready else replies.priorities(names, scores)
        except Exception:  # noqa: BLE001 - any fault of ours opens, is counted and logged
            self._fault("prioritize", question.pod)
            return b"[]"

    def preempt(self, body: bytes) -> bytes:
        """Answer preempt: the asked nodes on which evicting helps; unjudged, as they were asked."""
        asked = wire.preemption(body)
        self._metrics.nodes("preempt", len(asked.victims))
        try:
            if not self._judge.concerns(asked.pod):
                return replies.preemption(asked.victims)
            if self._judge.waiting_for():
                self._metrics.not_ready("preempt")
                return replies.preemption(asked.victims)
            kept = self._judge.preempt(asked.pod, dict(asked.victims))
            return replies.preemption(_answerable(asked.victims, kept))
        except Exception:  # noqa: BLE001 - any fault of ours opens, is counted and logged
            self._fault("preempt", asked.pod)
            return replies.preemption(asked.victims)

    def _remembered(
        self, pod: objects.Pod, reply: replies.FilterReply, body: bytes
    ) -> replies.Body:
        self._filtered = None
        if reply.listed is not None:
            self._last = _Expected(reply.passing, reply.listed, pod, body)
            if self._followed and len(reply.passing) > 1:
                self._filtered = pod
        self._followed = False
        return reply.body

    def _fault(self, verb: str, pod: objects.Pod) -> None:
        self._metrics.fail_open(verb)
        now = self._clock()
        if now - self._logged.get(verb, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            self._logged[verb] = now
            _LOG.exception("%s of %r failed; nodes pass unjudged", verb, pod.metadata.name[:253])


class _Expected:
    """The names that prioritize will ask about next: those that filter just let through.

    kube-scheduler sends them back in our order, behind the same pod, so its body is made of bytes
    that we know. Anything else takes the usual way, with the same result.
    """

    def __init__(
        self, names: list[str], listed: bytes, pod: objects.Pod | None = None, body: bytes = b""
    ) -> None:
        self.names = wire.Names(names)
        self._tail = _KEY + listed + b"}"
        self._pod = pod
        # What stood before the names when filter was asked about the pod.
        self._head = body[: body.rfind(_KEY)] if body.startswith(_START) else b""

    def question(self, body: bytes) -> wire.ExtenderArgs | None:
        if not (body.endswith(self._tail) and body.startswith(_START)):
            return None
        start = len(body) - len(self._tail)
        if self._pod is not None and start == len(self._head) and body.startswith(self._head):
            return wire.ExtenderArgs(self._pod, self.names)
        return wire.ExtenderArgs(wire.question(body[:start] + _NO_NAMES).pod, self.names)


_ALL = FilterResult()
_START, _KEY = b'{"Pod":', b'"NodeNames":'
_NO_NAMES = _KEY + b"[]}"


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
