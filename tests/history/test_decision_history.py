import json

import pytest

from extender.cli import why_commands
from extender.history import decision, decision_history, decision_json, decision_recorder, why
from extender.service import served_engine
from tests.kit.builders import make_claim, make_class, make_node, make_pod
from tests.kit.clock import Clock
from tests.kit.worlds import GPU, H100, engine, feed, p4d

NODES = ["a", "b", "c"]


class World:
    """Three nodes of eight GPUs, a history, and the verbs as kube-scheduler calls them."""

    def __init__(self, bounds=None, *items):
        self.wall = Clock(1_000_000.0)
        self.complete = []
        self.history = decision_history.DecisionHistory(
            bounds or decision_history.Bounds(), wall=self.wall, on_decision=self.complete.append
        )
        self.engine = engine()
        decision_recorder.DecisionRecorder(self.engine, self.history).attach()
        self.tell(*(make_node(name).gpus(H100, 8) for name in NODES), *items)

    def tell(self, *items):
        feed(self.engine, *items)

    def ask(self, pod, names=NODES):
        found = self.engine.filter(pod, list(names))
        if len(passing := found.passing(names)) > 1:
            self.engine.prioritize(pod, passing, found.ticket)
        self.engine.settle()
        return found

    def reported(self, **wanted):
        found = decision_json.matching(self.history, **wanted)
        return [decision_json.of(made) for made in found if made is not None]


def pod_of(gpus, name="p"):
    return make_pod(name).gpus(gpus).obj()


def test_a_decision_tells_what_was_asked_what_was_answered_and_by_which_policy():
    world = World(None, make_pod("holder").gpus(6).node("a"))
    world.ask(pod_of(4))

    (reported,) = world.reported()
    assert reported["pod"] == {"namespace": "default", "name": "p", "uid": "uid-p"}
    assert reported["demand"] == "4 GPUs"
    assert len(reported["policy"]) == 12
    assert (reported["asked"], reported["passed"]) == (3, 2)
    refused = {"reason": "needs 4 GPUs; 2 of 8 GPUs are free", "nodes": 1, "forGood": False}
    assert reported["refused"] == [refused]
    assert {node["node"] for node in reported["best"]} == {"b", "c"}
    assert reported["best"][0]["score"] == 10
    assert len(reported["best"][0]["devices"]) == 4


def test_what_the_watch_shows_between_the_two_calls_is_not_shown_of_the_decision():
    world = World(None, make_pod("holder").gpus(6).node("a"))
    pod = pod_of(4)
    found = world.engine.filter(pod, NODES)
    world.wall.now += 1.0
    world.tell(make_pod("late").gpus(8).node("a"), make_pod("other").gpus(1).node("b"))
    world.engine.settle()
    assert world.reported() == []

    world.engine.prioritize(pod, found.passing(NODES), found.ticket)
    world.engine.settle()

    (reported,) = world.reported()
    refused = {"reason": "needs 4 GPUs; 2 of 8 GPUs are free", "nodes": 1, "forGood": False}
    assert reported["refused"] == [refused]
    assert reported["firstTime"] == decision_json.timestamp(1_000_000.0)
    assert {node["node"] for node in reported["best"]} == {"b", "c"}


def test_the_parts_of_the_best_nodes_are_those_of_the_decision_and_add_up():
    world = World(None, make_pod("holder").gpus(4).node("a"))
    pod = pod_of(2)
    scored = world.engine.score(pod, NODES)
    world.ask(pod)

    (reported,) = world.reported()
    costs = dict(zip(NODES, scored.cost.tolist(), strict=True))
    for node in reported["best"]:
        assert node["cost"] == pytest.approx(costs[node["node"]], abs=1e-5)
        assert sum(node["parts"].values()) == pytest.approx(node["cost"], abs=1e-5)


