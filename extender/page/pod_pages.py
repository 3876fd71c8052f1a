"""The pages of pods: those that wait and those that hold devices, decisions, how many more fit."""

from __future__ import annotations

from extender import errors
from extender.page import frame
from extender.page.views import capacity_view, decision_view, freeing, pending, pod_view
from extender.server import admin_routes, admin_turns

_MOST_PODS = 200  # of a list


class PodPages:
    """What pods get, and why."""

    def __init__(self, common: frame.Frame, groups: pending.Groups) -> None:
        self._frame = common
        self._groups = groups

    def routes(self) -> tuple[admin_routes.Route, ...]:
        """The addresses of these pages."""
        route = self._frame.route
        return (
            route("/pods", self._pods, "q"),
            route("/pods/", self._pod, "node"),
            route("/decisions", self._decisions, "q"),
            route("/decisions/", self._decision, "node"),
            route("/capacity", self._capacity, "shape", "pod"),
        )

    def _pods(self, given: admin_routes.Parameters) -> admin_turns.Turns:
        judging, _ = yield from self._frame.current()
        groups = yield from self._groups.of(judging)
        text = given.get("q", "")
        found, more = yield from pending.searched(judging.store, text, most=_MOST_PODS)
        placed = [each for each in found if each.spec.node_name and not pending.is_over(each)]
        return (yield from self._frame.shown(
            "pods", section="pods", crumbs=(("Pods", ""),), groups=groups, text=text,
            placed=placed, more=more,
        ))  # fmt: skip

    def _pod(self, given: admin_routes.Parameters) -> admin_turns.Turns:
        judging, _ = yield from self._frame.current()
        namespace, _, name = given.get("", "").partition("/")
        pod = judging.store.pods.get((namespace, name))
        if pod is None:
            return (yield from self._gone(namespace, name))
        shown = yield from pod_view.view(judging, pod)
        ways: tuple[freeing.Way, ...] = ()
        if shown.judged is not None and not shown.judged.passing:
            ways = yield from freeing.ways(judging, pod)
        asked, why = given.get("node", "").strip(), None
        linked: tuple[freeing.LinkedChange, ...] = ()
        if asked:
            why = yield from freeing.on_node(judging, pod, asked)
            linked = freeing.linked(judging, why)
        crumbs = (("Pods", "/pods"), (f"{namespace}/{name}", ""))
        decided = decision_view.of_pod(self._frame.decisions(), pod.metadata.uid)
        return (yield from self._frame.shown(
            "pod", section="pods", crumbs=crumbs, pod=shown, ways=ways, decided=decided,
            asked=asked, why=why, linked=linked,
            age=decision_view.age(shown.created, self._frame.clock()),
            last=decision_view.duration(self._frame.clock() - decided.made.last) if decided else "",
        ))  # fmt: skip

    def _gone(self, namespace: str, name: str) -> admin_turns.Turns:
        """The page of a pod that is not there any more, if a decision on it is kept."""
        history = self._frame.decisions()
        decided = None
        if history is not None:
            decided = yield from decision_view.of_name(history, f"{namespace}/{name}")
        if decided is None:
            raise errors.WireError(
                404, f"no pod {namespace}/{name} is known: it ended, was deleted, or never was"
            )
        return (yield from self._frame.shown(
            "gone", section="pods", crumbs=(("Pods", "/pods"), (f"{namespace}/{name}", "")),
            pod=f"{namespace}/{name}", decided=decided,
        ))  # fmt: skip

    def _decisions(self, given: admin_routes.Parameters) -> admin_turns.Turns:
        self._frame.judging()
        yield
        history, text = self._frame.decisions(), given.get("q", "").strip()
        lines = (yield from decision_view.listed(history, text=text)) if history else []
        return (yield from self._frame.shown(
            "decisions", section="decisions", crumbs=(("Decisions", ""),), lines=lines, text=text,
            kept=len(history or ()), made=history.total if history else 0,
        ))  # fmt: skip

    def _decision(self, given: admin_routes.Parameters) -> admin_turns.Turns:
        self._frame.judging()
        yield
        history, number = self._frame.decisions(), given.get("", "")
        made = None
        if history is not None and number.isascii() and number.isdecimal() and len(number) < 16:
            made = yield from decision_view.find(history, int(number))
        if made is None:
            raise errors.WireError(404, f"decision {number!r} is not kept, or was never made")
        node = given.get("node", "").strip()
        crumbs = (("Decisions", "/decisions"), (f"Decision {number}", ""))
        return (yield from self._frame.shown(
            "decision", section="decisions", crumbs=crumbs, view=decision_view.view(made, node),
            node=node,
        ))  # fmt: skip

    def _capacity(self, given: admin_routes.Parameters) -> admin_turns.Turns:
        judging = self._frame.judging()
        yield
        shape, pod = given.get("shape", "").strip(), given.get("pod", "")
        found = yield from capacity_view.counted(judging, shape, pod)
        return (yield from self._frame.shown(
            "capacity", section="capacity", crumbs=(("Capacity", ""),), capacity=found, shape=shape,
            offered=capacity_view.offered(judging),
        ))  # fmt: skip
