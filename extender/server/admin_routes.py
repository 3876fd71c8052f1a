"""What else the admin port answers by GET: packages add routes without touching the handler.

A route is a path, the query parameters that it reads, and a function that works the answer out in
turns (`admin_turns`). A path that ends in `/` answers everything below it: the rest of the path
is the parameter "" (the empty name).
"""

from __future__ import annotations

import dataclasses
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from extender.errors import WireError
from extender.server.admin_turns import Turns
from extender.server.http import responses

Parameters: TypeAlias = Mapping[str, str]  # name → value; "" → what follows the path


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """One question by GET.

    `answer` is called with the parameters that were given; `kept`: the answer serves again while
    the cluster has not moved; `fields` are response headers beside the usual ones. `queued`: who
    asks while another question of the path is answered waits instead of being sent away.
    `refusal` words a refusal in the route's own kind; without it, it is JSON.
    """

    path: str
    answer: Callable[[Parameters], Turns]
    parameters: frozenset[str] = frozenset()
    kind: str = responses.JSON
    kept: bool = False
    fields: tuple[tuple[str, str], ...] = ()
    queued: bool = False
    refusal: Callable[[WireError], bytes] | None = None


class Routes:
    """The routes by path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, Route] = {}  # path → route
        self._below: dict[str, Route] = {}  # path that ends in "/" → route
        for route in routes:
            held = self._below if len(route.path) > 1 and route.path[-1] == "/" else self._exact
            if route.path in held:
                raise ValueError(f"two routes answer {route.path}")
            held[route.path] = route

    def find(self, path: str) -> tuple[Route, str] | None:
        """The route of a path, and what of the path it has to read itself."""
        if (route := self._exact.get(path)) is not None:
            return route, ""
        start = path.rfind("/")
        while start > 0:
            if (route := self._below.get(path[: start + 1])) is not None:
                return route, urllib.parse.unquote(path[start + 1 :])
            start = path.rfind("/", 0, start)
        return None


def parameters(route: Route, rest: str, query: Parameters) -> dict[str, str]:
    """What the route is called with; WireError 400 for a parameter that it does not read."""
    if unknown := sorted(set(query) - route.parameters):
        known = ", ".join(sorted(route.parameters)) or "none"
        raise WireError(400, f"unknown parameter {unknown[0]!r}; there are: {known}")
    return {**query, "": rest} if rest else dict(query)
