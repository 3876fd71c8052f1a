import random

import msgspec

from extender.kube.api import objects
from loadtests.simulator import large_objects


def serials(slices):
    return {
        device.attributes["uuid"].string
        for item in slices
        for device in item.spec.devices or ()
        if "uuid" in device.attributes
    }


def test_partitioned_machines_have_the_same_devices_under_serial_numbers_of_their_own():
    rng = random.Random(1)
    one, other = (
        [
            msgspec.convert(body, objects.ResourceSlice)
            for body in large_objects.partitioned_slices(number, rng)
        ]
        for number in range(2)
    )

    assert len(one) == 10
    assert sum(len(item.spec.devices or ()) for item in one) == 216
    assert {item.spec.node_name for item in one} == {"gpu-node-00000"}
    assert len(serials(one)) == len(serials(other)) == 8
    assert not serials(one) & serials(other)
    versions = [int(item.metadata.resource_version) for item in (*one, *other)]
    assert versions == sorted(set(versions))
