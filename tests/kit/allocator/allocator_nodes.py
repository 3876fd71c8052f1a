"""Small machines and claims, one line each, for the tests of the allocator."""

from __future__ import annotations

from extender import errors
from extender.demand import requests
from extender.demand.allocator import allocator
from extender.hardware import allocator_features, shape
from extender.hardware.dra import slices
from extender.hardware.usage import NOTHING
from tests.kit import builders

ROOT = "resource.kubernetes.io/pcieRoot"
NEWEST = allocator_features.features_of("1.37")


class Drivers:
    """Judges `device.driver == "…"`; "broken" fails, "beyond" is beyond us."""

    def __init__(self):
        self.asked = []

    def matches(self, expression, device):
        self.asked.append((expression, device.name))
        if expression == "broken":
            raise errors.SelectorError("no such key")
        if expression == "beyond":
            raise errors.UnknownSelectorError("too costly")
        if expression.startswith("not "):
            return device.name != expression[4:]
        return expression == device.driver


def machine_of(*builders_, features=NEWEST):
    found = slices.inventory(
        "n1", {}, [b.obj() for b in builders_], features=features, interner=slices.Interner()
    )
    return shape.Shape(devices=found.devices, pools=found.pools)


def eight(driver="gpu", **more):
    slice_ = builders.make_slice(driver, driver).on("n1")
    for number in range(8):
        slice_.device(f"{driver}-{number}", pcieRoot=f"p{number // 2}", **more)
    return slice_


def choice(name="r", *, count=1, selectors=("gpu",), **more):
    return requests.DeviceChoice(name, "class", selectors, count=count, **more)


def claim(*choices, constraints=()):
    asked = tuple(requests.Request(c.name, (c,)) for c in choices)
    return requests.ClaimDemand(asked, tuple(constraints))


def first_of(name, *choices):
    return requests.Request(name, choices, prioritized=True)


def allocate(machine, *claims, usage=NOTHING, features=NEWEST, selectors=None, **more):
    return allocator.allocate(
        machine,
        usage,
        claims,
        selectors=selectors or Drivers(),
        features=features,
        **{"budget": 10_000} | more,
    )


def devices(answer):
    return [pick.device for pick in answer.picks]
