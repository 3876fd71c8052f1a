"""A no says what stands in the way."""

from __future__ import annotations

import pytest

from extender.demand import requests
from extender.demand.allocator import unschedulable
from extender.hardware.usage import NOTHING, Usage
from tests.kit import builders
from tests.kit.allocator.allocator_nodes import ROOT, allocate, choice, claim, eight, machine_of


@pytest.mark.parametrize(
    ("demand", "usage", "why", "request_"),
    [
        pytest.param(
            claim(choice(selectors=("tpu",))),
            NOTHING,
            unschedulable.NO_DEVICE,
            "r",
            id="no such device",
        ),
        pytest.param(
            claim(choice(count=9)),
            NOTHING,
            unschedulable.NO_DEVICE,
            "r",
            id="too few devices",
        ),
        pytest.param(
            claim(choice("a"), choice("b", count=8)),
            Usage(1),
            unschedulable.IN_USE,
            "b",
            id="taken",
        ),
        pytest.param(
            claim(choice(capacity=(("memory", 10**9),))),
            NOTHING,
            unschedulable.CAPACITY,
            "r",
            id="capacity",
        ),
        pytest.param(
            claim(choice("a", count=5), choice("b", count=5)),
            NOTHING,
            unschedulable.TOGETHER,
            "",
            id="both",
        ),
        pytest.param(
            claim(choice(count=3), constraints=[requests.Constraint((), ROOT)]),
            NOTHING,
            unschedulable.CONSTRAINT,
            "",
            id="constraint",
        ),
    ],
)
def test_a_no_says_what_stands_in_the_way(demand, usage, why, request_):
    answer = allocate(machine_of(eight()), demand, usage=usage)
    assert (answer.why, answer.request) == (why, request_)


def test_a_no_tells_of_taints_and_counters():
    repels = [{"key": "k", "value": "v", "effect": "NoSchedule"}]
    assert (
        allocate(
            machine_of(eight(taints=repels)),
            claim(choice()),
        ).why
        == unschedulable.TAINTED
    )
    gpus = eight(consumes={"c": {"m": "2"}}).pool("n1", slices=2)
    counters = (
        builders.make_slice("sets", "gpu").on("n1").pool("n1", slices=2).counters(c={"m": "3"})
    )
    assert (
        allocate(
            machine_of(gpus, counters),
            claim(choice(count=2)),
        ).why
        == unschedulable.COUNTERS
    )
