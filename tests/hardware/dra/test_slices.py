"""A node's devices and pools are those that the allocator walks, in its order."""

from __future__ import annotations

import dataclasses
import gc

import pytest

from extender.demand.allocator import constraints
from extender.hardware import allocator_features, shape
from extender.hardware.dra import slices
from extender.hardware.usage import Usage
from extender.kube.api import objects
from tests.kit import builders

NEWEST = allocator_features.features_of("1.37")
V136 = allocator_features.features_of("1.36")
V134 = dataclasses.replace(allocator_features.features_of("1.34"), partitionable=True)
ROOT = "resource.kubernetes.io/pcieRoot"


def found(*built, node="n1", labels=None, features=NEWEST, **more):
    return slices.inventory(
        node,
        labels or {},
        [item.obj() if hasattr(item, "obj") else item for item in built],
        features=features,
        **{"interner": slices.Interner()} | more,
    )


def names(inventory):
    return [device.name for device in inventory.devices]


def gpus(name="gpu", driver="gpu", count=2, **more):
    slice_ = builders.make_slice(name, driver).on("n1")
    for number in range(count):
        slice_.device(f"{name}-{number}", **more)
    return slice_


def result(pool, device, driver="gpu", **more):
    return objects.DeviceRequestAllocationResult(driver=driver, pool=pool, device=device, **more)


def test_pools_are_walked_by_driver_and_name_and_slices_by_name():
    inventory = found(
        gpus("z", "nic").pool("b"),
        gpus("y", "gpu").pool("b", slices=2),
        gpus("x", "gpu").pool("b", slices=2),
        gpus("w", "gpu").pool("c"),
    )
    assert names(inventory) == ["x-0", "x-1", "y-0", "y-1", "w-0", "w-1", "z-0", "z-1"]
    assert inventory.pool_names == (("gpu", "b"), ("gpu", "c"), ("nic", "b"))
    assert inventory.pool_of == (0, 0, 0, 0, 1, 1, 2, 2)


def test_pools_with_binding_conditions_come_last():
    waiting = gpus("a").pool("a")
    waiting.spec["devices"][0]["bindingConditions"] = ["ready"]
    inventory = found(waiting, gpus("b").pool("b"))
    assert names(inventory) == ["b-0", "b-1", "a-0", "a-1"]
    assert all(device.selectable for device in inventory.devices)
    off = dataclasses.replace(NEWEST, binding_conditions=False)
    closed = found(waiting, gpus("b").pool("b"), features=off)
    assert [device.selectable for device in closed.devices] == [True, True, False, True]


def test_a_pool_with_a_missing_slice_holds_no_devices():
    inventory = found(gpus().pool("n1", slices=2))
    assert inventory.devices == ()
    assert [pool.broken for pool in inventory.pools] == [shape.Broken.INCOMPLETE]


def test_slices_of_other_nodes_count_for_completeness():
    here, there = gpus("a").pool("p", slices=2), gpus("b").pool("p", slices=2)
    there.spec["nodeName"] = "n2"
    inventory = found(here, there)
    assert names(inventory) == ["a-0", "a-1"]
    assert inventory.pools[0].broken is None


def test_only_the_newest_generation_counts():
    assert names(
        found(gpus("old").pool("n1", generation=1), gpus("new").pool("n1", generation=2))
    ) == [
        "new-0",
        "new-1",
    ]


def test_a_pool_whose_newer_generation_left_the_node_is_dropped_without_trace():
    old, new = gpus("old").pool("p", slices=2), gpus("new").pool("p", generation=2)
    new.spec["nodeName"] = "n2"
    assert found(old, new).pools == ()


def test_two_devices_of_one_name_make_the_pool_invalid():
    inventory = found(gpus("a").device("twin"), gpus("b").device("twin").pool("n1"))
    assert inventory.pools[0].broken is shape.Broken.INCOMPLETE
    inventory = found(gpus("a").device("a-0"))
    assert inventory.pools[0].broken is shape.Broken.INVALID


@pytest.mark.parametrize(
    "consumes",
    [
        pytest.param({"nobody": {"m": "1"}}, id="unknown counter set"),
        pytest.param({"c": {"nothing": "1"}}, id="unknown counter"),
    ],
)
def test_a_device_that_draws_unknown_counters_makes_the_pool_invalid(consumes):
    drawing = gpus(consumes=consumes).pool("n1", slices=2)
    counters = (
        builders.make_slice("sets", "gpu").on("n1").pool("n1", slices=2).counters(c={"m": "1"})
    )
    assert found(drawing, counters).pools[0].broken is shape.Broken.INVALID
    off = dataclasses.replace(NEWEST, partitionable=False)
    assert found(drawing.pool("n1"), features=off).pools[0].broken is None


