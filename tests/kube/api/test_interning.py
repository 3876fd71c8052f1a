import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.kube.api import condensed_devices, interning, objects
from tests.kit import builders


def piece(name, serial, **attributes):
    values = {key: {"string": value} for key, value in attributes.items()}
    return {
        "name": name,
        "attributes": {**values, "serial": {"string": serial}, "numa": {"int": 1}},
        "capacity": {"memory": {"value": "80Gi"}},
        "consumesCounters": [{"counterSet": "s", "counters": {"slices": {"value": "1"}}}],
    }


def resource_slice(number, devices):
    body = {"metadata": {"name": f"s-{number}"}, "spec": {"driver": "d", "devices": devices}}
    return msgspec.convert(body, objects.ResourceSlice)


def test_equal_parts_of_devices_become_one():
    intern = interning.ObjectInterner()
    first, second = (
        intern(resource_slice(n, [piece("gpu-0", f"serial-{n}", product="H100")])).spec.devices[0]
        for n in range(2)
    )
    assert first.attributes["product"] is second.attributes["product"]
    assert first.attributes["numa"] is second.attributes["numa"]
    assert first.capacity is second.capacity
    assert first.consumes_counters is second.consumes_counters
    assert first.attributes["serial"] != second.attributes["serial"]


def experienced():
    """An interner that knows serial numbers to differ everywhere."""
    intern = interning.ObjectInterner()
    for number in range(600):
        intern(resource_slice(number, [piece("gpu-0", f"serial-{number}")]))
    return intern


def test_machines_of_one_kind_share_their_devices_but_for_what_is_their_own():
    intern = experienced()

    one, other = (intern(resource_slice(n, [piece("a", f"own-{n}")])) for n in range(2))

    assert one.spec.devices.shared is other.spec.devices.shared
    assert one.spec.devices != other.spec.devices
    for number, item in enumerate((one, other)):
        assert item == resource_slice(number, [piece("a", f"own-{number}")])


def test_equal_sizes_and_conditions_of_nodes_become_one():
    intern = interning.ObjectInterner()
    first, second = (
        intern(builders.NodeBuilder(f"n-{n}").label("zone", "z" * 5).obj()) for n in range(2)
    )
    assert first.status.allocatable is second.status.allocatable
    assert first.status.conditions is second.status.conditions
    assert first.metadata.labels["zone"] is second.metadata.labels["zone"]


TEXT = st.text(max_size=3)
DEVICES = st.lists(st.builds(piece, TEXT, TEXT, product=TEXT, version=TEXT), max_size=4)


@given(st.lists(DEVICES, max_size=6))
def test_sharing_changes_no_value(slices):
    for intern in (interning.ObjectInterner(), experienced()):
        for number, devices in enumerate(slices):
            plain = resource_slice(number, devices)
            item = intern(resource_slice(number, devices))
            assert item == plain
            assert condensed_devices.to_builtins(item) == msgspec.to_builtins(plain)


def test_a_value_that_is_empty_is_not_one_that_is_left_out():
    """They are written alike, and the first machine came before its serial number was its own."""
    intern = interning.ObjectInterner()
    empty = {"name": "gpu-0", "attributes": {"serial": {}}}
    first = intern(resource_slice(0, [empty]))
    for number in range(600):
        intern(resource_slice(number, [piece("gpu-0", f"serial-{number}")]))
    named = {"name": "gpu-0", "attributes": {"serial": {"string": "mine"}}}

    second, third = (intern(resource_slice(0, [each])) for each in (named, empty))

    assert first.spec.devices[0].attributes["serial"] == objects.DeviceAttribute()
    assert second.spec.devices[0].attributes["serial"].string == "mine"
    assert third == first


def test_what_differs_everywhere_is_not_collected():
    intern = interning.ObjectInterner()
    for number in range(2000):
        intern(resource_slice(number, [piece("gpu-0", f"serial-{number}")]))
    texts, _, integers, _ = intern._attributes
    assert texts["serial"] is None
    assert len(integers["numa"]) == 1


def test_names_that_differ_everywhere_are_not_collected_either():
    intern = interning.ObjectInterner()
    for number in range(3000):
        intern(resource_slice(number, [piece("gpu-0", "s", **{f"name-{number}": "x"})]))
    texts, _, _, _ = intern._attributes
    assert len(texts) <= 1024


@pytest.mark.parametrize("kind", [objects.Pod, objects.ResourceClaim, objects.ResourceSlice])
def test_other_and_empty_objects_pass(kind):
    item = kind(metadata=objects.ObjectMeta(name="x"))
    assert interning.ObjectInterner()(item) is item


def test_true_one_and_text_are_kept_apart():
    values = [{"bool": True}, {"int": 1}, {"string": "1"}, {"version": "1"}]
    intern = interning.ObjectInterner()
    found = [
        intern(resource_slice(n, [{"name": "d", "attributes": {"a": value}}]))
        .spec.devices[0]
        .attributes["a"]
        for n, value in enumerate(values)
    ]
    assert [msgspec.to_builtins(each) for each in found] == values
