import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from extender.cluster.pods import reservations
from extender.demand.allocator import outcome


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


def hold_for_claims():
    """A pod's hold of two claims and of devices that have no claim object yet, and its CPU."""
    picks = tuple(outcome.Pick(claim, f"r{claim}", claim) for claim in (0, 0, 1, 2))
    claims = (("default", "first"), ("default", "second"))
    return reservations.Reservation(
        pod="p", node="a", deadline=10.0, cpu=100, memory=0, picks=picks, claims=claims
    )


def test_a_pod_seen_before_its_claims_still_holds_their_devices():
    held = reservations.Reservations()
    held.assume(hold_for_claims())

    assert held.pod_seen("p", "a") == {"a"}

    (left,) = held.on("a")
    assert left.cpu == 0
    assert len(left.picks) == 4


def test_a_claim_seen_leaves_what_the_other_claims_and_the_pod_hold():
    held = reservations.Reservations()
    held.assume(hold_for_claims())

    assert held.claim_seen("p", ("default", "first"), "a") == {"a"}

    (left,) = held.on("a")
    assert left.cpu == 100
    assert [pick.claim for pick in left.picks] == [1, 2]


def test_what_is_seen_again_changes_nothing():
    held = reservations.Reservations()
    held.assume(hold_for_claims())
    held.claim_seen("p", ("default", "first"), "a")
    held.pod_seen("p", "a")

    assert held.claim_seen("p", ("default", "first"), "a") == set()
    assert held.pod_seen("p", "a") == set()


def test_a_claim_that_was_not_known_stands_for_the_devices_without_one():
    held = reservations.Reservations()
    held.assume(hold_for_claims())

    held.claim_seen("p", ("default", "p-extended-resources"), "a")

    assert [pick.claim for pick in held.of("p").picks] == [0, 0, 1]


def test_what_was_seen_whole_is_held_no_more():
    held = reservations.Reservations()
    held.assume(hold_for_claims())

    held.pod_seen("p", "a")
    for name in ("first", "second", "p-extended-resources"):
        touched = held.claim_seen("p", ("default", name), "a")

    assert touched == {"a"}
    assert held.of("p") is None


@pytest.mark.parametrize("seen", ["pod", "claim"])
def test_what_is_seen_on_another_node_is_held_no_more(seen):
    held = reservations.Reservations()
    held.assume(hold_for_claims())

    if seen == "pod":
        touched = held.pod_seen("p", "b")
    else:
        touched = held.claim_seen("p", ("default", "first"), "b")

    assert touched == {"a"}
    assert held.of("p") is None


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
