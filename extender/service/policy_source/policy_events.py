"""Events on the ConfigMap: that its policy is in force, or why it is not (`kubectl describe`).

An Event's name is made of what it is about, so that of several replicas the first writes it and
the others find it there. Whatever the API server answers, nothing depends on it: a failure is
logged once until the next success, and the Event is given up.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias
from urllib import parse

import orjson

from extender import errors
from extender.kube.api import objects

_LOG = logging.getLogger(__name__)
USED, REFUSED = "PolicyUsed", "PolicyRefused"
CANDIDATE_REFUSED = "CandidateRefused"
CANARY_ANSWERS, CANARY_ROLLED_BACK = "CanaryAnswers", "CanaryRolledBack"
_NORMAL = frozenset({USED, CANARY_ANSWERS})  # the others are warnings
_MOST_MESSAGE = 1024  # characters; the API server takes no more
_MOST_WAITING = 16  # of a ConfigMap that changes faster than Events are written the last ones count
_ALREADY_EXISTS = 409


# Hears what became of a ConfigMap's policies: the ConfigMap, one of the reasons, a sentence.
Announce: TypeAlias = Callable[[objects.ConfigMap, str, str], None]


def nobody(*_: object) -> None:
    """Where no Events are written."""


class EventApi(Protocol):
    """What can create an object: `kube.client.Client`."""

    async def post(self, path: str, body: bytes) -> bytes: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Notice:
    """What became of one version of the ConfigMap; `reason` is one of the words above."""

    item: objects.ConfigMap
    reason: str
    message: str


class PolicyEvents:
    """Writes the notices, one after the other; `wall` is in seconds since 1970."""

    def __init__(self, api: EventApi, *, wall: Callable[[], float] = time.time) -> None:
        self._api = api
        self._wall = wall
        self._waiting: deque[Notice] = deque(maxlen=_MOST_WAITING)
        self._wanted = asyncio.Event()
        self._failing = False

    def note(self, item: objects.ConfigMap, reason: str, message: str) -> None:
        """Have an Event written when there is time."""
        self._waiting.append(Notice(item, reason, message))
        self._wanted.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._waiting:
                await self._write(self._waiting.popleft())

    async def _write(self, notice: Notice) -> None:
        namespace = notice.item.metadata.namespace
        path = f"/api/v1/namespaces/{parse.quote(namespace, safe='')}/events"
        try:
            await self._api.post(path, orjson.dumps(event(notice, self._wall())))
        except errors.ApiError as error:
            if error.status != _ALREADY_EXISTS and not self._failing:
                self._failing = True
                name = notice.item.metadata.name
                _LOG.warning("no Event can be written on ConfigMap %s: %s", name, error)
            return
        self._failing = False


def event(notice: Notice, now: float) -> dict[str, Any]:
    """The Event as the API server takes it."""
    meta = notice.item.metadata
    about = f"{meta.uid} {meta.resource_version} {notice.reason}"
    digest = hashlib.sha256(about.encode()).hexdigest()[:16]
    when = dt.datetime.fromtimestamp(now, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        # A name may have 253 characters, as the ConfigMap's own.
        "metadata": {"name": f"{meta.name[:230]}.{digest}", "namespace": meta.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "namespace": meta.namespace,
            "name": meta.name,
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
        },
        "reason": notice.reason,
        "message": notice.message[:_MOST_MESSAGE],
        "type": "Normal" if notice.reason in _NORMAL else "Warning",
        "source": {"component": "railyard"},
        "reportingComponent": "railyard",
        "firstTimestamp": when,
        "lastTimestamp": when,
        "count": 1,
    }
