"""Claims are read as the allocator reads them, and refused where it fails the whole pod."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from extender import errors
from extender.demand import requests
from extender.hardware import versions
from extender.kube import objects
from tests import builders

NEWEST = versions.features_of("1.37")
CLASSES = {"gpu": builders.make_class("gpu", "class line", "second line").obj()}


def read(claim, *, features=NEWEST):
    spec = claim.obj().spec if hasattr(claim, "obj") else claim
    return requests.claim_demand(spec, CLASSES, features=features)


def raw(**devices):
    return msgspec.convert({"devices": devices}, objects.ResourceClaimSpec)


def asking(**more):
    return raw(requests=[{"name": "r", "exactly": {"deviceClassName": "gpu", **more}}])


def test_the_selectors_of_the_class_come_before_those_of_the_request():
    (request,) = read(builders.make_claim("c").request("r", "gpu", 2, selectors=["mine"])).requests
    assert request == requests.Request(
        "r", (requests.DeviceChoice("r", "gpu", ("class line", "second line", "mine"), count=2),)
    )


def test_choices_of_a_list_carry_the_names_that_results_have():
    (request,) = read(
        builders.make_claim("c").first_available("r", ("big", "gpu", 2), ("small", "gpu", 1))
    ).requests
    assert request.prioritized
    assert [(c.name, c.count) for c in request.choices] == [("r/big", 2), ("r/small", 1)]


def test_equal_claims_are_one_memo_key():
    one = asking(
        capacity={"requests": {"b": "1Gi", "a": "500m"}}, count=1, allocationMode="ExactCount"
    )
    two = asking(capacity={"requests": {"a": "0.5", "b": "1024Mi"}}, count=1)
    assert hash(read(one)) == hash(read(two))
    assert read(one) == read(two)
    assert read(one).requests[0].choices[0].capacity == (("a", 5 * 10**8), ("b", 2**30 * 10**9))


def test_constraints_are_read_with_their_requests():
    spec = raw(
        requests=[{"name": "r", "exactly": {"deviceClassName": "gpu"}}],
        constraints=[
            {"matchAttribute": "x.io/root", "requests": ["r"]},
            {"distinctAttribute": "x.io/root"},
        ],
    )
    assert read(spec).constraints == (
        requests.Constraint(("r",), "x.io/root"),
        requests.Constraint((), "x.io/root", distinct=True),
    )


@pytest.mark.parametrize(
    ("spec", "off", "message"),
    [
        pytest.param(asking(deviceClassName="gone"), "", "device class gone", id="unknown class"),
        pytest.param(asking(allocationMode="Some"), "", "count mode Some", id="unknown mode"),
        pytest.param(asking(selectors=[{}]), "", "selector #0", id="unknown selector"),
        pytest.param(raw(requests=[{"name": "r"}]), "", "request type", id="unknown request"),
        pytest.param(raw(constraints=[{}]), "", "constraint #0", id="unknown constraint"),
        pytest.param(
            asking(adminAccess=False), "admin_access", "admin access", id="admin access, gate off"
        ),
        pytest.param(
            asking(capacity={"requests": {"a": "1"}}),
            "consumable_capacity",
            "DRAConsumableCapacity",
            id="capacity, gate off",
        ),
        pytest.param(
            raw(
                requests=[
                    {"name": "r", "firstAvailable": [{"name": "s", "deviceClassName": "gpu"}]}
                ]
            ),
            "prioritized_list",
            "DRAPrioritizedList",
            id="list, gate off",
        ),
        pytest.param(
            raw(constraints=[{"distinctAttribute": "x.io/a"}]),
            "newer_variant",
            "constraint #0",
            id="distinctAttribute, older variant",
        ),
    ],
)
def test_what_the_allocator_does_not_know_fails_the_pod(spec, off, message):
    features = dataclasses.replace(NEWEST, **{off: False}) if off else NEWEST
    with pytest.raises(errors.ClaimError, match=message):
        read(spec, features=features)
    if off:
        read(spec)


def test_older_variants_pass_over_capacity_requests():
    old = versions.features_of("1.35")
    assert read(asking(capacity={"requests": {"a": "1"}}), features=old).requests
