import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from extender.cluster import store
from tests.kit.builders import (
    make_claim,
    make_class,
    make_node,
    make_pod,
    make_slice,
    make_template,
)

GPU = "gpu.example.com"


@pytest.fixture
def kept():
    return store.ClusterStore()


def add(kept, *builders):
    for builder in builders:
        kept.apply(builder.kind, "ADDED", builder.obj())


def settled(kept):
    """Forget what is dirty, as the index does once it has looked."""
    kept.marked.forget()


def test_a_list_deletes_what_it_does_not_hold(kept):
    # TestDeltaFIFO_ReplaceMakesDeletions
    add(kept, make_node("a"), make_node("b"))

    kept.replace("Node", [make_node("b").obj(), make_node("c").obj()], "7")

    assert set(kept.nodes) == {"b", "c"}


def test_a_kind_that_nobody_keeps_is_counted(kept):
    kept.replace("Lease", [make_node("x").obj()] * 3, "1")
    kept.apply("Lease", "ADDED", make_node("x").obj())

    assert kept.ignored == {"Lease": 4}


def test_the_deletion_of_a_stranger_changes_nothing(kept):
    heard = []
    kept.listeners.append(lambda *change: heard.append(change))

    kept.apply("Node", "DELETED", make_node("a").obj())

    assert (heard, kept.version, kept.pending) == ([], 0, False)


def test_listeners_hear_what_was_and_what_is(kept):
    heard = []
    kept.listeners.append(lambda kind, old, new: heard.append((kind, old is None, new is None)))

    add(kept, make_pod("p"))
    kept.apply("Pod", "DELETED", make_pod("p").obj())

    assert heard == [("Pod", True, False), ("Pod", False, True)]


def test_a_bookmark_and_a_lost_watch_leave_the_last_known_objects(kept):
    add(kept, make_node("a"))

    kept.bookmark("Node", "9")
    kept.lost("Node", "reset")

    assert set(kept.nodes) == {"a"}


@pytest.mark.parametrize(
    ("change", "dirty"),
    [
        pytest.param(lambda n: n.label("x", "y"), True, id="a label"),
        pytest.param(lambda n: n.allocatable(cpu="1"), True, id="allocatable"),
        pytest.param(lambda n: n.condition("GpuUnhealthy"), True, id="a condition"),
        pytest.param(lambda n: n.unschedulable(), True, id="cordoned"),
        pytest.param(lambda n: n.uid("new"), True, id="made again"),
        pytest.param(lambda n: n.annotation("railyard.dev/x", "y"), True, id="our annotation"),
        pytest.param(lambda n: n.annotation("example.com/x", "y"), False, id="another annotation"),
        pytest.param(lambda n: n, False, id="a heartbeat"),
    ],
)
def test_a_node_is_dirty_when_something_that_scheduling_reads_changed(kept, change, dirty):
    add(kept, make_node("a"))
    settled(kept)

    kept.apply("Node", "MODIFIED", change(make_node("a")).obj())

    assert kept.pending is dirty


def test_a_pod_dirties_the_node_it_leaves_and_the_one_it_comes_to(kept):
    add(kept, make_pod("p").node("a"))
    settled(kept)

    kept.apply("Pod", "MODIFIED", make_pod("p").node("b").obj())

    assert kept.marked.dirty == {"a", "b"}
    assert set(kept.pods_on) == {"b"}


def test_a_pending_pod_dirties_nothing(kept):
    add(kept, make_pod("p"))

    assert not kept.pending


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_finished_pod_is_on_no_node(kept, phase):
    add(kept, make_pod("p").node("a"), make_pod("p").node("a").phase(phase))

    assert kept.pods_on == {}
    assert set(kept.pods) == {("default", "p")}


def test_a_slice_of_one_node_dirties_that_node_alone(kept):
    add(kept, make_slice("s", GPU).on("a").device("gpu-0"))

    assert kept.marked.dirty_shapes == {"a"}
    assert not kept.marked.everything_due


def test_a_slice_that_moves_dirties_both_nodes(kept):
    add(kept, make_slice("s", GPU).on("a"))
    settled(kept)

    add(kept, make_slice("s", GPU).on("b"))

    assert kept.marked.dirty_shapes == {"a", "b"}
    assert set(kept.slices_on) == {"b"}


def test_a_slice_beyond_one_node_dirties_everything(kept):
    add(kept, make_slice("s", GPU).everywhere())

    assert kept.marked.everything_due
    assert [item.metadata.name for item in kept.slices_of("any")] == ["s"]


def test_an_allocated_claim_holds_by_pool_until_it_is_gone(kept):
    claim = make_claim("c").allocated("a", ("r", GPU, "a", "gpu-0"), ("r", GPU, "far", "gpu-1"))

    add(kept, claim)
    held = {pool: set(by_claim) for pool, by_claim in kept.allocated.items()}
    kept.apply("ResourceClaim", "DELETED", claim.obj())

    assert held == {(GPU, "a"): {("default", "c")}, (GPU, "far"): {("default", "c")}}
    assert kept.allocated == {}
    assert kept.marked.dirty_pools == {(GPU, "a"), (GPU, "far")}


