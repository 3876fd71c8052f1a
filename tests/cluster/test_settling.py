"""What settling the index reads again and leaves alone, and that it equals a new one."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from extender.cluster.pods import reservations
from extender.kube.api import objects
from tests.kit.builders import (
    make_claim,
    make_class,
    make_node,
    make_pod,
    make_slice,
)
from tests.kit.rigs.index_pictures import DRIVER, engine, feed, gpu_slice


@pytest.fixture
def picture():
    return engine()


def test_states_are_numbered_anew_without_what_no_node_is_in(picture):
    feed(picture, *(make_node(name).obj() for name in "ab"), gpu_slice("a"), gpu_slice("b"))
    before = picture.index.states
    for number in range(2):
        claim = make_claim("c").allocated("a", ("r", DRIVER, "a", f"gpu-{number}"))
        feed(picture, claim.obj())
    assert len(before) > 2

    picture.index.compact()

    assert len(picture.index.states) == 2
    assert picture.index.states is not before
    assert picture.index.verify() == []


def test_settling_goes_on_where_it_left_off(picture):
    for name in "abc":
        picture.store.apply("Node", "ADDED", make_node(name).obj())

    assert [picture.index.settle(most=2) for _ in range(3)] == [2, 1, 0]
    assert picture.index.rows.keys() == set("abc")


def test_a_heartbeat_touches_nothing(picture):
    node = make_node("a")
    feed(picture, node.obj())
    before = picture.index.generation

    node.body["metadata"]["resourceVersion"] = "99"
    feed(picture, node.obj())

    assert picture.index.generation == before


def test_a_bound_pod_whose_status_moves_on_touches_nothing(picture):
    pod = make_pod("p").gpus(1).node("a")
    feed(picture, make_node("a").gpus("NVIDIA-H100-80GB-HBM3", 8).obj(), pod.obj())
    before = picture.index.generation

    feed(picture, pod.phase("Running").label("seen", "yes").obj())

    assert picture.index.generation == before


def test_a_claim_that_is_reserved_for_its_pod_touches_nothing(picture):
    claim = make_claim("c").request("r", "gpus").allocated("a", ("r", DRIVER, "a", "gpu-1"))
    feed(picture, make_node("a").obj(), gpu_slice("a"), claim.obj())
    before = picture.index.generation

    claim.body["status"]["reservedFor"] = [{"resource": "pods", "uid": "uid-p"}]
    feed(picture, claim.obj())

    assert picture.index.generation == before


def test_a_node_made_again_under_its_name_is_another_node(picture):
    old = make_node("a").gpus("NVIDIA-H100-80GB-HBM3", 8).obj()
    feed(picture, old)

    picture.store.apply("Node", "DELETED", old)
    feed(picture, make_node("a").uid("another").obj())

    assert picture.index.detail("a").machine.shape.resources == ()
    assert picture.index.verify() == []


def test_a_reservation_shows_in_what_is_expected_and_not_in_what_is(picture):
    feed(picture, make_node("a").gpus("NVIDIA-H100-80GB-HBM3", 8).obj())
    hold = reservations.Reservation("p", "a", 9.0, cpu=0, memory=0, held=(3,), taken=0b111)

    picture.index.mark_changed(picture.index.reservations.assume(hold))
    picture.index.settle()

    row = picture.index.rows["a"]
    states = picture.index.states
    assert states[picture.index.state[row]].usage.held == (0,)
    assert states[picture.index.expected[row]].usage.held == (3,)


def test_a_reservation_ends_with_the_hardware_it_was_made_on(picture):
    feed(picture, make_node("a").gpus("NVIDIA-H100-80GB-HBM3", 8).obj())
    hold = reservations.Reservation("p", "a", 9.0, cpu=0, memory=0, held=(3,), taken=0b111)
    picture.index.mark_changed(picture.index.reservations.assume(hold))

    feed(picture, make_node("a").obj())

    assert len(picture.index.reservations) == 0
    assert picture.index.verify() == []


def test_many_states_are_numbered_anew_without_changing_what_they_say(picture):
    feed(picture, make_node("a").obj(), gpu_slice("a"))
    before = picture.index.describe("a")
    for number in range(60_000):
        picture.index.states.number(picture.index.detail("a").machine.shape, hash_usage(number))

    feed(picture, make_node("b").obj())

    assert len(picture.index.states) < 10
    assert picture.index.describe("a") == before


def hash_usage(number):
    from extender.hardware.usage import Usage  # noqa: PLC0415 - only this helper needs it

    return Usage(taken=number + 1000)


class AnyOrder(RuleBasedStateMachine):
    """After any events in any order the index equals one made anew from the store."""

    nodes = st.sampled_from(["a", "b", "c"])

    @initialize()
    def begin(self):
        self.picture = engine()
        self.apply = self.picture.store.apply

    @rule(node=nodes, gone=st.booleans(), gpus=st.integers(0, 2))
    def change_node(self, node, gone, gpus):
        made = make_node(node)
        if gpus:
            made.gpus("NVIDIA-H100-80GB-HBM3", 4 * gpus)
        self.apply("Node", "DELETED" if gone else "MODIFIED", made.obj())

    @rule(node=nodes, gone=st.booleans(), count=st.integers(0, 3), model=st.sampled_from("xy"))
    def change_slice(self, node, gone, count, model):
        event = "DELETED" if gone else "MODIFIED"
        self.apply("ResourceSlice", event, gpu_slice(node, count, model=model))

    @rule(gone=st.booleans(), count=st.integers(0, 2))
    def change_shared_slice(self, gone, count):
        made = make_slice("far", "nic.example.com").everywhere()
        for number in range(count):
            made.device(f"nic-{number}")
        self.apply("ResourceSlice", "DELETED" if gone else "MODIFIED", made.obj())

    @rule(
        node=st.sampled_from(["a", "b", ""]),
        gone=st.booleans(),
        generation=st.integers(1, 2),
        slices=st.integers(1, 3),
        consumes=st.booleans(),
    )
    def change_a_part_of_a_pool(self, node, gone, generation, slices, consumes):
        part = make_slice(f"part-{node}", DRIVER)
        part = part.on(node) if node else part.everywhere()
        part.pool("spread", generation=generation, slices=slices)
        part.device(f"part-{node}", consumes={"set": {"memory": "1"}} if consumes else None)
        self.apply("ResourceSlice", "DELETED" if gone else "MODIFIED", part.obj())

    @rule(
        name=st.sampled_from("pq"),
        node=st.sampled_from(["a", "b", "c", ""]),
        gone=st.booleans(),
        gpus=st.integers(0, 2),
        cpu=st.sampled_from([2, 4, "many"]),
        phase=st.sampled_from(["Running", "Failed"]),
        reported=st.sampled_from(["", "nvidia.com/gpu=3", "nvidia.com/gpu=0,9"]),
        second=st.integers(0, 2),
    )
    def change_pod(self, *, name, node, gone, gpus, cpu, phase, reported, second):
        pod = make_pod(name).gpus(gpus).request("cpu", cpu).phase(phase).node(node)
        pod.annotation("railyard.dev/devices", reported)
        pod.body["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:0{second}Z"
        self.apply("Pod", "DELETED" if gone else "MODIFIED", pod.obj())

    @rule(
        name=st.sampled_from("rs"),
        where=st.sampled_from([("a", DRIVER), ("b", DRIVER), ("far", "nic.example.com")]),
        number=st.integers(0, 2),
        gone=st.booleans(),
        reserved=st.booleans(),
    )
    def change_claim(self, name, where, number, gone, reserved):
        pool, driver = where
        device = ("nic-" if pool == "far" else "gpu-") + str(number)
        claim = make_claim(name).request("r", "any").allocated("a", ("r", driver, pool, device))
        if reserved:
            claim.body["status"]["reservedFor"] = [{"resource": "pods", "uid": "uid-p"}]
        self.apply("ResourceClaim", "DELETED" if gone else "MODIFIED", claim.obj())

    @rule(name=st.sampled_from(["uuid", "model"]))
    def name_an_attribute(self, name):
        made = make_class(name, f'device.attributes["{DRIVER}"].{name} == "x"')
        self.apply("DeviceClass", "MODIFIED", made.obj())

    @rule(node=nodes, pod=st.sampled_from("pq"), units=st.integers(0, 3))
    def reserve(self, node, pod, units):
        detail = self.picture.index.detail(node)
        count = len(detail.machine.shape.resources) if detail else 0
        hold = reservations.Reservation(
            f"uid-{pod}", node, 9.0, cpu=100, memory=0, held=(units,) * count
        )
        if count:
            self.picture.index.mark_changed(self.picture.index.reservations.assume(hold))

    @rule(most=st.sampled_from([None, 1, 2]))
    def settle(self, most):
        self.picture.index.settle(most=most)

    @invariant()
    def equals_one_made_anew(self):
        if hasattr(self, "picture"):
            assert self.picture.index.verify() == []


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


TestAnyOrder = AnyOrder.TestCase


def topology(node, **used):
    """A NodeResourceTopology: GPUs in use per NUMA node, four on each."""
    zones = tuple(
        objects.Zone(
            name=name.replace("_", "-"),
            type="Node",
            resources=(
                objects.ZoneResource(
                    name="nvidia.com/gpu", capacity=4, allocatable=4, available=4 - count
                ),
            ),
        )
        for name, count in used.items()
    )
    return objects.NodeResourceTopology(metadata=objects.ObjectMeta(name=node), zones=zones)


def dgx(name):
    return (
        make_node(name).gpus("NVIDIA-H100-80GB-HBM3", 8).label("nvidia.com/gpu.machine", "DGXH100")
    )


def numa_of_taken(picture, name):
    detail = picture.index.detail(name)
    numa = detail.machine.shape.numa
    return sorted(numa[d] for d in range(len(numa)) if detail.usage.taken >> d & 1)


def test_the_topology_object_says_on_which_numa_node_units_are_held(picture):
    feed(picture, dgx("a").obj())
    feed(picture, make_pod("p").gpus(2).node("a").obj())
    assert numa_of_taken(picture, "a") == [0, 0]

    feed(picture, topology("a", node_0=0, node_1=2))

    assert numa_of_taken(picture, "a") == [1, 1]
    assert picture.index.verify() == []


def test_a_topology_object_that_lags_behind_the_pods_is_not_believed(picture):
    feed(picture, dgx("a").obj())
    feed(picture, topology("a", node_0=0, node_1=2))

    feed(picture, make_pod("p").gpus(3).node("a").obj())

    assert picture.index.detail("a").usage.taken.bit_count() == 3
    assert set(numa_of_taken(picture, "a")) == {0}
