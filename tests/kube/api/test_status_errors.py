import msgspec
import pytest

from extender import errors
from extender.kube.api import status_errors


def status(**fields):
    return msgspec.json.encode({"kind": "Status", "apiVersion": "v1", **fields})


@pytest.mark.parametrize(
    ("code", "body", "expected", "reason"),
    [
        (401, b"", errors.UnauthorizedError, "Unauthorized"),
        (403, status(reason="Forbidden", code=403), errors.ForbiddenError, "Forbidden"),
        (404, b"404 page not found", errors.NotFoundError, "NotFound"),
        (410, b"", errors.ExpiredError, "Gone"),
        (410, status(reason="Expired", code=410), errors.ExpiredError, "Expired"),
        (0, status(reason="Expired", code=410), errors.ExpiredError, "Expired"),
        (0, status(reason="Gone", code=410), errors.ExpiredError, "Gone"),
        (429, b"", errors.TooManyRequestsError, "TooManyRequests"),
        (500, b"\xff\xfe", errors.ApiError, "InternalError"),
        (500, b"[" * 5000, errors.ApiError, "InternalError"),
        (500, status(code="a lot"), errors.ApiError, "InternalError"),
        (418, b"", errors.ApiError, "Unknown"),
        (0, b"{}", errors.ApiError, "Unknown"),
        (
            504,
            status(reason="Timeout", details={"causes": [{"reason": "ResourceVersionTooLarge"}]}),
            errors.ExpiredError,
            "Timeout",
        ),
        (504, status(message="Too large resource version: 9"), errors.ExpiredError, "Timeout"),
        (504, status(reason="Timeout", details={"causes": None}), errors.ApiError, "Timeout"),
    ],
)
def test_an_answer_is_known_by_its_meaning(code, body, expected, reason):
    error = status_errors.from_body(code, body)
    assert type(error) is expected
    assert error.reason == reason


@pytest.mark.parametrize(
    ("code", "body", "header", "seconds"),
    [
        (429, b"", "7", 7),
        (429, b"", None, None),
        (429, b"", "0", None),
        (429, b"", "Wed, 21 Oct 2026 07:28:00 GMT", None),
        (429, b"", "-5", None),
        (429, b"", "86400", 120),
        (503, b"", "3", 3),
        (429, status(details={"retryAfterSeconds": 5}), None, 5),
        (500, status(details={"retryAfterSeconds": 5}), "2", 2),
    ],
)
def test_the_named_wait_is_read_within_bounds(code, body, header, seconds):
    error = status_errors.from_body(code, body, header)
    assert isinstance(error, errors.TooManyRequestsError)
    assert error.retry_after == seconds


def test_a_server_error_that_names_no_wait_is_not_a_plea_to_wait():
    assert not isinstance(status_errors.from_body(503, b""), errors.TooManyRequestsError)
