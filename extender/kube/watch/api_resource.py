"""One collection of the API server, where it goes, and how far it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Protocol

from extender import errors
from extender.kube.api import objects


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ApiResource:
    """One collection of the API: what it holds, where it is served, which part is asked for."""

    kind: str
    path: str  # such as /api/v1/nodes
    field_selector: str = ""

    def query(self, **parameters: str) -> dict[str, str]:
        """The parameters of a request for it; empty ones are left out."""
        parameters["fieldSelector"] = self.field_selector
        return {name: value for name, value in parameters.items() if value}


@dataclasses.dataclass(kw_only=True, slots=True)
class KindStatus:
    """How far one kind is, for readiness and metrics. Times are the running loop's, in seconds."""

    kind: str
    state: str = "starting"  # then listing, watching, waiting; absent where it is not served
    synced: bool = False  # a whole list has reached the sink
    resource_version: str = ""
    # When what the sink has was last known to be current: a list, an event or a bookmark came.
    last_event: float | None = None
    lists: int = 0  # attempts, WatchLists included
    watches: int = 0
    watch_restarts: int = 0  # watches that resumed an earlier one
    events: int = 0
    decode_failures: int = 0  # objects or events skipped
    # Objects that cannot be read as they are now, "namespace/name" → why; they count as not there.
    unreadable: dict[str, str] = dataclasses.field(default_factory=dict)
    sink_failures: int = 0  # objects that the sink could not take: a bug of ours
    problem: str = ""  # why the last request failed; empty once the server is heard again
    problem_code: int = 0  # its HTTP status, where it has one
    refused: bool = False  # whether it was about who we are, or what we may do

    def failed(self, error: errors.ApiError) -> None:
        """Note why the last request failed."""
        self.problem, self.problem_code = str(error), error.status
        self.refused = isinstance(error, errors.REFUSALS)

    def well(self) -> None:
        """The server was heard."""
        self.problem, self.problem_code, self.refused = "", 0, False


class ObjectSink(Protocol):
    """Where the objects go; every method is synchronous."""

    def replace(
        self, kind: str, items: Sequence[objects.Object], resource_version: str
    ) -> Iterator[None] | None:
        """Make `items` all there is of the kind; returns what is left to do of it, in turns."""

    def apply(self, kind: str, event: str, item: objects.Object) -> None:
        """Take in ADDED, MODIFIED or DELETED (with the object's last state)."""

    def bookmark(self, kind: str, resource_version: str) -> None:
        """All changes up to this version have been applied."""

    def lost(self, kind: str, reason: str) -> None:
        """The kind cannot be read, or its watch is down: what is held may go stale. Said once."""


def goes_back(version: str, last: str) -> bool:
    """Whether a version lies before the last one of the same collection.

    So it is after a restore of etcd. Versions are numbers that can be compared since 1.35
    (KEP-5504), and were before, within one collection of one server.
    """
    return version.isdecimal() and last.isdecimal() and int(version) < int(last)
