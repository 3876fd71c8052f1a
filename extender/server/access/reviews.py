"""Asks the API server who a token belongs to, and whether they may read a path of ours.

As kube-rbac-proxy and the kubelet do: TokenReview (authentication.k8s.io/v1), then
SubjectAccessReview (authorization.k8s.io/v1) for a nonResourceURL. Answers are kept for a while,
in a bounded memory. While the API server does not answer, who was let in stays so for ten minutes:
metrics are wanted most when it is down.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import enum
import hashlib
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

from extender import errors
from extender.errors import WireError

_TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path
_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_ALLOWED_SECONDS = 60.0
_DENIED_SECONDS = 10.0
_OUTAGE_SECONDS = 600.0
_MOST_KEPT = 1024  # answers; one takes a kilobyte at most
_AT_ONCE = 4  # reviews of unknown tokens that the API server is asked for
_MOST_WAITING = 32
_LONGEST_TOKEN = 16 * 1024  # a head has no more
_T = TypeVar("_T")


class ReviewAnswer(enum.Enum):
    """What the API server says."""

    ALLOWED = "allowed"
    UNKNOWN = "unknown"  # it does not know the token
    DENIED = "denied"  # it knows whose it is, and RBAC does not let them


class ReviewApi(Protocol):
    """The connection to the API server, as far as it is needed."""

    async def post(self, path: str, body: bytes) -> bytes:
        """Create an object, and return it as answered; ApiError if it was not."""


@dataclasses.dataclass(frozen=True, slots=True)
class _KeptReview:
    answer: ReviewAnswer
    at: float  # seconds


class _User(msgspec.Struct, frozen=True):
    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] | None = None
    extra: dict[str, tuple[str, ...]] | None = None


class _TokenStatus(msgspec.Struct, frozen=True):
    authenticated: bool = False
    user: _User | None = None


class _TokenReview(msgspec.Struct, frozen=True):
    status: _TokenStatus = _TokenStatus()


class _AccessStatus(msgspec.Struct, frozen=True):
    allowed: bool = False


class _AccessReview(msgspec.Struct, frozen=True):
    status: _AccessStatus = _AccessStatus()


class Reviews:
    """Answers of the API server, kept for a minute (ten seconds where they refuse)."""

    def __init__(self, api: ReviewApi, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        # (digest of the token, verb, path) → answer, the oldest first
        self._kept: collections.OrderedDict[tuple[bytes, str, str], _KeptReview] = (
            collections.OrderedDict()
        )
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def ask(self, token: str, verb: str, path: str) -> ReviewAnswer:
        """Whether the token's owner may do this; WireError 429 or 503 where that is not known."""
        if len(token) > _LONGEST_TOKEN:
            return ReviewAnswer.UNKNOWN
        key = (hashlib.sha256(token.encode(errors="surrogateescape")).digest(), verb, path)
        known = self._kept.get(key)
        if known is not None and self._is_fresh(known):
            return known.answer
        if self._waiting >= _MOST_WAITING:
            raise WireError(429, "too many callers wait to be checked")
        self._waiting += 1
        try:
            async with self._slots:
                known = self._kept.get(key)  # who asked the same before us may have learnt it
                if known is not None and self._is_fresh(known):
                    return known.answer
                return await self._learn(key, token, known)
        finally:
            self._waiting -= 1

    def _is_fresh(self, known: _KeptReview) -> bool:
        allowed = known.answer is ReviewAnswer.ALLOWED
        return self._clock() - known.at < (_ALLOWED_SECONDS if allowed else _DENIED_SECONDS)

    async def _learn(
        self, key: tuple[bytes, str, str], token: str, known: _KeptReview | None
    ) -> ReviewAnswer:
        try:
            answer = await self._review(token, key[1], key[2])
        except errors.UnreachableError as error:
            allowed = known is not None and known.answer is ReviewAnswer.ALLOWED
            if known is not None and allowed and self._clock() - known.at < _OUTAGE_SECONDS:
                return ReviewAnswer.ALLOWED
            raise WireError(503, "the API server cannot be asked who you are") from error
        except errors.ForbiddenError as error:
            raise WireError(
                503, "Railyard may not create TokenReviews and SubjectAccessReviews"
            ) from error
        except errors.ApiError as error:
            raise WireError(503, f"the API server does not say who you are: {error}") from error
        self._kept.pop(key, None)
        self._kept[key] = _KeptReview(answer, self._clock())
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return answer

    async def _review(self, token: str, verb: str, path: str) -> ReviewAnswer:
        spec: dict[str, Any] = {"token": token}
        kind = ("authentication.k8s.io/v1", "TokenReview")
        found = await self._posted(_TOKEN_REVIEWS, kind, spec, _TokenReview)
        user = found.status.user
        if not found.status.authenticated or user is None:
            return ReviewAnswer.UNKNOWN
        spec = {
            "nonResourceAttributes": {"path": path, "verb": verb},
            "user": user.username,
            "uid": user.uid,
            "groups": user.groups or (),
            "extra": user.extra or {},
        }
        kind = ("authorization.k8s.io/v1", "SubjectAccessReview")
        access = await self._posted(_ACCESS_REVIEWS, kind, spec, _AccessReview)
        return ReviewAnswer.ALLOWED if access.status.allowed else ReviewAnswer.DENIED

    async def _posted(
        self, path: str, kind: tuple[str, str], spec: dict[str, Any], found: type[_T]
    ) -> _T:
        body = msgspec.json.encode({"apiVersion": kind[0], "kind": kind[1], "spec": spec})
        try:
            answered = await self._api.post(path, body)
        except errors.UnauthorizedError:  # our own token was rotated: the next try has the new one
            answered = await self._api.post(path, body)
        try:
            return msgspec.json.decode(answered, type=found)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.ApiError(200, "Undecodable", f"{kind[1]}: {error}") from error
