"""GET /v1/why?pod=NS/NAME[&node=NODE]: why the pod is where it is, and what would change that."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from extender import errors
from extender.decisions import engine
from extender.history import decision_history, why
from extender.server import admin_routes, admin_turns

_PARAMETERS = frozenset({"pod", "node"})


def routes(
    history: decision_history.DecisionHistory, judging: Callable[[], engine.Engine]
) -> Iterator[admin_routes.Route]:
    """The route over the engine of the day and its history."""

    def answer(given: admin_routes.Parameters) -> admin_turns.Turns:
        return _why(history, judging(), given)

    yield admin_routes.Route("/v1/why", answer, _PARAMETERS)


def _why(
    history: decision_history.DecisionHistory,
    judging: engine.Engine,
    given: admin_routes.Parameters,
) -> admin_turns.Turns:
    namespace, slash, name = given.get("pod", "").partition("/")
    if not slash or not namespace or not name:
        raise errors.WireError(400, "name the pod: ?pod=NAMESPACE/NAME")
    judging.recorder.complete()
    pod, node = judging.store.pods.get((namespace, name)), given.get("node", "")
    yield
    made = history.latest(pod.metadata.uid) if pod is not None else None
    if pod is None:
        made = history.latest_of(f"{namespace}/{name}")
    if pod is None and made is None:
        text = f"no pod {namespace}/{name} is known here, and no decision on it is kept"
        raise errors.WireError(404, text)
    if node and node not in judging.index.rows and (made is None or not pod):
        raise errors.WireError(404, f"no node {node} is known here")
    found = yield from why.why(judging, pod, made, node)
    return [admin_turns.encoded(found), b"\n"]
