"""Probes, metrics and questions, on a port of their own; who may ask: `access.gate`.

GET  /livez                       the process answers
GET  /readyz[?verbose]            calls are judged, and nothing said goodbye; else what is awaited,
                                  and what we do without
GET  /metrics                     for Prometheus
GET  /v1/topology                 what each node has, and what is taken
GET  /v1/explain?pod=NS/NAME[&node=NAME]
POST /v1/explain[?node=NAME]      the body is a pod manifest (JSON), with its claims if any
GET  /v1/verify                   the index compared with one built anew
GET  /v1/mismatches               predictions that kube-scheduler did not follow
GET  …                            what `Admin.routes` adds

Probes are answered at once. All else is worked out in turns between kube-scheduler's calls
(`questions`): it may take seconds while these come, and 429 asks to come back later.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import logging
import urllib.parse
from collections.abc import Callable, Hashable, Iterable
from typing import Protocol

import orjson
import prometheus_client
from aiohttp import web

from extender.errors import ApiError, ProblemsError, WireError
from extender.server import admin_routes, admin_turns
from extender.server.access import browsers
from extender.server.access import gate as gates
from extender.server.admin_turns import TurnRunner, Turns
from extender.server.http import rate_limited_log, responses
from extender.server.http.responses import Reply
from extender.server.metrics import ClusterFigures, Metrics

_LOG = logging.getLogger(__name__)
MANIFEST_BYTES = 4 * 1024 * 1024  # an API object may have 1.5 MiB; a few come together
_NO_BODY_BYTES = 64 * 1024  # what a question by GET may carry, unread
_MOST_NAMED = 20  # objects of a kind that cannot be read, named by readiness; the metric counts all


class Admin(Protocol):
    """Who knows. Answers are worked out in turns; the value is JSON in pieces.

    May raise WireError, ApiError or ProblemsError for a question that has no answer.
    """

    def standing(self) -> ClusterFigures:
        """Describe how ready we are: the part of the picture that is at hand, for probes."""

    def picture(self) -> ClusterFigures:
        """Describe the cluster as it is held now."""

    def moment(self) -> Hashable | None:
        """What answers rest on: another value when any of it changed; None while it changes."""

    def topology(self) -> Turns:
        """Describe what each node has, and what is taken."""

    def explain_pod(self, namespace: str, name: str, node: str | None) -> Turns:
        """Explain the verdicts on a pod that is in the cluster, on one node or on all."""

    def explain_manifest(self, manifest: bytes, node: str | None) -> Turns:
        """Explain the verdicts on a pod that is given as JSON."""

    def verify(self) -> Turns:
        """Compare the index with one built anew."""

    def mismatches(self) -> Turns:
        """List predictions that were not followed."""

    def routes(self) -> Iterable[admin_routes.Route]:
        """What else is answered by GET."""


class AdminHandler:
    """The handler of the admin port; `closing` tells whether the service says goodbye."""

    def __init__(
        self,
        admin: Admin,
        metrics: Metrics,
        turn_runner: TurnRunner,
        *,
        closing: Callable[[], bool],
        gate: gates.Gate,
    ) -> None:
        self._admin = admin
        self._metrics = metrics
        self._closing = closing
        self._gate = gate
        self._turn_runner = turn_runner
        self._questions: dict[str, Callable[[], Turns]] = {  # path → who answers
            "/metrics": self._exposition,
            "/v1/topology": admin.topology,
            "/v1/verify": admin.verify,
            "/v1/mismatches": admin.mismatches,
        }
        self._routes = admin_routes.Routes(admin.routes())
        self._limited_log = rate_limited_log.RateLimitedLog(_LOG)

    def limit(self, request: web.BaseRequest, *, permitted: bool) -> int:
        """How large the body may be; raises WireError for a request that is refused unread."""
        self._gate.check(request, permitted=permitted)
        if request.path == "/v1/explain":
            if request.method not in {"GET", "HEAD", "POST"}:
                raise WireError(405, "ask by GET, or POST a manifest")
            if request.method == "POST":
                browsers.check_body_kind(request)
            return MANIFEST_BYTES if request.method == "POST" else _NO_BODY_BYTES
        known = request.path in {"/livez", "/readyz"} or request.path in self._questions
        if not known and self._routes.find(request.path) is None:
            raise WireError(404, "there is nothing here")
        if request.method not in {"GET", "HEAD"}:
            raise WireError(405, "ask by GET")
        return _NO_BODY_BYTES

    def answer_at_once(self, path: str, body: bytes) -> Reply | None:
        """Questions are few: aiohttp reads them."""
        del path, body
        return None

    async def answer(self, request: web.BaseRequest, body: bytes) -> Reply:
        """Answer a probe at once, a question when it is worked out."""
        reply = await self._answer(request, body)
        return dataclasses.replace(reply, fields=(*browsers.FIELDS, *reply.fields))

    async def _answer(self, request: web.BaseRequest, body: bytes) -> Reply:
        try:
            await self._gate.review(request)
            if request.path == "/livez":
                return _json({"live": True})
            if request.path == "/readyz":
                return self._readiness(verbose="verbose" in _query(request))
            return await self._answered(request, body)
        except WireError as refused:
            return responses.refusal(refused)
        except ApiError as failed:
            status = 404 if failed.status == 404 else 503
            return responses.refusal(WireError(status, str(failed)))
        except ProblemsError as problems:
            return responses.refusal(WireError(400, str(problems)))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the client has gone
            return responses.refusal(WireError(503, "the service is stopping"))
        except Exception:  # noqa: BLE001 - one request's fault is logged, the service goes on
            self._limited_log.fault("a question was not answered")
            return responses.refusal(WireError(500, "internal error"))

    def refused(self, request: web.BaseRequest | None, refused: WireError) -> None:
        """Log what was no request."""
        if request is None:
            self._limited_log.info("a request could not be read: %s", refused)

    async def close(self) -> None:
        """Give up what is not answered yet."""
        await self._turn_runner.close()

    async def _answered(self, request: web.BaseRequest, body: bytes) -> Reply:
        if request.path == "/v1/explain":
            key, work = self._explanation(request, body)
            found = await self._turn_runner.answer(request.path, key, self._admin.moment(), work)
            return Reply(found.pieces())
        if (routed := self._routes.find(request.path)) is not None:
            return await self._routed(*routed, _query(request))
        # Counters move without the cluster: who scrapes gets them as they are.
        scraped = request.path == "/metrics"
        moment = None if scraped else self._admin.moment()
        found = await self._turn_runner.answer(
            request.path, "", moment, self._questions[request.path]
        )
        kind = prometheus_client.CONTENT_TYPE_LATEST if scraped else responses.JSON
        return Reply(found.pieces(), kind=kind)

    async def _routed(self, route: admin_routes.Route, rest: str, query: dict[str, str]) -> Reply:
        try:
            given = admin_routes.parameters(route, rest, query)
            moment = self._admin.moment() if route.kept else None
            key = tuple(sorted(given.items()))
            work = functools.partial(route.answer, given)
            found = await self._turn_runner.answer(
                route.path, key, moment, work, queued=route.queued
            )
        except WireError as refused:
            if route.refusal is None:
                raise
            reply = responses.refusal(refused)
            fields = (*route.fields, *reply.fields)
            return Reply(route.refusal(refused), refused.status, kind=route.kind, fields=fields)
        return Reply(found.pieces(), kind=route.kind, fields=route.fields)

    def _explanation(
        self, request: web.BaseRequest, body: bytes
    ) -> tuple[Hashable, Callable[[], Turns]]:
        """What tells the question from others of its kind, and the work."""
        query = _query(request)
        node = query.get("node")
        if request.method == "POST":
            return (body, node), lambda: self._admin.explain_manifest(_manifest(body), node)
        namespace, slash, name = query.get("pod", "").partition("/")
        if not slash or not namespace or not name:
            raise WireError(400, "name the pod: ?pod=NAMESPACE/NAME")
        work = self._admin.explain_pod
        return (namespace, name, node), lambda: work(namespace, name, node)

    def _readiness(self, *, verbose: bool) -> Reply:
        picture, closing = self._admin.standing(), self._closing()
        ready = picture.ready and not closing
        body: dict[str, object] = {"ready": ready}
        if closing:
            body["closing"] = True
        if picture.waiting:
            body["waiting"] = picture.waiting
        if picture.degraded:
            body["degraded"] = picture.degraded
        if notes := (*picture.policy.notes, *picture.notes):
            body["notes"] = notes
        if picture.unreadable:
            body["unreadable"] = {
                kind: dict(itertools.islice(found.items(), _MOST_NAMED))
                for kind, found in picture.unreadable.items()
            }
        if verbose or not ready:
            body["kinds"] = picture.kinds
            if picture.policy.fingerprint:
                policy = {"hash": picture.policy.fingerprint, "from": picture.policy.origin}
                body["policy"] = policy
        return _json(body, status=200 if ready else 503)

    def _exposition(self) -> Turns:
        text = admin_turns.ChunkedText()
        for family in self._metrics.families():
            text.add(family)
            yield
        return text.pieces()


def _manifest(body: bytes) -> bytes:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise WireError(400, f"the manifest is not JSON: {error}") from None
    return body


def _query(request: web.BaseRequest) -> dict[str, str]:
    """The parameters of the query; of one given twice the first counts."""
    try:
        found = urllib.parse.parse_qs(
            request.query_string, keep_blank_values=True, max_num_fields=16
        )
    except ValueError:
        raise WireError(400, "the query has too many parameters") from None
    return {name: texts[0] for name, texts in found.items()}


def _json(value: object, *, status: int = 200) -> Reply:
    return Reply(admin_turns.encoded(value) + b"\n", status)