def test_node_selectors_decide_by_labels():
    zone = gpus()
    del zone.spec["nodeName"]
    term = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}
    zone.spec["nodeSelector"] = {"nodeSelectorTerms": [{}, term]}
    assert names(found(zone, labels={"zone": "b"})) == ["gpu-0", "gpu-1"]
    assert found(zone, labels={"zone": "c"}).pools == ()


@pytest.mark.parametrize(
    ("operator", "values", "label", "admitted"),
    [
        pytest.param("NotIn", ["x"], None, True, id="NotIn without the label"),
        pytest.param("Exists", None, "x", True, id="Exists"),
        pytest.param("DoesNotExist", None, "x", False, id="DoesNotExist"),
        pytest.param("Gt", ["3"], "4", True, id="Gt"),
        pytest.param("Gt", ["3"], "3", False, id="Gt, equal"),
        pytest.param("Lt", ["3"], "2", True, id="Lt"),
        pytest.param("Lt", ["3"], "two", False, id="Lt, no number"),
        pytest.param("Near", ["3"], "3", False, id="unknown operator"),
    ],
)
def test_every_operator_of_node_selectors_is_known(operator, values, label, admitted):
    requirement = {"key": "k", "operator": operator, "values": values}
    slice_ = gpus()
    del slice_.spec["nodeName"]
    slice_.spec["nodeSelector"] = {"nodeSelectorTerms": [{"matchExpressions": [requirement]}]}
    inventory = found(slice_, labels={} if label is None else {"k": label})
    assert bool(inventory.devices) is admitted


def test_devices_with_their_own_node_are_walked_but_only_theirs_are_selectable():
    shared = gpus()
    del shared.spec["nodeName"]
    shared.spec["perDeviceNodeSelection"] = True
    shared.spec["devices"][0]["nodeName"] = "n1"
    shared.spec["devices"][1]["nodeName"] = "n2"
    inventory = found(shared)
    assert [(d.name, d.selectable, d.on_node) for d in inventory.devices] == [
        ("gpu-0", True, True),
        ("gpu-1", False, True),
    ]


def test_taint_rules_add_to_the_devices_they_select():
    rule = objects.DeviceTaintRule(
        spec=objects.DeviceTaintRuleSpec(
            device_selector=objects.DeviceTaintSelector(driver="gpu", device="gpu-1"),
            taint=objects.DeviceTaint(
                key="bad", effect="NoExecute", time_added="2026-01-01T00:00:00Z"
            ),
        )
    )
    nobody = objects.DeviceTaintRule()
    inventory = found(gpus(), rules=[rule, nobody])
    bad = objects.DeviceTaint(key="bad", effect="NoExecute")
    assert [device.taints for device in inventory.devices] == [(), (bad,)]
    assert not any(d.taints for d in found(gpus(), rules=[rule], features=V136).devices)


# ---------------------------------------------------------------- equal machines


def machine(node, *, serial, root, extra=()):
    slice_ = builders.make_slice(f"s-{node}", "gpu").on(node)
    for number in range(4):
        slice_.device(
            f"gpu-{number}",
            uuid=f"GPU-{serial}-{number}",
            model="H100",
            pcieRoot=f"{root}{number // 2}",
            numaNode=number // 2 + (7 if root == "x" else 0),
        )
    for name, value in extra:
        slice_.spec["devices"][0]["attributes"][name] = {"string": value}
    return slice_


def test_machines_that_differ_in_what_is_apart_share_their_devices():
    interner = slices.Interner()
    apart = frozenset({"uuid", "pcieRoot", "numaNode"})
    one = found(machine("n1", serial="a", root="p"), interner=interner, apart=apart)
    two = found(machine("n2", serial="b", root="x"), node="n2", interner=interner, apart=apart)
    assert one.devices == two.devices
    assert one.pools == two.pools
    assert one.pool_names != two.pool_names
    uuid = two.published()[0].attributes["uuid"]
    assert uuid.string == "GPU-b-0"


def test_an_attribute_that_is_not_apart_keeps_its_value():
    interner = slices.Interner()
    apart = frozenset({"pcieRoot"})
    one = found(machine("n1", serial="a", root="p"), interner=interner, apart=apart)
    two = found(machine("n2", serial="b", root="p"), node="n2", interner=interner, apart=apart)
    assert one.devices != two.devices
    assert one.devices[3].attributes["uuid"] == ("string", "GPU-a-3")


