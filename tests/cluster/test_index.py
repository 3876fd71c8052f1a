"""The index: which states machines share, and which devices are in use."""

import pytest

from extender.cluster.pods import reservations
from tests.kit.builders import (
    make_claim,
    make_class,
    make_node,
    make_pod,
    make_slice,
    make_taint_rule,
)
from tests.kit.rigs.index_pictures import DRIVER, engine, feed, gpu_slice


@pytest.fixture
def picture():
    return engine()


def test_equal_machines_share_a_state(picture):
    feed(picture, make_node("a").obj(), make_node("b").obj(), gpu_slice("a"), gpu_slice("b"))

    rows = picture.index.rows

    assert picture.index.state[rows["a"]] == picture.index.state[rows["b"]]


def test_what_machines_agree_on_keeps_its_value_and_what_tells_them_apart_does_not(picture):
    feed(picture, *(make_node(name).obj() for name in "ab"))
    feed(picture, *(gpu_slice(name, model="H100") for name in "ab"))

    (device, _) = picture.index.detail("a").machine.shape.devices

    assert picture.index.builder.apart == {"uuid"}
    assert device.attributes["model"] == ("string", "H100")
    assert device.attributes["uuid"] == ("string", "0")


def test_a_selector_on_what_tells_machines_apart_touches_no_state(picture):
    feed(picture, make_node("a").obj(), make_node("b").obj(), gpu_slice("a"), gpu_slice("b"))
    before = picture.index.generation

    feed(picture, make_class("mine", f'device.attributes["{DRIVER}"].uuid == "a-0"').obj())

    rows = picture.index.rows
    assert picture.index.state[rows["a"]] == picture.index.state[rows["b"]]
    assert picture.index.generation == before


def test_an_upgrade_of_one_machine_costs_no_request_more_than_one_other(picture):
    names = [f"n{number}" for number in range(20)]
    feed(picture, *(make_node(name).obj() for name in names))
    feed(picture, *(gpu_slice(name, firmware="1") for name in names))
    machines_before = {name: picture.index.detail(name).machine for name in names}

    feed(picture, gpu_slice("n0", firmware="2"))

    anew = [n for n in names if picture.index.detail(n).machine is not machines_before[n]]
    assert len(anew) == 2
    assert picture.index.outdated


def test_when_there_is_time_machines_share_again_what_they_shared(picture):
    names = [f"n{number}" for number in range(20)]
    feed(picture, *(make_node(name).obj() for name in names))
    feed(picture, *(gpu_slice(name, firmware="1") for name in names))
    feed(picture, gpu_slice("n0", firmware="2"))

    while picture.index.settle(most=4):
        pass

    assert not picture.index.outdated
    assert len({picture.index.detail(name).machine.shape for name in names}) == 1
    assert picture.index.verify() == []


def test_a_reservation_outlasts_that_its_machine_is_read_anew_with_fewer_values(picture):
    feed(picture, *(make_node(name).obj() for name in "ab"), gpu_slice("a", firmware="1"))
    held = reservations.Reservation(pod="p", node="a", deadline=9.0, cpu=1, memory=1)
    picture.index.mark_changed(picture.index.reservations.assume(held))

    feed(picture, gpu_slice("b", firmware="2"))

    assert picture.index.detail("a").machine.shape is picture.index.detail("b").machine.shape
    assert picture.index.reservations.on("a")


def test_an_allocated_claim_takes_its_device_even_when_nobody_reserves_it(picture):
    claim = make_claim("c").request("r", "gpus").allocated("a", ("r", DRIVER, "a", "gpu-1"))

    feed(picture, make_node("a").obj(), gpu_slice("a"), claim.obj())

    assert picture.index.detail("a").usage.taken == 0b10


def test_a_deleted_claim_gives_its_device_back(picture):
    claim = make_claim("c").request("r", "gpus").allocated("a", ("r", DRIVER, "a", "gpu-1")).obj()
    feed(picture, make_node("a").obj(), gpu_slice("a"), claim)

    picture.store.apply("ResourceClaim", "DELETED", claim)
    picture.index.settle()

    assert picture.index.detail("a").usage.taken == 0


def test_a_finished_pod_holds_nothing(picture):
    pod = make_pod("p").gpus(2).node("a")
    feed(picture, make_node("a").gpus("NVIDIA-H100-80GB-HBM3", 8).obj(), pod.obj())
    assert picture.index.detail("a").usage.held == (2,)

    feed(picture, pod.phase("Succeeded").obj())

    assert picture.index.detail("a").usage.held == (0,)


def test_a_pod_waiting_to_terminate_still_holds(picture):
    pod = make_pod("p").gpus(2).node("a")
    pod.body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    feed(picture, make_node("a").gpus("NVIDIA-H100-80GB-HBM3", 8).obj(), pod.obj())

    assert picture.index.detail("a").usage.held == (2,)


def test_the_annotation_says_which_devices_a_pod_holds(picture):
    pod = make_pod("p").gpus(2).node("a").annotation("railyard.dev/devices", "nvidia.com/gpu=3,5")

    feed(picture, make_node("a").gpus("NVIDIA-H100-80GB-HBM3", 8).obj(), pod.obj())

    usage = picture.index.detail("a").usage
    assert (usage.taken, usage.inferred) == (0b101000, False)


def test_devices_nobody_names_are_inferred_and_marked_so(picture):
    pod = make_pod("p").gpus(2).node("a")

    feed(picture, make_node("a").gpus("NVIDIA-H100-80GB-HBM3", 8).obj(), pod.obj())

    usage = picture.index.detail("a").usage
    assert (usage.taken.bit_count(), usage.inferred) == (2, True)


NAMES = [f"n{number:02}" for number in range(40)]

SHARED = {
    "a class for a resource of all nodes": make_class("c").extended_resource("example.com/card"),
    "a class for a resource of none": make_class("c").extended_resource("example.com/other"),
    "a taint rule": make_taint_rule("t", driver=DRIVER),
    "a taint rule for others": make_taint_rule("t", driver="other.example.com"),
    "a slice of all nodes": make_slice("s", "net.example.com").everywhere().device("d"),
}


@pytest.mark.parametrize("item", SHARED.values(), ids=SHARED)
def test_no_request_reads_all_nodes_for_a_change_of_what_they_share(picture, item):
    for name in NAMES:
        node = make_node(name).allocatable(**{"example.com/card": "8"}).obj()
        picture.store.apply("Node", "ADDED", node)
        picture.store.apply("ResourceSlice", "ADDED", gpu_slice(name))
    while picture.index.settle(most=8):
        pass
    picture.index.at_once = 4

    for event in ("ADDED", "DELETED"):
        known = {name: picture.index.detail(name) for name in NAMES}
        picture.store.apply(item.kind, event, item.obj())
        picture.index.settle()
        anew = [name for name in NAMES if picture.index.detail(name) is not known[name]]
        assert len(anew) <= 4
        # News of a node's own is never put off.
        picture.store.apply("Node", "MODIFIED", make_node("n39").allocatable(cpu="7").obj())
        picture.index.settle()
        assert picture.index.detail("n39").cpu == 7000
        while picture.index.settle(most=8):
            pass
        assert not picture.index.outdated
        assert picture.index.verify() == []
        feed(picture, make_node("n39").allocatable(**{"example.com/card": "8"}).obj())