def test_expressions_of_classes_claims_and_templates_are_counted_while_they_are_there(kept):
    claim = make_claim("k").request("r", "c", selectors=["device.b", "device.a"])
    add(
        kept,
        make_class("c", "device.a"),
        claim,
        make_template("t").request("r", "c", selectors=["device.c"]),
    )
    assert kept.expressions == {"device.a": 2, "device.b": 1, "device.c": 1}

    add(kept, make_class("c", "device.d"))
    kept.apply("ResourceClaim", "DELETED", claim.obj())

    assert kept.expressions == {"device.c": 1, "device.d": 1}


def test_a_class_moves_the_version_that_demands_are_remembered_by(kept):
    before = kept.classes_version

    add(kept, make_class("c"))

    assert kept.classes_version == before + 1


def test_objects_without_a_namespace_are_in_default(kept):
    pod = make_pod("p")
    del pod.body["metadata"]["namespace"]

    add(kept, pod, make_claim("c"))

    assert set(kept.pods) == {("default", "p")}
    assert kept.claim("default", "c") is not None


def made_anew(kept):
    fresh = type(kept)()
    for kind, items in kept.contents():
        for item in items:
            fresh.apply(kind, "ADDED", item)
    return fresh


def test_its_contents_are_what_another_store_can_be_made_of(kept):
    add(kept, make_node("a"), make_pod("p").node("a"), make_slice("s", GPU).on("a"))
    settled(kept)

    fresh = made_anew(kept)

    assert fresh.counts() == kept.counts()
    assert fresh.pending


@pytest.mark.parametrize(
    "built",
    [
        pytest.param(make_node("a"), id="a heartbeat"),
        pytest.param(make_slice("s", GPU).on("a").device("gpu-0"), id="a slice published again"),
    ],
)
def test_an_object_that_says_the_same_stays_the_one_that_is_kept(kept, built):
    add(kept, built)
    settled(kept)
    (first,) = [*kept.nodes.values(), *kept.slices.values()]
    heard = []
    kept.listeners.append(lambda *change: heard.append(change))

    built.body["metadata"]["resourceVersion"] = "99"
    add(kept, built)

    assert not kept.pending
    assert heard == []
    assert first in [*kept.nodes.values(), *kept.slices.values()]
    assert first.metadata.resource_version != "99"


def test_one_version_of_an_object_is_one_object_unless_it_was_made_again(kept):
    built = make_node("a").label("x", "y")
    built.body["metadata"]["resourceVersion"] = "7"
    add(kept, built)
    settled(kept)

    add(kept, built.label("x", "never written"))
    assert not kept.pending

    add(kept, built.uid("another"))
    assert kept.marked.dirty_shapes == {"a"}


class AnyOrder(RuleBasedStateMachine):
    """The look-ups agree with the objects after any events, and a copy has the same ones."""

    names = st.sampled_from("pqr")

    def __init__(self):
        super().__init__()
        self.kept = store.ClusterStore()

    @rule(
        name=names,
        node=st.sampled_from(["a", "b", ""]),
        event=st.sampled_from(["ADDED", "MODIFIED", "DELETED"]),
        phase=st.sampled_from(["Running", "Failed"]),
    )
    def pod(self, name, node, event, phase):
        self.kept.apply("Pod", event, make_pod(name).node(node).phase(phase).obj())

    @rule(
        name=names, node=st.sampled_from(["a", "b", None]), event=st.sampled_from(["A", "DELETED"])
    )
    def slice(self, name, node, event):
        item = make_slice(name, GPU)
        self.kept.apply("ResourceSlice", event, (item.on(node) if node else item).obj())

    @rule(
        name=names,
        pools=st.lists(st.sampled_from("xy"), max_size=3),
        event=st.sampled_from(["A", "DELETED"]),
    )
    def claim(self, name, pools, event):
        results = [("r", GPU, pool, f"gpu-{n}") for n, pool in enumerate(pools)]
        self.kept.apply("ResourceClaim", event, make_claim(name).allocated("a", *results).obj())

    @invariant()
    def the_lookups_agree(self):
        kept, fresh = self.kept, made_anew(self.kept)
        bound = {(p.spec.node_name, k) for k, p in kept.pods.items() if store.bound_to(p)}
        assert {(node, key) for node, pods in kept.pods_on.items() for key in pods} == bound
        for lookup in ("pods_on", "slices_on", "slices_beyond", "allocated"):
            assert getattr(kept, lookup) == getattr(fresh, lookup)


TestAnyOrder = AnyOrder.TestCase
