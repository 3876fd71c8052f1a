"""What a request takes of a capacity follows the device's policy, as each version counts."""

from __future__ import annotations

import pytest

from extender import errors
from extender.demand.allocator import capacity
from extender.hardware import allocator_features, shape
from extender.kube.api import quantity

NEWEST = allocator_features.features_of("1.37")
WRAPPING = allocator_features.features_of("1.36")
MOST = 2**63 - 1


def device(value, **policy):
    known = {key: _nano(amount) for key, amount in policy.items()}
    amount = shape.Capacity(quantity.nano(value), shape.RequestPolicy(**known) if policy else None)
    return shape.Device("gpu", "gpu-0", {}, {"memory": amount})


def _nano(amount):
    return tuple(map(quantity.nano, amount)) if isinstance(amount, tuple) else quantity.nano(amount)


def taken(asked, body, features=NEWEST):
    wanted = {} if asked is None else {"memory": quantity.nano(asked)}
    found = capacity.wanted(wanted, body, features=features)
    return None if found is None else found["memory"]


@pytest.mark.parametrize(
    ("asked", "policy", "takes"),
    [
        pytest.param(None, {}, "10", id="nothing asked, no policy: all of it"),
        pytest.param(None, {"default": "3"}, "3", id="nothing asked: the default"),
        pytest.param("4", {}, "4", id="no policy: as asked"),
        pytest.param("1", {"minimum": "2"}, "2", id="below the minimum"),
        pytest.param("5", {"minimum": "2", "step": "2"}, "6", id="up to the next step"),
        pytest.param("6", {"minimum": "2", "step": "2"}, "6", id="on a step"),
        pytest.param("2.1", {"minimum": "2", "step": "500m"}, "2.5", id="fractional steps"),
        pytest.param("7", {"minimum": "2", "maximum": "6"}, None, id="above the maximum"),
        pytest.param("3", {"valid_values": ("2", "4")}, "4", id="the next listed value"),
        pytest.param("5", {"valid_values": ("2", "4")}, None, id="above all listed values"),
        pytest.param("9", {"default": "9", "maximum": "5"}, "9", id="the default is always fine"),
    ],
)
def test_the_policy_rounds_up_or_refuses(asked, policy, takes):
    assert taken(asked, device("10", **policy)) == (takes and quantity.nano(takes))


def test_up_to_1_36_steps_are_counted_in_whole_units():
    assert taken("2.1", device("10", minimum="2", step="500m"), WRAPPING) == quantity.nano("3")


def test_amounts_beyond_64_bits_wrap_around_or_are_refused():
    body = device("10", minimum="1", step="1")
    assert taken(str(MOST + 2), body, WRAPPING) < 0
    with pytest.raises(errors.ClaimError, match="represented"):
        taken(str(MOST + 2), body)


def test_a_capacity_that_the_device_lacks_refuses_it():
    assert capacity.wanted({"compute": 1}, device("10"), features=NEWEST) is None


def test_a_negative_amount_is_an_error_from_1_37_on():
    assert taken(None, device("-1"), WRAPPING) == quantity.nano("-1")
    with pytest.raises(errors.ClaimError, match="negative"):
        taken(None, device("-1"))


@pytest.mark.parametrize(
    ("used", "allocating", "room"),
    [
        pytest.param(0, 0, True, id="unused"),
        pytest.param(3, 3, True, id="just enough"),
        pytest.param(4, 3, False, id="used in the cluster and by the pod"),
    ],
)
def test_what_is_taken_adds_to_what_is_used(used, allocating, room):
    amounts = [{"memory": amount * 10**9} for amount in (4, used, allocating)]
    assert capacity.fits(amounts[0], device("10"), amounts[1], amounts[2]) is room