def test_what_becomes_of_a_pod_is_kept_with_its_decision():
    world = World()
    world.ask(pod_of(8))
    (reported,) = world.reported()
    assert reported["outcome"]["state"] == "waiting"
    best = reported["best"][0]["node"]

    world.wall.now += 2.0
    world.tell(make_pod("p").gpus(8).node(best))

    (reported,) = world.reported()
    assert reported["outcome"] == {
        "state": "bound", "node": best, "time": decision_json.timestamp(1_000_002.0),
        "asPredicted": True, "devices": {}, "ourBest": True, "scoreThere": 10,
    }  # fmt: skip


def test_a_pod_that_went_elsewhere_was_not_as_predicted():
    world = World()
    world.ask(pod_of(8))
    other = world.reported()[0]["best"][2]["node"]

    world.tell(make_pod("p").gpus(8).node(other))

    outcome = world.reported()[0]["outcome"]
    assert outcome["asPredicted"] is False
    assert outcome["scoreThere"] < 10


def test_the_allocation_of_a_claim_is_compared_with_what_was_predicted():
    world = World(
        None, *p4d("x"), *p4d("y"), make_class(GPU),
        make_claim("c").request("r", GPU, 2),
    )  # fmt: skip
    world.ask(make_pod("p").claim("c").obj(), ["x", "y"])
    best = world.reported()[0]["best"][0]
    got = [("r", GPU, best["node"], device["device"]) for device in best["devices"]]

    world.tell(make_claim("c").request("r", GPU, 2).allocated(best["node"], *got))
    world.tell(make_pod("p").claim("c").node(best["node"]))

    outcome = world.reported()[0]["outcome"]
    assert outcome["devices"] == {"same": 1}
    assert outcome["asPredicted"] is True


def test_a_pod_that_is_refused_everywhere_again_and_again_is_one_decision():
    world = World()
    for _ in range(5):
        world.wall.now += 1.0
        world.ask(pod_of(9))
    world.ask(pod_of(1, "other"))

    newest, again = world.reported()
    assert newest["pod"]["name"] == "other"
    assert again["attempts"] == 5
    assert again["firstTime"] < again["time"]
    assert again["refused"][0]["nodes"] == 3


def test_a_pod_that_was_deleted_before_it_had_a_node_is_gone():
    world = World()
    pod = make_pod("p").gpus(8)
    world.tell(pod)
    world.ask(pod.obj())

    world.engine.store.apply("Pod", "DELETED", pod.obj())

    assert world.reported()[0]["outcome"]["state"] == "gone"


def test_decisions_are_found_by_pod_by_node_and_by_time_newest_first():
    world = World()
    for number in range(4):
        world.wall.now += 10.0
        world.ask(pod_of(1, f"p{number}"), NODES[: 2 + number % 2])

    assert [reported["pod"]["name"] for reported in world.reported()] == ["p3", "p2", "p1", "p0"]
    assert [reported["pod"]["name"] for reported in world.reported(pod="default/p1")] == ["p1"]
    assert [reported["pod"]["name"] for reported in world.reported(pod="uid-p1")] == ["p1"]
    assert [reported["pod"]["name"] for reported in world.reported(node="c")] == ["p3", "p1"]
    assert [reported["pod"]["name"] for reported in world.reported(since=world.wall.now - 15)] == [
        "p3",
        "p2",
    ]


def test_each_asked_node_has_its_answer_also_once_nodes_came_and_went():
    world = World(None, make_pod("holder").gpus(6).node("a"))
    world.ask(pod_of(4), ["a", "b", "c"])
    world.engine.store.apply("Node", "DELETED", make_node("b").obj())
    world.tell(make_node("d").gpus(H100, 8))
    world.engine.settle()

    (made,) = world.history.newest_first()
    assert decision_json.on_node(made, "a")["reason"] == "needs 4 GPUs; 2 of 8 GPUs are free"
    assert decision_json.on_node(made, "b")["verdict"] == "passed"
    assert decision_json.on_node(made, "d")["verdict"] == "not asked"