def test_renumbering_keeps_equal_what_was_equal_and_different_what_was_different():
    slice_ = machine("n1", serial="a", root="p")
    slice_.spec["devices"][1]["attributes"]["gpu/uuid"] = {"string": "GPU-a-0"}
    del slice_.spec["devices"][1]["attributes"]["uuid"]
    slice_.spec["devices"][2]["attributes"]["uuid"] = {"version": "1.2.3"}
    inventory = found(slice_, apart=None)
    values = [constraints.lookup("gpu/uuid", device) for device in inventory.devices]
    assert values[0] == values[1]
    assert values[2][0] == "version"
    assert len({values[0], values[2], values[3]}) == 3
    roots = [constraints.lookup(ROOT, device) for device in inventory.devices]
    assert roots[0] == roots[1] != roots[2] == roots[3]


def test_members_of_lists_are_renumbered_like_single_values():
    slice_ = gpus(count=2)
    slice_.spec["devices"][0]["attributes"]["x/n"] = {"ints": [7, 5]}
    slice_.spec["devices"][1]["attributes"]["x/n"] = {"int": 5}
    first, second = found(slice_, apart=None).devices
    assert first.attributes["x/n"] == ("ints", (0, 1))
    assert second.attributes["x/n"] == ("int", 1)


def test_interned_devices_go_when_nobody_holds_them():
    interner = slices.Interner()
    inventory = found(gpus(), interner=interner)
    assert len(interner) == 3  # two devices, one pool
    del inventory
    gc.collect()
    assert len(interner) == 0


# ---------------------------------------------------------------- counters of other nodes


def counter_pool(node, count):
    sets = builders.make_slice(f"sets-{node}", "gpu").on(node).counters(c={"m": "4"})
    return sets.pool(node, slices=count)


def test_a_broken_counter_pool_elsewhere_is_distinguished_from_the_nodes_own():
    own, other = gpus(), counter_pool("n2", 2)
    inventory = found(own, other, features=V136)
    assert inventory.broken_foreign is shape.Broken.INCOMPLETE
    assert [pool.broken for pool in inventory.pools] == [None]
    known = slices.broken_pools([other.obj()], features=V136)
    assert known == {("gpu", "n2"): shape.Broken.INCOMPLETE}
    assert slices.broken_pools([counter_pool("n2", 1).obj()], features=V136) == {}


def test_from_1_37_on_counter_pools_elsewhere_do_not_matter():
    other = counter_pool("n2", 2)
    assert found(gpus(), other).broken_foreign is None
    assert slices.broken_pools([other.obj()], features=NEWEST) == {}


def test_in_1_34_each_slice_has_its_own_counters_and_an_incomplete_pool_its_devices():
    mixed = gpus(consumes={"c": {"m": "1"}}).counters(c={"m": "4"}).pool("n1", slices=2)
    inventory = found(mixed, features=V134)
    assert names(inventory) == ["gpu-0", "gpu-1"]
    assert inventory.pools[0].broken is shape.Broken.INCOMPLETE
    assert inventory.pools[0].counters == {"c": {"m": 4 * 10**9}}


# ---------------------------------------------------------------- what is in use


def test_devices_in_use_are_bits_and_admin_access_uses_nothing():
    inventory = found(gpus(count=3))
    used = slices.used(
        inventory,
        [result("n1", "gpu-1"), result("n1", "gpu-2", admin_access=True), result("n2", "gpu-0")],
        features=NEWEST,
    )
    assert used == Usage(taken=0b010)


def test_shares_are_summed_per_device_and_capacity():
    inventory = found(gpus(capacity={"memory": "10"}, multi=True))
    shares = [
        result("n1", "gpu-1", share_id="a", consumed_capacity={"memory": "2"}),
        result("n1", "gpu-1", share_id="b", consumed_capacity={"memory": "500m"}),
        result("n1", "gpu-0", share_id="c"),
    ]
    used = slices.used(inventory, shares, features=NEWEST)
    assert used == Usage(shared=((0, ()), (1, (("memory", 2_500_000_000),))))
    off = dataclasses.replace(NEWEST, consumable_capacity=False)
    assert slices.used(inventory, shares, features=off) == Usage(taken=0b11)


def test_devices_of_other_nodes_in_use_draw_from_the_pools_counters():
    here = gpus("a", consumes={"c": {"m": "1"}}).pool("p", slices=3)
    there = gpus("b", consumes={"c": {"m": "2"}}).pool("p", slices=3)
    there.spec["nodeName"] = "n2"
    counters = builders.make_slice("sets", "gpu").pool("p", slices=3).counters(c={"m": "9"})
    inventory = found(here, there, counters.everywhere())
    results = [result("p", "b-0"), result("p", "b-0", share_id="s"), result("p", "a-1")]
    used = slices.used(inventory, results, features=NEWEST)
    assert used == Usage(taken=0b10, drawn=((0, "c", "m", 2 * 10**9),))
