"""Decisions that wait for a quiet moment are those that are kept at once."""

import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from extender.history import decision_history, decision_json, decision_recorder
from tests.kit.builders import make_claim, make_class, make_node, make_pod
from tests.kit.clock import Clock
from tests.kit.worlds import GPU, H100, engine, feed, p4d

NODES = ["a", "b", "x", "y"]
# What happens: (what, number of the pod, GPUs)
STEP = st.tuples(
    st.sampled_from(["filter", "both", "both", "prioritize", "claim", "bound", "gone", "settle"]),
    st.integers(0, 3),
    st.integers(1, 9),
)


class Recorded:
    """A cluster of four nodes with a recorder."""

    def __init__(self, *, in_turns):
        self.wall = Clock(1_000_000.0)
        self.history = decision_history.DecisionHistory(wall=self.wall)
        self.engine = engine()
        decision_recorder.DecisionRecorder(self.engine, self.history, in_turns=in_turns).attach()
        feed(self.engine, *(make_node(name).gpus(H100, 8) for name in ("a", "b")))
        feed(self.engine, *p4d("x"), *p4d("y"), make_class(GPU))
        for number in range(4):
            feed(self.engine, make_claim(f"c{number}").request("r", GPU, 2))

    def happens(self, what, number, gpus):
        self.wall.now += 1.0
        name = f"p{number}"
        pod = make_pod(name).claim(f"c{number}") if what == "claim" else make_pod(name).gpus(gpus)
        if what == "settle":
            self.engine.settle()
        elif what == "bound":
            feed(self.engine, make_pod(name).gpus(1).node("a"))
        elif what == "gone":
            feed(self.engine, make_pod(name).gpus(1))
            self.engine.store.apply("Pod", "DELETED", make_pod(name).gpus(1).obj())
        elif what == "prioritize":
            self.engine.prioritize(pod.obj(), NODES)
        else:
            found = self.engine.filter(pod.obj(), NODES)
            if what != "filter" and len(passing := found.passing(NODES)) > 1:
                self.engine.prioritize(pod.obj(), passing, found.ticket)

    def reported(self):
        self.engine.recorder.complete()
        return [decision_json.of(made) for made in self.history.newest_first()]

    def answers(self):
        kept = [made.answers for made in self.history.newest_first()]
        return [
            tuple(np.nan_to_num(column).tolist() for column in (a.key, a.reason, a.cost, a.score))
            for a in kept
            if a is not None
        ]


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(STEP, max_size=12), turns=st.sets(st.integers(0, 11)))
def test_what_waits_for_a_turn_is_kept_as_it_was_when_it_was_decided(steps, turns):
    at_once, later = Recorded(in_turns=False), Recorded(in_turns=True)
    for number, step in enumerate(steps):
        at_once.happens(*step)
        later.happens(*step)
        if number in turns:
            later.engine.recorder.advance()

    assert later.reported() == at_once.reported()
    assert later.answers() == at_once.answers()


def test_a_decision_is_put_in_short_form_in_a_turn_or_when_it_is_read():
    later = Recorded(in_turns=True)
    for number in range(4):
        later.happens("both", number, 1)
    later.engine.settle()
    assert len(later.history) == 0

    later.engine.recorder.advance()
    assert len(later.history) == 3

    assert len(later.reported()) == 4


def test_decisions_wait_within_a_bound_where_no_turn_comes():
    later = Recorded(in_turns=True)
    for _ in range(60):
        for number in range(4):
            later.happens("both", number, 1)
    later.engine.settle()

    assert 40 <= len(later.history) < 240


def references_left(world):
    """How many there are to a pod that was decided on."""
    pod = make_pod("p").gpus(1).obj()
    found = world.engine.filter(pod, NODES)
    world.engine.prioritize(pod, found.passing(NODES), found.ticket)
    world.engine.settle()
    del found
    return sys.getrefcount(pod)


def test_a_decision_that_waits_holds_on_to_no_pod():
    waiting = references_left(Recorded(in_turns=True))

    assert waiting == references_left(Recorded(in_turns=False))
