import msgspec
import pytest

from extender.kube.api import condensed_devices, objects

SERIALS = ("x", "y")


def device(name, serial):
    return objects.Device(
        name=name,
        attributes={
            "product": objects.DeviceAttribute(string="H100"),
            "serial": serial,
            "slot": objects.DeviceAttribute(int_=1),
        },
    )


def published():
    values = [objects.DeviceAttribute(string=each) for each in SERIALS]
    plain = objects.Device(name="plain")
    return (device("a", values[0]), plain, device("b", values[1]))


def condensed(serials=SERIALS):
    hole = condensed_devices.HOLE
    shared = condensed_devices.SharedDevices(
        (device("a", hole), objects.Device(name="plain"), device("b", hole))
    )
    own = [objects.DeviceAttribute(string=each) for each in serials]
    return condensed_devices.CondensedDevices(shared, own)


def test_what_was_condensed_reads_as_it_was_published():
    found = condensed()

    assert len(found) == 3
    assert tuple(found) == published()
    assert list(found[0].attributes) == ["product", "serial", "slot"]
    assert found[-1] == published()[-1]
    assert found[:2] == published()[:2]


def test_a_value_that_devices_repeat_is_kept_once():
    one, same = condensed(("x", "x")), condensed(("x", "x"))

    assert [each.attributes["serial"].string for each in one if each.attributes] == ["x", "x"]
    assert one == same
    assert one != condensed(("x", "y"))
    assert one != condensed_devices.CondensedDevices(
        one.shared, [objects.DeviceAttribute(string=each) for each in SERIALS]
    )


def test_it_equals_the_same_devices_however_these_are_kept():
    found = condensed()

    assert found == condensed()  # of another list that is shared
    assert found == published()
    assert published() == found
    assert found == condensed_devices.CondensedDevices(
        found.shared, [objects.DeviceAttribute(string=each) for each in SERIALS]
    )
    assert found != condensed(("x", "z"))
    assert found != published()[:2]
    assert found != "devices"


def test_who_reads_no_attributes_gets_what_is_shared():
    found = condensed()

    assert condensed_devices.alike(found) is found.shared.devices
    assert [each.name for each in condensed_devices.alike(found)] == ["a", "plain", "b"]
    assert condensed_devices.alike(published()) == published()
    assert tuple(condensed_devices.alike(None)) == ()


def test_an_object_is_written_with_its_devices_whole():
    item = objects.ResourceSlice(spec=objects.ResourceSliceSpec(devices=published()))
    same = objects.ResourceSlice(spec=objects.ResourceSliceSpec(devices=condensed()))

    assert condensed_devices.to_builtins(same) == msgspec.to_builtins(item)


def test_what_is_no_api_object_is_not_written():
    strange = objects.ResourceSlice(spec=objects.ResourceSliceSpec(devices=object()))

    with pytest.raises(NotImplementedError):
        condensed_devices.to_builtins(strange)
