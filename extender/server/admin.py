"""Probes, metrics and questions, on a port of their own without client certificates.

GET  /livez                       the process answers
GET  /readyz[?verbose]            calls are judged, and nothing said goodbye; else what is awaited,
                                  and what we do without
GET  /metrics                     for Prometheus
GET  /v1/topology                 what each node has, and what is taken
GET  /v1/explain?pod=NS/NAME[&node=NAME]
POST /v1/explain[?node=NAME]      the body is a pod manifest (JSON), with its claims if any
GET  /v1/verify                   the index compared with one built anew
GET  /v1/mismatches               predictions that kube-scheduler did not follow
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import orjson
import prometheus_client
from aiohttp import web

from extender.errors import ApiError, ProblemsError, WireError
from extender.server.calls import refusal
from extender.server.connections import Connection
from extender.server.metrics import Metrics, Picture

_LOG = logging.getLogger(__name__)
MANIFEST_BYTES = 4 * 1024 * 1024  # an API object may have 1.5 MiB; a few come together
_MANIFEST_SECONDS = 10.0
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
_HEADERS = {"Server": "railyard"}


class Admin(Protocol):
    """Who knows. Answers are plain values, dataclasses or structs that JSON can hold.

    May raise WireError, ApiError or ProblemsError for a question that has no answer.
    """

    def picture(self) -> Picture:
        """Describe the cluster as it is held now."""

    def topology(self) -> object:
        """Describe what each node has, and what is taken."""

    def explain_pod(self, namespace: str, name: str, node: str | None) -> object:
        """Explain the verdicts on a pod that is in the cluster, on one node or on all."""

    def explain_manifest(self, manifest: bytes, node: str | None) -> object:
        """Explain the verdicts on a pod that is given as JSON."""

    def verify(self) -> object:
        """Compare the index with one built anew."""

    def mismatches(self) -> object:
        """List predictions that were not followed."""


class AdminHandler:
    """The handler of the admin port; `closing` tells whether the service says goodbye."""

    def __init__(self, admin: Admin, metrics: Metrics, *, closing: Callable[[], bool]) -> None:
        self._admin = admin
        self._metrics = metrics
        self._closing = closing
        self._questions: dict[str, Callable[[], object]] = {  # path → who answers
            "/v1/topology": admin.topology,
            "/v1/verify": admin.verify,
            "/v1/mismatches": admin.mismatches,
        }

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request."""
        connection = request.protocol
        if isinstance(connection, Connection):
            connection.begin()
        try:
            return await self._answer(request)
        except WireError as refused:
            return refusal(refused)
        except ApiError as failed:
            return refusal(WireError(404 if failed.status == 404 else 503, str(failed)))
        except ProblemsError as problems:
            return refusal(WireError(400, str(problems)))
        except web.HTTPRequestEntityTooLarge:
            return refusal(WireError(413, f"the manifest is larger than {MANIFEST_BYTES} bytes"))
        except TimeoutError:
            return refusal(WireError(408, "the body took too long"))
        except (ConnectionError, web.RequestPayloadError):
            return refusal(WireError(400, "the body ended early"))
        except Exception:  # noqa: BLE001 - one request's fault is logged, the service goes on
            _LOG.exception("%s %s failed", request.method, request.path)
            return refusal(WireError(500, "internal error"))
        finally:
            if isinstance(connection, Connection):
                connection.end()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        path = request.path
        if path == "/v1/explain":
            return _json(await self._explain(request))
        if request.method not in {"GET", "HEAD"}:
            raise WireError(405, "ask by GET")
        if path == "/livez":
            return _json({"live": True})
        if path == "/readyz":
            return self._readiness(verbose="verbose" in request.query)
        if path == "/metrics":
            kind = {"Content-Type": prometheus_client.CONTENT_TYPE_LATEST}
            return web.Response(body=self._metrics.exposition(), headers=_HEADERS | kind)
        if path in self._questions:
            return _json(self._questions[path]())
        raise WireError(404, "there is nothing here")

    def _readiness(self, *, verbose: bool) -> web.Response:
        picture, closing = self._admin.picture(), self._closing()
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
        if verbose or not ready:
            body["kinds"] = picture.kinds
            if picture.policy.fingerprint:
                told = {"hash": picture.policy.fingerprint, "from": picture.policy.origin}
                body["policy"] = told
        return _json(body, status=200 if ready else 503)

    async def _explain(self, request: web.BaseRequest) -> object:
        node = request.query.get("node")
        if request.method == "POST":
            if (request.content_length or 0) > MANIFEST_BYTES:
                raise WireError(413, f"the manifest is larger than {MANIFEST_BYTES} bytes")
            async with asyncio.timeout(_MANIFEST_SECONDS):
                manifest = await request.read()
            try:
                orjson.loads(manifest)
            except orjson.JSONDecodeError as error:
                raise WireError(400, f"the manifest is not JSON: {error}") from None
            return self._admin.explain_manifest(manifest, node)
        if request.method != "GET":
            raise WireError(405, "ask by GET, or POST a manifest")
        namespace, slash, name = request.query.get("pod", "").partition("/")
        if not slash or not namespace or not name:
            raise WireError(400, "name the pod: ?pod=NAMESPACE/NAME")
        return self._admin.explain_pod(namespace, name, node)


def _json(value: object, *, status: int = 200) -> web.Response:
    body = orjson.dumps(value, _plain, _OPTIONS)
    return web.Response(status=status, body=body, content_type="application/json", headers=_HEADERS)


def _plain(value: object) -> Any:  # noqa: ANN401 - whatever JSON can hold
    return msgspec.to_builtins(value)
