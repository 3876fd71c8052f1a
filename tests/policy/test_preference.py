"""What a placement wastes, and how a pod ranks its choices."""

import dataclasses

import pytest

from extender.demand.allocator.outcome import Pick
from extender.demand.requests import ClaimDemand, DeviceChoice, Request
from extender.hardware.shape import Kind, PluginResource, Shape
from extender.kube.api import objects
from extender.policy import health_signals, preference
from tests.kit.rigs.preference_nodes import machine


@pytest.mark.parametrize(
    ("hardware", "devices", "expected"),
    [
        pytest.param(machine(8, linked=8), (0,), 7 / 8, id="one of eight"),
        pytest.param(machine(8, linked=4), (0, 1), 1 / 2, id="two of an island of four"),
        pytest.param(machine(8, linked=8), tuple(range(8)), 0.0, id="all of them"),
        pytest.param(machine(8), (0,), 0.0, id="no NVLink"),
        pytest.param(machine(1, nics=2, linked=1), (1, 2), 0.0, id="no GPU asked"),
        pytest.param(machine(1), (), 0.0, id="nothing asked"),
    ],
)
def test_the_part_of_an_nvlink_island_that_stays_unused_is_wasted(hardware, devices, expected):
    assert preference.wasted(hardware, devices) == pytest.approx(expected)


def with_taint(key, effect):
    return machine(1, taints=(objects.DeviceTaint(key=key, effect=effect),)).devices[0]


def test_tainted_devices_count_by_their_share():
    taint = objects.DeviceTaint(key="sick", effect="NoSchedule")
    sick, sound = machine(2, taints=(taint,)), machine(2)
    half = dataclasses.replace(sound, devices=(sick.devices[0], sound.devices[1]))

    assert preference.tainted(sick, (0, 1)) == 2 * preference.tainted(half, (0, 1)) > 1
    assert preference.tainted(half, (1,)) == 0.0
    assert preference.tainted(sound, ()) == 0.0


def test_taints_are_weighed_by_their_key_and_effect():
    costs = [
        health_signals.tainted([with_taint(f"gpu.nvidia.com/{key}", effect)])
        for key, effect in [
            ("unmonitored", "None"),
            ("xid", "None"),
            ("xid", "NoSchedule"),
            ("gpu-lost", "NoSchedule"),
        ]
    ]

    assert costs == sorted(set(costs))
    assert costs[-1] == preference.UNFIT
    effects = [
        health_signals.tainted([with_taint("a", e)]) for e in ("None", "NoSchedule", "NoExecute")
    ]
    assert effects == sorted(set(effects))


def test_one_lost_gpu_of_eight_fails_the_whole_job():
    lost = with_taint("gpu.nvidia.com/gpu-lost", "NoSchedule")

    assert health_signals.tainted([lost, *machine(7).devices]) == preference.UNFIT


@pytest.mark.parametrize("shares", [1, 2, 10, 56])
def test_a_share_is_no_whole_gpu_to_a_pod_that_asks_for_one(shares):
    resource = PluginResource(
        "nvidia.com/gpu", 8, kind=Kind.GPU, share=1 / shares, named_whole=True
    )
    asked = [("nvidia.com/gpu", 1)]

    cost = preference.shared(Shape(resources=(resource,)), asked)

    assert (cost > 1) == (shares > 1)
    assert preference.shared(Shape(resources=(resource,)), [("amd.com/gpu", 1)]) == 0.0
    renamed = dataclasses.replace(resource, name="nvidia.com/gpu.shared", named_whole=False)
    assert preference.shared(Shape(resources=(renamed,)), [("nvidia.com/gpu.shared", 1)]) == 0.0


def test_each_later_choice_costs_more_than_nvlink_and_less_than_a_broken_node():
    costs = [preference.out_of_order(rank) for rank in range(9)]

    assert costs[0] == 0.0
    assert costs == sorted(set(costs))
    assert costs[1] > 1  # the most that an unused NVLink island costs
    assert costs[-1] < preference.UNFIT


def test_the_rank_of_choices_is_counted_over_all_prioritized_requests():
    choices = tuple(DeviceChoice(f"r/{n}", "gpu") for n in range(3))
    other = tuple(DeviceChoice(f"s/{n}", "gpu") for n in range(2))
    plain = Request("t", (DeviceChoice("t", "gpu"),))
    claims = [
        ClaimDemand((Request("r", choices, prioritized=True), plain)),
        ClaimDemand((Request("s", other, prioritized=True),)),
    ]
    picks = [Pick(0, "r/2", 0), Pick(0, "r/2", 1), Pick(0, "t", 2), Pick(1, "s/1", 3)]

    assert preference.later_choices(claims, picks) == 3
    assert preference.later_choices(claims, [Pick(0, "r/0", 0), Pick(1, "s/0", 1)]) == 0
