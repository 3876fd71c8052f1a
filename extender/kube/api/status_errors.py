"""What the API server's Status objects mean, as our exceptions.

Source: apimachinery pkg/apis/meta/v1/types.go (Status), pkg/api/errors/errors.go.
"""

from __future__ import annotations

import contextlib

import msgspec

from extender import errors

# A server that asks for more than this is itself in trouble; we look again after that.
_LONGEST_RETRY_AFTER = 120.0
_TOO_LARGE = "Too large resource version"  # the message of servers that name no cause


class Cause(msgspec.Struct, frozen=True):
    reason: str = ""


class Details(msgspec.Struct, frozen=True, rename="camel"):
    causes: tuple[Cause, ...] | None = None
    retry_after_seconds: float = 0


class Status(msgspec.Struct, frozen=True):
    """metav1.Status, as far as we read it."""

    message: str = ""
    reason: str = ""
    code: int = 0
    details: Details | None = None


_STATUS = msgspec.json.Decoder(Status)
_BY_CODE: dict[int, type[errors.ApiError]] = {
    401: errors.UnauthorizedError,
    403: errors.ForbiddenError,
    404: errors.NotFoundError,
    410: errors.ExpiredError,
}
# What a code means where the body does not say it.
_REASONS: dict[int, str] = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    410: "Gone",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


def from_body(
    code: int, body: bytes | msgspec.Raw, retry_after: str | None = None
) -> errors.ApiError:
    """The exception for an HTTP answer, or for the object of an ERROR event (then `code` is 0).

    `retry_after` is the header of that name; dates in it are not read, as the API sends seconds.
    """
    status = Status()
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        status = _STATUS.decode(body)
    code = code or status.code
    reason = status.reason or _REASONS.get(code, "Unknown")
    details = status.details or Details()
    if reason == "Expired" or _too_large(status, details):
        return errors.ExpiredError(code, reason, status.message)
    wait = _seconds(retry_after) or details.retry_after_seconds or None
    if code == 429 or (code >= 500 and wait):
        wait = min(wait, _LONGEST_RETRY_AFTER) if wait else None
        return errors.TooManyRequestsError(code, reason, status.message, retry_after=wait)
    return _BY_CODE.get(code, errors.ApiError)(code, reason, status.message)


def _too_large(status: Status, details: Details) -> bool:
    named = any(cause.reason == "ResourceVersionTooLarge" for cause in details.causes or ())
    return named or _TOO_LARGE in status.message


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdecimal() else None
