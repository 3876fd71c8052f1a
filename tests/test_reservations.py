from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from extender.cluster import reservations


def hold(pod, node, deadline=10.0):
    return reservations.Reservation(pod=pod, node=node, deadline=deadline, cpu=0, memory=0)


def test_a_pod_holds_on_one_node_only():
    held = reservations.Reservations()

    held.assume(hold("p", "a"))
    touched = held.assume(hold("p", "b"))

    assert touched == {"a", "b"}
    assert list(held.on("a")) == []
    assert [r.pod for r in held.on("b")] == ["p"]


def test_a_deadline_ends_a_reservation():
    held = reservations.Reservations()
    held.assume(hold("early", "a", 5.0))
    held.assume(hold("late", "b", 9.0))

    assert held.expire(5.0) == {"a"}
    assert held.of("early") is None
    assert held.of("late") is not None


def test_the_oldest_goes_when_there_are_too_many():
    held = reservations.Reservations(limit=2)

    for name in ("one", "two", "three"):
        held.assume(hold(name, "a"))

    assert [r.pod for r in held.on("a")] == ["two", "three"]


def test_forgetting_a_stranger_changes_nothing():
    assert reservations.Reservations().forget("nobody") == set()


class AnyOrder(RuleBasedStateMachine):
    """The two views, by pod and by node, agree after any sequence of steps."""

    def __init__(self):
        super().__init__()
        self.held = reservations.Reservations(limit=4)
        self.model = {}

    pods = st.sampled_from("pqrstu")
    nodes = st.sampled_from("ab")

    @rule(pod=pods, node=nodes, deadline=st.integers(0, 9))
    def assume(self, pod, node, deadline):
        self.model.pop(pod, None)
        while len(self.model) >= 4:
            self.model.pop(next(iter(self.model)))
        self.model[pod] = (node, deadline)
        self.held.assume(hold(pod, node, deadline))

    @rule(pod=pods)
    def forget(self, pod):
        self.model.pop(pod, None)
        self.held.forget(pod)

    @rule(now=st.integers(0, 9))
    def expire(self, now):
        self.model = {pod: (node, end) for pod, (node, end) in self.model.items() if end > now}
        self.held.expire(now)

    @invariant()
    def the_views_agree(self):
        by_node = {r.pod: node for node in "ab" for r in self.held.on(node)}
        assert by_node == {pod: node for pod, (node, _) in self.model.items()}
        assert len(self.held) == len(self.model)


TestAnyOrder = AnyOrder.TestCase
