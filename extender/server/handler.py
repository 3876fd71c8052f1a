"""kube-scheduler's calls over HTTP: POST /filter, /prioritize, /preempt, and nothing else.

Every judgement is 200 with a whole body of known length; kube-scheduler takes any other status for
a failure of the call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiohttp import web

from extender.errors import WireError
from extender.server import replies
from extender.server.http import rate_limited_log, responses
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
        self._limited_log = rate_limited_log.RateLimitedLog(_LOG)
        self._last = -_QUIET_SECONDS
        self.calls = 0  # so far: what is done between them makes way

    @property
    def quiet(self) -> bool:
        """Whether nobody has called for a moment."""
        return self._clock() - self._last >= _QUIET_SECONDS

    def limit(self, request: web.BaseRequest, *, permitted: bool) -> int:
        """How large the body may be; raises WireError for a request that is refused unread."""
        if not permitted:
            raise WireError(403, "the client certificate names nobody who may call")
        if request.path not in self._verbs:
            raise WireError(404, "unknown verb; there are /filter, /prioritize and /preempt")
        if request.method != "POST":
            raise WireError(405, "verbs are called by POST")
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise WireError(415, "encoded bodies are not accepted")
        return self._limits.body_bytes

    def answer_at_once(self, path: str, body: bytes) -> Reply | None:
        """Judge where that is quickly done; what is refused, fails or is looked at again is not."""
        if path not in self._verbs:
            return None
        self._last = started = self._clock()
        self.calls += 1
        try:
            answered = self._verbs[path](body)
        except Exception:  # noqa: BLE001 - it is tried again, and logged, in `answer`
            return None
        if path == "/filter" and self._judging.worth_a_retry(noted=False):
            return None
        return self._answer(path, started, answered)

    async def answer(self, request: web.BaseRequest, body: bytes) -> Reply:
        """Judge."""
        self._last = started = self._clock()
        self.calls += 1
        path = request.path
        try:
            answered = self._verbs[path](body)
            if path == "/filter" and self._judging.worth_a_retry():
                # The watch may tell by then what kube-scheduler may know already.
                await asyncio.sleep(_BEHIND_SECONDS)
                answered = self._verbs[path](body)
                self._metrics.filter_retry(fits=not self._judging.full)
        except WireError as refused:
            return self._refusal(path, refused)
        except Exception:  # noqa: BLE001 - one request's fault is logged, the service goes on
            self._limited_log.fault("a call failed")
            return self._refusal(path, WireError(500, "internal error"))
        return self._answer(path, started, answered)

    def _answer(self, path: str, started: float, answered: replies.Body) -> Reply:
        self._metrics.request(path[1:], 200, self._clock() - started)
        # Once the answer is on its way, and before another call is read.
        asyncio.get_running_loop().call_soon(self._judging.prepare)
        return Reply(answered)

    def refused(self, request: web.BaseRequest | None, refused: WireError) -> None:
        """Count a request that was not judged."""
        path = request.path if request is not None else ""
        self._metrics.request(path[1:] if path in self._verbs else "other", refused.status, 0.0)
        if request is None:
            self._limited_log.info("a request could not be read: %s", refused)

    def _refusal(self, path: str, refused: WireError) -> Reply:
        self._metrics.request(path[1:], refused.status, 0.0)
        return responses.refusal(refused)
