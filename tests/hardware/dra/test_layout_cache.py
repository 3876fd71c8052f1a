"""Machines that differ in what tells nothing are read once, and never mistaken for another."""

from __future__ import annotations

import dataclasses
import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.hardware import allocator_features
from extender.hardware.dra import layout_cache, slices
from extender.kube.api import objects

NAMES = (
    "uuid",
    "gpu.test/uuid",
    "parentUUID",
    "serial",
    "nic.test/serial",
    "resource.kubernetes.io/pcieRoot",
    "numaNode",
    "productName",
    "type",
)
FEATURES = allocator_features.AllocatorFeatures()


def text(value):
    return objects.DeviceAttribute(string=value)


def machine(*devices, driver="gpu.test", node="n1", **fields):
    """A slice of devices, each a map of attributes."""
    return objects.ResourceSliceSpec(
        driver=driver,
        node_name=node,
        pool=objects.ResourcePool(name=node, generation=1, resource_slice_count=1),
        devices=tuple(
            objects.Device(name=f"d{number}", attributes=attributes, **fields)
            for number, attributes in enumerate(devices)
        ),
    )


def read(*specs, interner, apart=None):
    items = [
        objects.ResourceSlice(metadata=objects.ObjectMeta(name=str(number)), spec=spec)
        for number, spec in enumerate(specs)
    ]
    found = slices.inventory("n1", {}, items, features=FEATURES, interner=interner, apart=apart)
    return found.layout


def contents(layout):
    """The layout as plain values, whoever interned them."""
    fields = [field.name for field in dataclasses.fields(layout.devices[0])]
    return [[getattr(device, name) for name in fields] for device in layout.devices], layout.facts


values = st.one_of(
    st.sampled_from("xyz").map(text),
    st.integers(0, 1).map(lambda number: objects.DeviceAttribute(int_=number)),
    st.booleans().map(lambda value: objects.DeviceAttribute(bool_=value)),
    st.sampled_from(["1.0.0", "2.0.0"]).map(lambda v: objects.DeviceAttribute(version=v)),
    st.lists(st.sampled_from("xyz"), min_size=1, max_size=2).map(
        lambda texts: objects.DeviceAttribute(strings=tuple(texts))
    ),
)
attributes = st.dictionaries(st.sampled_from(NAMES), values, max_size=4)
gpus = st.lists(attributes, min_size=1, max_size=3)
nics = st.lists(attributes, max_size=2)
machines = st.builds(
    lambda some, others: (machine(*some), machine(*others, driver="nic.test")), gpus, nics
)
apart_names = st.sampled_from([None, frozenset(), frozenset({"uuid"}), frozenset({"serial"})])


@given(st.lists(machines, min_size=2, max_size=4), apart_names)
def test_what_was_read_before_changes_nothing_about_a_machine(met, apart):
    interner = slices.Interner()
    kept = [read(*specs, interner=interner, apart=apart) for specs in met]
    for specs, found in zip(met, kept, strict=True):
        assert contents(found) == contents(read(*specs, interner=slices.Interner(), apart=apart))


def test_machines_with_other_serial_numbers_share_a_layout():
    interner = slices.Interner()
    one = read(machine({"uuid": text("a")}, {"uuid": text("b")}), interner=interner)
    assert read(machine({"uuid": text("c")}, {"uuid": text("d")}), interner=interner) is one


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(machine({"uuid": text("a")}, {"uuid": text("a")}), id="one body, not two"),
        pytest.param(machine({"uuid": text("a")}, {"serial": text("b")}), id="another name"),
        pytest.param(
            machine({"uuid": text("a")}, {"uuid": objects.DeviceAttribute(version="1.0.0")}),
            id="another type",
        ),
        pytest.param(
            machine({"uuid": text("a")}, {"uuid": text("b")}, driver="nic.test"),
            id="another driver",
        ),
        pytest.param(
            machine({"uuid": text("a")}, {"uuid": text("b")}, capacity={"memory": "1Gi"}),
            id="with memory",
        ),
        pytest.param(
            machine(
                {"uuid": text("a")},
                {"uuid": text("b")},
                taints=(objects.DeviceTaint(key="k", effect="NoSchedule"),),
            ),
            id="tainted",
        ),
        pytest.param(machine({"uuid": text("a")}), id="one device, not two"),
    ],
)
def test_machines_that_differ_in_anything_else_do_not(other):
    interner = slices.Interner()
    one = read(machine({"uuid": text("a")}, {"uuid": text("b")}), interner=interner)
    assert read(other, interner=interner) is not one


def test_a_layout_that_nobody_holds_is_forgotten():
    known = layout_cache.Layouts()
    first = known.find(("it",), lambda: layout_cache.Layout((), ()))
    assert known.find(("it",), lambda: layout_cache.Layout((), ())) is first
    del first
    gc.collect()
    made = layout_cache.Layout((), ())
    assert known.find(("it",), lambda: made) is made
