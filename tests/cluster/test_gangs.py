from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from extender.cluster.pods import gangs
from tests.kit.builders import make_pod

JOB = ("jobset.sigs.k8s.io/jobset-name", "job")


def member(name, gang="job"):
    return make_pod(name).label(JOB[0], gang).obj()


def test_bound_members_are_counted_by_node():
    found = gangs.Gangs()

    for name, node in (("p", "a"), ("q", "a"), ("r", "b")):
        found.see(member(name), f"uid-{name}", node)

    assert found.nodes("default/job") == {"a": 2, "b": 1}


def test_a_pod_on_its_own_is_nobodys_member():
    found = gangs.Gangs()

    found.see(make_pod("p").obj(), "uid-p", "a")
    found.assume(make_pod("q").obj(), "a")

    assert len(found) == 0


def test_a_decision_counts_until_the_watch_says_otherwise():
    found = gangs.Gangs()
    found.assume(member("p"), "a")
    assumed = dict(found.nodes("default/job"))

    found.see(member("p"), "uid-p", "b")

    assert assumed == {"a": 1}
    assert found.nodes("default/job") == {"b": 1}


def test_a_deleted_member_is_gone_and_with_the_last_one_the_gang():
    found = gangs.Gangs()
    found.see(member("p"), "uid-p", "a")

    found.see(None, "uid-p", "a")

    assert found.nodes("default/job") == {}
    assert len(found) == 0


def test_members_decided_and_never_seen_are_forgotten_oldest_first():
    found = gangs.Gangs()

    for number in range(gangs._MOST_ASSUMED + 1):
        found.assume(member(f"p{number}", gang=f"job-{number}"), "a")

    assert found.nodes("default/job-0") == {}
    assert found.nodes("default/job-1") == {"a": 1}


class AnyOrder(RuleBasedStateMachine):
    """After any steps the counts are those of a plain table of pods."""

    pods = st.sampled_from("pqr")
    jobs = st.sampled_from(["one", "two"])
    nodes = st.sampled_from(["a", "b", ""])

    def __init__(self):
        super().__init__()
        self.found = gangs.Gangs()
        self.model = {}

    @rule(pod=pods, job=jobs, node=nodes)
    def see(self, pod, job, node):
        self.found.see(member(pod, job), f"uid-{pod}", node)
        self.model.pop(pod, None)
        if node:
            self.model[pod] = (job, node)

    @rule(pod=pods, job=jobs, node=st.sampled_from(["a", "b"]))
    def assume(self, pod, job, node):
        self.found.assume(member(pod, job), node)
        self.model[pod] = (job, node)

    @rule(pod=pods)
    def delete(self, pod):
        self.found.see(None, f"uid-{pod}", "")
        self.model.pop(pod, None)

    @invariant()
    def counts_agree(self):
        for job in ("one", "two"):
            expected = Counter(node for name, node in self.model.values() if name == job)
            assert self.found.nodes(f"default/{job}") == expected


TestAnyOrder = AnyOrder.TestCase


def test_members_without_a_node_are_waiting_until_they_are_bound_decided_or_gone():
    found = gangs.Gangs()
    for name in ("p", "q", "r", "s"):
        found.see(member(name), f"uid-{name}", "")
    before = found.waiting("default/job", "uid-p")

    found.see(member("q"), "uid-q", "a")
    found.assume(member("r"), "b")
    found.see(None, "uid-s", "")

    assert before == 3
    assert found.waiting("default/job", "uid-p") == 0
    assert found.size("default/job") == 3


def test_a_finished_member_waits_for_nothing():
    found = gangs.Gangs()
    done = make_pod("done").label(*JOB).phase("Succeeded").obj()

    found.see(done, "uid-done", "")

    assert found.size("default/job") == 0
