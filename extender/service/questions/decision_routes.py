"""GET /v1/decisions: what was decided of late, the newest first.

/v1/decisions[?pod=NS/NAME|UID][&node=NAME][&since=TIME][&limit=N]

`since` is RFC 3339 or seconds since 1970. With `node` each decision tells what was answered there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

from extender import errors
from extender.history import decision_history, decision_json
from extender.server import admin_routes, admin_turns

LIMIT, MOST = 100, 2000  # decisions shown at once
_PARAMETERS = frozenset({"pod", "node", "since", "limit"})


def routes(
    history: decision_history.DecisionHistory, outstanding: Callable[[], None] = lambda: None
) -> Iterator[admin_routes.Route]:
    """The routes over this history; `outstanding` makes it complete before it is read."""

    def answer(given: admin_routes.Parameters) -> admin_turns.Turns:
        outstanding()
        return _decisions(history, given)

    yield admin_routes.Route("/v1/decisions", answer, _PARAMETERS)


def _decisions(
    history: decision_history.DecisionHistory, given: admin_routes.Parameters
) -> admin_turns.Turns:
    limit, since, node = _limit(given), _since(given), given.get("node", "")
    text = admin_turns.ChunkedText()
    text.add(b'{"decisions":[')
    count = 0
    for made in decision_json.matching(history, pod=_pod(given), node=node, since=since):
        if made is not None:
            found: dict[str, Any] = decision_json.of(made)
            if node:
                found["onNode"] = decision_json.on_node(made, node)
            text.add(b"," if count else b"", admin_turns.encoded(found))
            count += 1
        yield
        if count == limit:
            break
    text.add(b'],"kept":', admin_turns.encoded(decision_json.kept(history)), b"}\n")
    return text.pieces()


def _pod(given: admin_routes.Parameters) -> str:
    pod = given.get("pod", "")
    return pod.removeprefix("/") if pod.count("/") == 1 else pod


def _limit(given: admin_routes.Parameters) -> int:
    text = given.get("limit", str(LIMIT))
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise errors.WireError(400, f"limit is {text[:40]!r}; it is a number from 1 to {MOST}")
    return int(text)


def _since(given: admin_routes.Parameters) -> float:
    text = given.get("since", "0")
    try:
        return float(text)
    except ValueError:
        pass
    try:
        found = dt.datetime.fromisoformat(text.replace(" ", "+"))  # a + that was not quoted
    except ValueError:
        problem = f"since is {text[:40]!r}; it is a time such as 2026-01-31T12:00:00Z, or seconds"
        raise errors.WireError(400, problem) from None
    return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).timestamp()
