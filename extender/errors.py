"""The exception tree: whose fault it is decides what happens next.

`ConfigError` and `SnapshotError` are the operator's: every problem is listed, with where it is.
`ApiError` is the API server's, by meaning. `WireError` is the caller's: it is answered with its
status. `SelectorError` belongs to one CEL expression. Anything else is a bug of ours: it raises in
tests; in production the request fails open and is counted.
"""


class RailyardError(Exception):
    """The root: whatever we raise on purpose."""


class ProblemsError(RailyardError):
    """Several problems found in one reading, each as (where, what is wrong)."""

    def __init__(self, what: str, problems: list[tuple[str, str]]) -> None:
        self.what = what
        self.problems = problems
        lines = [f"{where}: {text}" if where else text for where, text in problems]
        super().__init__("\n  ".join([what, *lines]))


class ConfigError(ProblemsError):
    """A policy, catalogue or setting that cannot be used."""


class SnapshotError(ProblemsError):
    """A snapshot that cannot be read."""


class WireError(RailyardError):
    """A request that cannot be answered; `status` is the HTTP status it gets."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class SelectorError(RailyardError):
    """A CEL expression that does not compile, or fails on a device, as it would upstream.

    `compiled` tells the second from the first.
    """

    def __init__(self, message: str = "", *, compiled: bool = True) -> None:
        self.compiled = compiled
        super().__init__(message)


class UnknownSelectorError(RailyardError):
    """A CEL expression that we refuse to judge (limits, or a function the engine lacks)."""


class ClaimError(RailyardError):
    """A claim for which kube-scheduler fails the whole pod: an unknown class, mode, constraint."""


class ApiError(RailyardError):
    """The API server answered with an error; `status` is the HTTP status, `reason` the API's."""

    def __init__(self, status: int, reason: str, message: str = "") -> None:
        self.status = status
        self.reason = reason
        self.message = message
        # Without an answer there is no status.
        head = f"{status} {reason}" if status else reason
        super().__init__(f"{head}: {message}" if message else head)


class ExpiredError(ApiError):
    """410, or 504 for a version of the future: it cannot be served; list again without it."""


class TooManyRequestsError(ApiError):
    """429: back off; `retry_after` is in seconds where the server named it."""

    def __init__(
        self, status: int, reason: str, message: str = "", *, retry_after: float | None = None
    ) -> None:
        super().__init__(status, reason, message)
        self.retry_after = retry_after


class UnreachableError(ApiError):
    """No answer: the connection was refused, cut, or fell silent."""

    def __init__(self, message: str) -> None:
        super().__init__(0, "Unreachable", message)


class MalformedError(ApiError):
    """What the API server sent was damaged on its way: it is not JSON."""

    def __init__(self, message: str) -> None:
        super().__init__(200, "Malformed", message)


class CredentialsError(ApiError):
    """No credentials to send: a token file or an exec plugin failed."""

    def __init__(self, message: str) -> None:
        super().__init__(0, "NoCredentials", message)


class UntrustedError(UnreachableError):
    """The server's certificate is not one that we trust."""


class UnauthorizedError(ApiError):
    """401: the credentials are not accepted."""


class ForbiddenError(ApiError):
    """403: RBAC does not allow this."""


class NotFoundError(ApiError):
    """404: not served, or not there."""


class StoppedError(BaseException):
    """Work took so long that it was stopped half-way: what it was writing may be half-written.

    No `Exception`: the work must not take it for one of its own and go on.
    """


# What an operator must mend: credentials, permissions, certificates.
REFUSALS = (UnauthorizedError, ForbiddenError, CredentialsError, UntrustedError)
