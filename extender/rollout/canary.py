"""One candidate's canary: what it answered, what of that went wrong, and whether it goes on.

waiting ──► answering ──► rolled back, until the candidate's document is another one
   ▲            │
   └────────────┘  another engine or another policy in force: it learns the prices anew
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable

from extender.rollout import document

WAITING, ANSWERING, ROLLED_BACK = "waiting", "answering", "rolled back"
STATES = (WAITING, ANSWERING, ROLLED_BACK)
MOST_STEPS = 20  # the last ones are kept
_MOST_WORDS = 300  # characters of a fault


@dataclasses.dataclass(frozen=True, slots=True)
class CanaryStep:
    """What became of a canary, and when (seconds since 1970); `state` is one of STATES."""

    when: float
    state: str
    why: str


@dataclasses.dataclass(slots=True)
class Counts:
    """Calls of kube-scheduler that came to the candidate."""

    answered: int = 0  # by the candidate
    slow: int = 0  # of these
    failed: int = 0  # answered by the policy in force in its place
    pods: int = 0  # filter calls answered: a pod that is tried again counts again


class CanaryRun:
    """The state of one; `on_step` hears of each step, `wall` tells seconds since 1970."""

    def __init__(
        self,
        settings: document.Canary,
        fingerprint: str,
        *,
        on_step: Callable[[CanaryStep], None],
        wall: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.fingerprint = fingerprint
        self.counts = Counts()
        self.fault = ""  # the last error
        self.steps: deque[CanaryStep] = deque(maxlen=MOST_STEPS)
        self._on_step = on_step
        self._wall = wall
        # Of the last calls whether it failed, and whether it was slow.
        self._last: deque[tuple[bool, bool]] = deque(maxlen=settings.rollback.calls)
        self._wrong = [0, 0]  # how many of these failed, how many were slow
        self._step(WAITING, "until the candidate has learnt the demand")

    @property
    def state(self) -> str:
        return self.steps[-1].state

    @property
    def rolled_back(self) -> bool:
        return self.state == ROLLED_BACK

    @property
    def recent(self) -> dict[str, float]:
        """What part of as many calls as are looked at has `failed`, and was `slow`, of the last."""
        failed, slow = (wrong / self.settings.rollback.calls for wrong in self._wrong)
        return {"failed": failed, "slow": slow}

    def wait(self, why: str) -> None:
        """The candidate cannot answer for now."""
        if self.state == ANSWERING:
            self._step(WAITING, why)

    def answer(self) -> None:
        """The candidate answers for its pods from now on, unless it was rolled back."""
        if self.state == WAITING:
            self._step(ANSWERING, f"for {pods_in_words(self.settings)}")

    def roll_back(self, why: str) -> None:
        """The policy in force answers for all pods from now on."""
        if not self.rolled_back:
            self._step(ROLLED_BACK, why)

    # ------------------------------------------------------------ calls

    def succeeded(self, verb: str, seconds: float) -> None:
        """The candidate has answered a call, in so many seconds of processor time."""
        limits = self.settings.rollback
        slow = seconds * 1000 > limits.slow_milliseconds
        self.counts.answered += 1
        self.counts.slow += slow
        self.counts.pods += verb == "filter"
        self._note(failed=False, slow=slow)
        if self._wrong[1] > limits.slow_rate * limits.calls:
            self.roll_back(
                f"{self._wrong[1]} of its last {len(self._last)} calls took more than"
                f" {limits.slow_milliseconds:g} ms of processor time, the last one"
                f" {seconds * 1000:.0f} ms"
            )

    def failed(self, verb: str, fault: BaseException) -> None:
        """The candidate raised an error, and the policy in force answers in its place."""
        limits = self.settings.rollback
        self.counts.failed += 1
        self.fault = f"{verb}: {type(fault).__name__}: {fault}"[:_MOST_WORDS]
        self._note(failed=True, slow=False)
        if self._wrong[0] > limits.error_rate * limits.calls:
            problem = f"{self._wrong[0]} of its last {len(self._last)} calls failed, the last one"
            self.roll_back(f"{problem} in {self.fault}")

    def _note(self, *, failed: bool, slow: bool) -> None:
        if len(self._last) == self._last.maxlen:
            failed_before, slow_before = self._last[0]
            self._wrong[0] -= failed_before
            self._wrong[1] -= slow_before
        self._last.append((failed, slow))
        self._wrong[0] += failed
        self._wrong[1] += slow

    def _step(self, state: str, why: str) -> None:
        found = CanaryStep(self._wall(), state, why)
        self.steps.append(found)
        self._on_step(found)


def pods_in_words(settings: document.Canary) -> str:
    """The pods of a canary in words."""
    share = "all pods" if settings.percent is None else f"{settings.percent:g}% of the pods"
    if not settings.namespaces:
        return share
    named = ", ".join(settings.namespaces[:3]) + (", …" if len(settings.namespaces) > 3 else "")
    return f"{share} of {named}"
