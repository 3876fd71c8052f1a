"""kube-scheduler's calls over HTTP: POST /filter, /prioritize, /preempt, and nothing else.

Every judgement is 200 with a whole body of known length; kube-scheduler takes any other status for
a failure of the call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from extender.errors import WireError
from extender.server import replies
from extender.server.http import notices, responses
from extender.server.http.requests import Head
from extender.server.http.responses import Reply
from extender.server.metrics import Metrics
from extender.server.verbs import Verbs
from extender.settings import Limits

_LOG = logging.getLogger(__name__)
# How far our watch may be behind kube-scheduler's: both hear of a change within milliseconds.
_BEHIND_SECONDS = 0.005
_QUIET_SECONDS = 1.0


class VerbHandler:
    """The handler of the extender port; `clock` is in seconds, for the durations only."""

    def __init__(
        self, verbs: Verbs, metrics: Metrics, limits: Limits, *, clock: Callable[[], float]
    ) -> None:
        self._judging = verbs
        self._verbs: dict[str, Callable[[bytes], replies.Body]] = {  # path → verb
            "/filter": verbs.filter,
            "/prioritize": verbs.prioritize,
            "/preempt": verbs.preempt,
        }
        self._metrics = metrics
        self._limits = limits
        self._clock = clock
        self._notices = notices.Notices(_LOG, clock=clock)
        self._last = -_QUIET_SECONDS

    @property
    def quiet(self) -> bool:
        """Whether nobody has called for a moment."""
        return self._clock() - self._last >= _QUIET_SECONDS

    def limit(self, head: Head, *, permitted: bool) -> int:
        """How large the body may be; raises WireError for a request that is refused unread."""
        if not permitted:
            raise WireError(403, "the client certificate names nobody who may call")
        if head.path not in self._verbs:
            raise WireError(404, "unknown verb; there are /filter, /prioritize and /preempt")
        if head.method != "POST":
            raise WireError(405, "verbs are called by POST")
        if head.fields.get("content-encoding", "identity") != "identity":
            raise WireError(415, "encoded bodies are not accepted")
        return self._limits.body_bytes

    def answer(self, head: Head, body: bytes, reply: Callable[[Reply], None]) -> None:
        """Judge."""
        self._last = started = self._clock()
        verb = head.path[1:]
        answered = self._answered(verb, body)
        if isinstance(answered, Reply):
            reply(answered)
            return
        loop = asyncio.get_running_loop()
        if verb == "filter" and self._judging.worth_another_look():
            loop.call_later(_BEHIND_SECONDS, self._look_again, started, body, reply)
            return
        self._metrics.request(verb, 200, self._clock() - started)
        reply(Reply(answered))
        # Once the answer is on its way, and before another call is read.
        loop.call_soon(self._judging.prepare)

    def refused(self, head: Head | None, refused: WireError) -> None:
        """Count a request that was not judged."""
        path = head.path if head else ""
        self._metrics.request(path[1:] if path in self._verbs else "other", refused.status, 0.0)
        if head is None:
            self._notices.info("a request could not be read: %s", refused)

    def _answered(self, verb: str, body: bytes) -> replies.Body | Reply:
        """The verdict, or the refusal."""
        try:
            return self._verbs[f"/{verb}"](body)
        except WireError as refused:
            problem = refused
        except Exception:  # noqa: BLE001 - one request's fault is logged, the service goes on
            self._notices.fault("a call failed")
            problem = WireError(500, "internal error")
        self._metrics.request(verb, problem.status, 0.0)
        return responses.refusal(problem)

    def _look_again(self, started: float, body: bytes, reply: Callable[[Reply], None]) -> None:
        """Answer filter once the watch had time to tell what kube-scheduler may know already."""
        answered = self._answered("filter", body)
        if isinstance(answered, Reply):
            reply(answered)
            return
        self._metrics.filter_retry(fits=not self._judging.full)
        self._metrics.request("filter", 200, self._clock() - started)
        reply(Reply(answered))
        asyncio.get_running_loop().call_soon(self._judging.prepare)
