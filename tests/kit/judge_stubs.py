"""Small judges and admins for tests of the server room."""

from extender.decisions.verb_results import FilterResult
from extender.errors import NotFoundError, SnapshotError
from extender.server import admin_routes, admin_turns, metrics


class NameJudge:
    """Judges by name: `busy-` is refused for now, `never-` for good, `slow-` scores low.

    A pod named `plain` is none of its business; one named `fault` makes it raise.
    """

    def __init__(self, waiting=()):
        self.waiting = waiting
        self.asked = []

    @property
    def engine(self):
        return self

    def waiting_for(self):
        return self.waiting

    def concerns(self, pod):
        return pod.metadata.name != "plain"

    def scores(self, pod):
        return self.concerns(pod)

    def filter(self, pod, names):
        self._called("filter", pod, names)
        return FilterResult(
            failed={name: "busy" for name in names if name.startswith("busy")},
            unresolvable={name: "no GPU" for name in names if name.startswith("never")},
            unknown=sum(name.startswith("new") for name in names),
        )

    def prioritize(self, pod, names, _ticket=None):
        self._called("prioritize", pod, names)
        return self._scores(names)

    def prepare(self, ticket):
        self._called("prepare", ticket.pod, ticket.names)
        return ticket

    def settle(self):
        self.asked.append(("settle", "", []))

    def preempt(self, pod, victims):
        self._called("preempt", pod, list(victims))
        return {name: each for name, each in victims.items() if name.startswith("fits")}

    def _scores(self, names):
        return [2 if name.startswith("slow") else 9 for name in names]

    def _called(self, verb, pod, names):
        self.asked.append((verb, pod.metadata.name, names))
        if pod.metadata.name == "fault":
            raise RuntimeError("a fault of ours")


class SmallAdmin:
    """Knows one pod, `ml/train`, and one node, `a`; explains a manifest by its bytes."""

    def __init__(self, *, ready=True):
        self.ready = ready
        self.waiting = {}
        self.degraded = {}
        self.more = (
            admin_routes.Route("/v1/echo", reported, frozenset({"word"}), fields=(("X-One", "1"),)),
            admin_routes.Route("/v1/below/", reported),
        )

    def standing(self):
        kinds = {"Pod": metrics.KindFigures(synced=self.ready, objects=3, age_seconds=1.5)}
        return metrics.ClusterFigures(
            ready=self.ready, waiting=self.waiting, degraded=self.degraded, kinds=kinds
        )

    def picture(self):
        return self.standing()

    def moment(self):
        return None

    def topology(self):
        return reported({"nodes": [{"name": "a"}]})

    def explain_pod(self, namespace, name, node):
        if (namespace, name) != ("ml", "train"):
            raise NotFoundError(404, "NotFound", f"pod {namespace}/{name}")
        return reported({"pod": f"{namespace}/{name}", "node": node})

    def explain_manifest(self, manifest, node):
        if b"Pod" not in manifest:
            raise SnapshotError("the manifest holds no pod", [("", "no pod")])
        return reported({"bytes": len(manifest), "node": node})

    def verify(self):
        raise RuntimeError("a fault of ours")

    def routes(self):
        return self.more

    def mismatches(self):
        return reported([metrics.KindFigures(synced=True, objects=3, age_seconds=1.5)])


def reported(value):
    """An answer that takes one turn."""
    yield
    return [admin_turns.encoded(value)]
