import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.cluster import plugin_usage
from extender.cluster.pods import bound_pods
from extender.hardware.shape import Device, Level, PluginResource, Shape
from tests.kit.builders import make_pod

GPU = "nvidia.com/gpu"


def machine(count=8, *, replicas=1, devices=None):
    """Two islands of four: near within one, far between them."""
    indices = tuple(range(count)) if devices is None else devices
    return Shape(
        devices=tuple(Device("plugin", f"gpu-{n}", {}, {}) for n in range(count)),
        resources=(PluginResource(GPU, count * replicas, indices, replicas),),
        levels=tuple(
            bytes(Level.NVLINK if a // 4 == b // 4 else Level.SYS for b in range(count))
            for a in range(count)
        ),
    )


def pod(name, gpus, devices=None):
    found = make_pod(name).gpus(gpus).node("a")
    found.body["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:0{ord(name[0]) % 10}Z"
    if devices is not None:
        found.annotation(bound_pods.DEVICES_ANNOTATION, devices)
    return bound_pods.bound_pod(found.obj())


def test_the_annotation_is_believed_before_any_inference():
    held, taken, inferred = plugin_usage.held_by([pod("a", 2, f"{GPU}=1,6")], machine())

    assert (held, taken, inferred) == ((2,), 0b1000010, False)


@pytest.mark.parametrize(
    "text", ["", "nonsense", f"{GPU}=one", f"{GPU}", "other/gpu=1", f"{GPU}=-1"]
)
def test_an_annotation_that_cannot_be_read_is_as_good_as_none(text):
    _, taken, inferred = plugin_usage.held_by([pod("a", 1, text)], machine())

    assert (taken, inferred) == (0b1, True)


def test_several_resources_stand_in_one_annotation():
    text = f"other/nic=3; {GPU}=2"

    assert plugin_usage.held_by([pod("a", 1, text)], machine())[1] == 0b100


def test_the_older_pod_is_given_the_nearest_devices_first():
    pods = [pod("b", 3), pod("a", 2)]

    _, taken, _ = plugin_usage.held_by(pods, machine())

    assert taken == 0b1110011  # a on 0 and 1 of one island, b on three of the other


def test_shared_devices_are_counted_by_units_only():
    held, taken, inferred = plugin_usage.held_by([pod("a", 3)], machine(replicas=4))

    assert (held, taken, inferred) == ((3,), 0, False)


def test_units_without_devices_behind_them_take_none():
    assert plugin_usage.held_by([pod("a", 3)], machine(devices=())) == ((3,), 0, False)


def test_a_machine_without_plugin_resources_holds_nothing():
    assert plugin_usage.held_by([pod("a", 3)], Shape()) == ((), 0, False)


@pytest.mark.parametrize(
    "reported",
    [
        pytest.param("0", id="fewer than it holds"),
        pytest.param("0,1,2", id="more than it holds"),
        pytest.param("0,9999", id="one that is not there"),
    ],
)
def test_an_annotation_that_cannot_be_right_is_not_believed(reported):
    liar = make_pod("b").gpus(2).annotation(bound_pods.DEVICES_ANNOTATION, f"{GPU}={reported}")

    held, taken, inferred = plugin_usage.held_by([bound_pods.bound_pod(liar.obj())], machine())

    assert (held, taken.bit_count(), inferred) == ((2,), 2, True)


def test_two_pods_that_name_the_same_devices_hold_two_each():
    def telling(name):
        text = f"{GPU}=0,1"
        return bound_pods.bound_pod(
            make_pod(name).gpus(2).annotation(bound_pods.DEVICES_ANNOTATION, text).obj()
        )

    _, taken, inferred = plugin_usage.held_by([telling("a"), telling("b")], machine())

    assert (taken.bit_count(), inferred) == (4, True)


@pytest.mark.parametrize(
    ("free", "count", "expected"),
    [
        ([0, 1, 4, 5, 6], 3, (4, 5, 6)),
        ([3, 4], 1, (3,)),
        ([2, 3], 5, (2, 3)),
        ([], 1, ()),
    ],
)
def test_the_nearest_devices_are_picked_the_lowest_numbers_first(free, count, expected):
    assert plugin_usage.nearest(machine(), free, count) == expected


@given(st.lists(st.integers(1, 3), max_size=5))
def test_no_device_is_given_twice_and_none_beyond_the_machine(sizes):
    shape = machine()
    pods = [pod(f"{chr(97 + n)}", size) for n, size in enumerate(sizes)]

    held, taken, _ = plugin_usage.held_by(pods, shape)

    assert held == (sum(sizes),)
    assert taken.bit_count() == min(sum(sizes), 8)
    assert taken < 1 << 8


@given(st.sets(st.integers(0, 7), min_size=1), st.integers(1, 8))
def test_what_is_picked_was_free(free, count):
    picked = plugin_usage.nearest(machine(), sorted(free), count)

    assert set(picked) <= free
    assert len(picked) == min(count, len(free))
