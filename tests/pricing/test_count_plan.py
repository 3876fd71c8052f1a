"""How many units a state can still give, by arithmetic."""

import pytest

from extender.demand.requests import ClaimDemand, DeviceChoice, Request
from extender.hardware.shape import Capacity, Device, Kind, PluginResource, Pool, Shape
from extender.hardware.usage import NOTHING, Usage
from extender.pricing import count_plan
from extender.verdicts.query import Query
from loadtests.simulator import mig_streams

DRIVER = "gpu.example.com"


def ask(selector, *, count=1, **capacity):
    wanted = tuple(sorted(capacity.items()))
    choice = DeviceChoice("r", "gpu", selectors=(selector,), count=count, capacity=wanted)
    return Query(claims=(ClaimDemand((Request("r", (choice,)),)),))


def by_name(expression, device):
    return device.name.startswith(expression)


def gpu(name, **options):
    return Device(DRIVER, name, {}, {}, kind=Kind.GPU, **options)


def machine(devices, counters=None):
    pool = Pool(DRIVER, "0", 0, len(devices), counters or {})
    return Shape(devices=tuple(devices), pools=(pool,))


def mig_machine():
    """One GPU as its driver publishes it: a device per placement, a counter per memory slice."""
    devices = [
        Device(
            DRIVER,
            f"{name}-at-{start}",
            {},
            {},
            consumes_counters=(
                ("gpu-0", tuple((f"slice-{s}", 1) for s in range(start, start + size))),
            ),
            kind=Kind.PARTITION,
        )
        for name, size, starts in mig_streams.PROFILES
        for start in starts
    ]
    return machine(devices, {"gpu-0": {f"slice-{s}": 1 for s in range(mig_streams.SLICES)}})


def counted(hardware, unit, usage=NOTHING):
    return count_plan.plan(hardware, unit, by_name).count_on(hardware, usage)


def test_whole_devices_are_those_that_suit_and_are_free():
    hardware = machine([gpu("gpu-0"), gpu("gpu-1"), gpu("gpu-2"), gpu("nic-0")])
    assert counted(hardware, ask("gpu"), Usage(taken=0b001)) == count_plan.UnitCount(2, 2.0)


def test_shares_count_how_many_more_and_how_much_is_left_where_one_fits():
    capacity = {"milli": Capacity(1000)}
    devices = [
        Device(DRIVER, f"gpu-{n}", {}, capacity, allow_multiple_allocations=True, kind=Kind.GPU)
        for n in range(2)
    ]
    usage = Usage(shared=((0, (("milli", 700),)), (1, (("milli", 200),))))
    found = counted(machine(devices), ask("gpu", milli=400), usage)
    assert found == count_plan.UnitCount(2, 0.8)


@pytest.mark.parametrize("taken", [[], ["1g.10gb-at-0"], ["3g.40gb-at-4"], ["2g.20gb-at-2"]])
@pytest.mark.parametrize(
    "profile", range(len(mig_streams.PROFILES)), ids=[p[0] for p in mig_streams.PROFILES]
)
def test_partitions_count_their_legal_placements(taken, profile):
    hardware = mig_machine()
    names = [device.name for device in hardware.devices]
    used, mask = 0, 0
    for name in taken:
        used |= 1 << names.index(name)
        own, start = name.split("-at-")
        size = next(size for other, size, _ in mig_streams.PROFILES if other == own)
        mask |= mig_streams.window(size, int(start))
    found = counted(hardware, ask(mig_streams.PROFILES[profile][0]), Usage(taken=used))
    assert found.count == mig_streams.LEGAL[mask, profile].sum()


def test_counters_drawn_by_devices_of_other_nodes_close_placements():
    hardware = mig_machine()
    elsewhere = Usage(drawn=((0, "gpu-0", "slice-7", 1),))
    assert counted(hardware, ask("3g.40gb"), elsewhere).count == 1
    assert counted(hardware, ask("7g.80gb"), elsewhere).count == 0


def test_units_of_a_plugin_are_what_is_not_held():
    hardware = Shape(resources=(PluginResource("nvidia.com/gpu", 8, kind=Kind.GPU, share=0.5),))
    unit = Query(extended=(("nvidia.com/gpu", 1),))
    assert counted(hardware, unit, Usage(held=(3,))) == count_plan.UnitCount(5, 2.5)
    assert counted(hardware, unit, Usage(held=(9,))) == count_plan.UnitCount(0, 0.0)


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param(ask("gpu", count=2), id="several devices"),
        pytest.param(Query(claims=(ClaimDemand(()), ClaimDemand(()))), id="two claims"),
    ],
)
def test_what_only_placing_tells_has_no_plan(unit):
    assert count_plan.plan(machine([gpu("gpu-0"), gpu("gpu-1")]), unit, by_name) is None


@pytest.mark.parametrize(
    ("hardware", "usage", "expected"),
    [
        pytest.param(
            machine([gpu("gpu-0"), gpu("gpu-1"), Device(DRIVER, "nic-0", {}, {}, kind=Kind.NIC)]),
            Usage(taken=0b001),
            1,
            id="plain GPUs, of any name, and no NICs",
        ),
        pytest.param(
            machine(
                [
                    Device(
                        DRIVER,
                        f"gpu-{number}",
                        {},
                        {"milli": Capacity(1000)},
                        allow_multiple_allocations=True,
                        kind=Kind.GPU,
                    )
                    for number in range(3)
                ]
            ),
            Usage(shared=((1, (("milli", 1),)),)),
            2,
            id="shared GPUs that nobody has a part of",
        ),
        pytest.param(
            Shape(resources=(PluginResource("nvidia.com/gpu", 8, kind=Kind.GPU, share=1.0),)),
            Usage(held=(3,)),
            5,
            id="units of a plug-in",
        ),
        pytest.param(
            Shape(resources=(PluginResource("nvidia.com/gpu", 8, kind=Kind.GPU, share=0.5),)),
            NOTHING,
            0,
            id="shares are no whole GPUs",
        ),
        pytest.param(mig_machine(), NOTHING, 0, id="partitions are no whole GPUs"),
    ],
)
def test_whole_gpus_are_counted_however_they_are_published(hardware, usage, expected):
    found = count_plan.plan_whole_gpus(hardware).count_on(hardware, usage)
    assert found == count_plan.UnitCount(expected, float(expected))