def test_the_oldest_go_beyond_a_number_and_beyond_an_age():
    world = World(decision_history.Bounds(decisions=3, seconds=60))
    for number in range(5):
        world.ask(pod_of(1, f"p{number}"))
    assert [reported["pod"]["name"] for reported in world.reported()] == ["p4", "p3", "p2"]

    world.wall.now += 61
    world.ask(pod_of(1, "late"))
    assert [reported["pod"]["name"] for reported in world.reported()] == ["late"]


def test_a_decision_on_a_pod_without_devices_is_not_kept():
    world = World()
    world.engine.prioritize(make_pod("cpu").request("cpu", 1).obj(), NODES)
    world.engine.settle()

    assert world.reported() == []


def test_each_decision_is_reported_once_when_it_is_complete():
    world = World()
    world.ask(pod_of(1, "fits"))
    world.ask(pod_of(9, "refused"))

    assert [made.name for made in world.complete] == ["fits", "refused"]
    assert world.complete[0].best
    assert isinstance(world.complete[1], decision.Decision)


# ---------------------------------------------------------------- read back


def finished(turns):
    while True:
        try:
            next(turns)
        except StopIteration as over:
            return over.value


def bound_elsewhere(world):
    """A pod that was ranked first on one node, and bound to another."""
    pod = make_pod("p").gpus(8)
    world.tell(pod)
    world.ask(pod.obj())
    best, other = (world.reported()[0]["best"][place]["node"] for place in (0, -1))
    world.tell(make_pod("p").gpus(8).node(other))
    world.engine.settle()
    return best, other


def test_a_pod_bound_elsewhere_was_outvoted_by_so_many_steps():
    world = World()
    best, other = bound_elsewhere(world)
    (made,) = world.history.newest_first()

    lost = decision_json.outvoted(made)

    assert (lost["best"], lost["node"]) == (best, other)
    assert lost["steps"] == lost["bestScore"] - lost["score"] > 0
    assert any("outvoted" in text for text in decision_json.sentences(made))


def test_explain_of_a_bound_pod_answers_from_the_decision():
    world = World(None, make_pod("holder").gpus(6).node("a"))
    pod = make_pod("p").gpus(4)
    world.tell(pod)
    world.ask(pod.obj())
    best = world.reported()[0]["best"][0]
    world.tell(make_pod("p").gpus(4).node(best["node"]), make_pod("late").gpus(8).node("c"))
    front = served_engine.ServedEngine(world.engine, history=world.history)

    found = json.loads(b"".join(finished(front.explain_pod("default", "p", None))))

    nodes = {node["node"]: node for node in found["nodes"]}
    assert nodes["a"]["reason"] == "needs 4 GPUs; 2 of 8 GPUs are free"
    assert nodes["c"]["verdict"] == "fits"  # as it was then
    assert nodes[best["node"]]["cost"] == best["cost"]
    assert "as decided at" in found["notes"][0]


def test_explain_of_a_bound_pod_without_a_decision_says_that_it_is_judged_anew():
    world = World(None, make_pod("p").gpus(8).node("a"))
    world.engine.settle()
    front = served_engine.ServedEngine(world.engine, history=world.history)

    found = json.loads(b"".join(finished(front.explain_pod("default", "p", None))))

    assert {node["verdict"] for node in found["nodes"]} == {"fits"}
    assert "judged as if it were not there" in found["notes"][0]


def test_why_reads_as_text_of_eighty_columns():
    world = World(None, make_pod("holder").gpus(6).node("a").priority(-1))
    bound_elsewhere(world)
    (made,) = world.history.newest_first()
    pod = world.engine.store.pods["default", "p"]

    found = finished(why.why(world.engine, pod, made, "a"))
    text = list(why_commands.lines(found))

    assert max(map(len, text)) <= 80
    assert text[0].startswith("pod default/p is on ")
    assert "  a then: refused: needs 8 GPUs; 2 of 8 GPUs are free" in text
    assert "      - if default/holder (6 GPUs, priority -1) leaves; this pod may preempt it" in text
