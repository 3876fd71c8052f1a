"""How much capacity a request takes of a device, after the device's request policy.

Amounts are in nano units. Source: k8s.io/dynamic-resource-allocation consumable_capacity.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from extender import errors
from extender.hardware import allocator_features, shape
from extender.kube.api import quantity

_MILLI = quantity.NANO // 1000
_MOST = 2**63 - 1


def wanted(
    asked: Mapping[str, int],  # capacity name → nano units
    device: shape.Device,
    *,
    features: allocator_features.AllocatorFeatures,
) -> dict[str, int] | None:
    """Return what a request takes of every capacity of the device; None where that cannot be.

    A request for nothing in particular takes the policy's default, or all there is. Raises
    errors.ClaimError for amounts that upstream refuses to count with.
    """
    if any(name not in device.capacity for name in asked):
        return None
    taken = {}
    for name, capacity in device.capacity.items():
        amount = _rounded(asked.get(name), capacity, features)
        if amount < 0 and not features.unchecked_capacity:
            raise errors.ClaimError(f"capacity {name}: value is negative")
        taken[name] = amount
    if any(
        _violates(amount, device.capacity[name].policy, features) for name, amount in taken.items()
    ):
        return None
    return taken


def fits(
    taken: Mapping[str, int],
    device: shape.Device,
    used: Mapping[str, int],
    allocating: Mapping[str, int],
) -> bool:
    """Whether `taken` fits beside what is used in the cluster and by this pod."""
    return all(
        used.get(name, 0) + amount + allocating.get(name, 0) <= device.capacity[name].value
        for name, amount in taken.items()
    )


def _rounded(
    asked: int | None, capacity: shape.Capacity, features: allocator_features.AllocatorFeatures
) -> int:
    policy = capacity.policy
    if asked is None:
        return policy.default if policy and policy.default is not None else capacity.value
    if policy is None:
        return asked
    if policy.minimum is None:
        return next((value for value in policy.valid_values if asked <= value), asked)
    if asked < policy.minimum:
        return policy.minimum
    return asked if policy.step is None else _next_step(asked, policy, features)


def _next_step(
    asked: int, policy: shape.RequestPolicy, features: allocator_features.AllocatorFeatures
) -> int:
    """The next `minimum + n * step`, counted in the unit of the range."""
    unit = _unit(policy, features)
    low, stride = _bounds(policy, unit)
    if features.unchecked_capacity:
        over = _wrapped(_wrapped(_up(asked, unit)) - low)
        count = -(-over // stride) if over >= 0 else _toward_zero(over, stride)
        return _wrapped(low + _wrapped(stride * count)) * unit
    rounded = low + -(-(_up(asked, unit) - low) // stride) * stride
    if rounded > _MOST or (unit < quantity.NANO and asked % unit):
        raise errors.ClaimError("capacity request cannot be represented in the device's range")
    return rounded * unit


def _toward_zero(over: int, stride: int) -> int:
    """Upstream's division of a negative number: toward zero, then one up if there is a rest."""
    whole = -(-over // stride)
    return whole + 1 if -over % stride else whole


def _violates(
    amount: int, policy: shape.RequestPolicy | None, features: allocator_features.AllocatorFeatures
) -> bool:
    if policy is None or amount == policy.default:
        return False
    if policy.minimum is None and policy.maximum is None and policy.step is None:
        return bool(policy.valid_values) and amount not in policy.valid_values
    if policy.maximum is not None and amount > policy.maximum:
        return True
    if policy.step is None:
        return False
    unit = _unit(policy, features)
    low, stride = _bounds(policy, unit)
    if unit < quantity.NANO and amount % unit:
        return True
    return (_wrapped(_wrapped(_up(amount, unit)) - low)) % stride != 0


def _unit(policy: shape.RequestPolicy, features: allocator_features.AllocatorFeatures) -> int:
    """The unit in which the steps of a range are counted: thousandths where they can be."""
    if features.whole_steps:
        return quantity.NANO
    bounds = (policy.minimum, policy.maximum, policy.step)
    in_milli = all(b is None or (b % _MILLI == 0 and b // _MILLI <= _MOST) for b in bounds)
    return _MILLI if in_milli else quantity.NANO


def _bounds(policy: shape.RequestPolicy, unit: int) -> tuple[int, int]:
    """The range's minimum and step in the unit; the API lets no step be zero."""
    return _up(policy.minimum or 0, unit), max(1, _up(policy.step or 0, unit))


def _up(amount: int, unit: int) -> int:
    return -(-amount // unit)


def _wrapped(number: int) -> int:
    """The number as 64 bits hold it."""
    return (number + 2**63) % 2**64 - 2**63
