"""kube-scheduler's calls, answered by the candidate for its pods and by the engine for all others.

filter of a pod ──► the canary takes it ──► the candidate answers; prioritize and preempt of
     │                                      the pod then go to the candidate, too
     │                  it raises, or is stopped ──► counted; the engine answers instead
     └─────────────► else the engine answers, and so do prioritize and preempt
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from extender import errors
from extender.decisions import engine, verb_results
from extender.decisions import ticket as tickets
from extender.kube.api import objects
from extender.rollout import canary, candidate_engine, chosen_pods

T = TypeVar("T")

# Pods whose filter the candidate answered last; kube-scheduler asks about few at a time.
_MOST_FILTERED = 1024


class SplitEngine:
    """The engine that the port asks while there is a canary; `spent` tells processor time, seconds.

    `stopped` is called when the candidate had to be stopped: what it shares with the engine may be
    half-written then, and has to be built anew.
    """

    def __init__(
        self,
        judging: engine.Engine,
        trying: candidate_engine.CandidateEngine,
        state: canary.CanaryRun,
        *,
        spent: Callable[[], float],
        limit: Callable[[Callable[[], None]], None],
        stopped: Callable[[], None],
    ) -> None:
        self._engine = judging
        self._candidate = trying
        self._canary = state
        self._spent = spent
        self._limit = limit
        self._stopped = stopped
        self._filtered: dict[str, None] = {}  # UIDs, the latest last

    def concerns(self, pod: objects.Pod) -> bool:
        return self._engine.concerns(pod)

    def scores(self, pod: objects.Pod) -> bool:
        return (self._candidate if self._has(pod) else self._engine).scores(pod)

    def settle(self) -> None:
        self._engine.settle()

    def filter(self, pod: objects.Pod, names: Sequence[str]) -> verb_results.FilterResult:
        """Judge by the candidate where the canary takes the pod, and remember it."""
        self._filtered.pop(pod.metadata.uid, None)
        if self._answering and chosen_pods.takes(self._canary.settings, pod):
            found = self._tried("filter", lambda: self._candidate.filter(pod, names))
            if found is not None:
                self._remember(pod.metadata.uid)
                return found
        return self._engine.filter(pod, names)

    def prepare(self, ticket: tickets.Ticket) -> tickets.Ticket:
        if self._has(ticket.pod):
            return self._tried("prepare", lambda: self._candidate.prepare(ticket)) or ticket
        return self._engine.prepare(ticket)

    def prioritize(
        self, pod: objects.Pod, names: Sequence[str], ticket: tickets.Ticket | None = None
    ) -> NDArray[np.int64]:
        """Score by whom filter was judged by."""
        if self._has(pod):
            found = self._tried(
                "prioritize", lambda: self._candidate.prioritize(pod, names, ticket)
            )
            if found is not None:
                return found
        return self._engine.prioritize(pod, names, ticket)

    def preempt(
        self, pod: objects.Pod, offered: Mapping[str, verb_results.Victims]
    ) -> dict[str, verb_results.Victims]:
        """Choose victims by whom filter was judged by."""
        if self._has(pod):
            found = self._tried("preempt", lambda: self._candidate.preempt(pod, offered))
            if found is not None:
                return found
        return self._engine.preempt(pod, offered)

    # ------------------------------------------------------------ who answers

    @property
    def _answering(self) -> bool:
        return self._canary.state == canary.ANSWERING

    def _has(self, pod: objects.Pod) -> bool:
        """Whether the candidate answers for the pod; filter decides it for pods with devices."""
        if not self._answering:
            return False
        if self._engine.concerns(pod):
            return pod.metadata.uid in self._filtered
        return chosen_pods.takes(self._canary.settings, pod)

    def _remember(self, uid: str) -> None:
        self._filtered[uid] = None
        if len(self._filtered) > _MOST_FILTERED:
            del self._filtered[next(iter(self._filtered))]

    def _tried(self, verb: str, work: Callable[[], T]) -> T | None:
        """The candidate's answer; None where it has none, which is counted.

        What has happened is taken in before: that is no work of the candidate's.
        """
        self._engine.settle()
        found: list[T] = []
        before = self._spent()
        try:
            self._limit(lambda: found.append(work()))
        except errors.StoppedError as fault:
            self._canary.failed(verb, fault)
            self._canary.roll_back(f"{verb} was stopped after {fault}")
            self._stopped()
            return None
        except Exception as fault:  # noqa: BLE001 - a candidate's fault must not reach a pod
            self._canary.failed(verb, fault)
            return None
        self._canary.succeeded(verb, self._spent() - before)
        return found[0]
