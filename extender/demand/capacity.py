"""How much capacity a request takes of a device, after the device's request policy.

Amounts are in nano units. Source: k8s.io/dynamic-resource-allocation consumable_capacity.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from extender import errors
from extender.hardware import shape
from extender.kube import quantity

_MILLI = quantity.NANO // 1000
_MOST = 2**63 - 1


def wanted(
    asked: Mapping[str, int],  # capacity name → nano units
    device: shape.Device,
    *,
    whole_steps: bool,
) -> dict[str, int] | None:
    """Return what a request takes of every capacity of the device; None where that cannot be.

    A request for nothing in particular takes the policy's default, or all there is. `whole_steps`
    counts the steps of a range in whole units, as up to 1.36.
    """
    if any(name not in device.capacity for name in asked):
        return None
    taken = {}
    for name, capacity in device.capacity.items():
        amount = _rounded(asked.get(name), capacity, whole_steps=whole_steps)
        if amount < 0 and not whole_steps:
            raise errors.ClaimError(f"capacity {name}: value is negative")
        taken[name] = amount
    if any(
        _violates(amount, device.capacity[name].policy, whole_steps=whole_steps)
        for name, amount in taken.items()
    ):
        return None
    return taken


def fits(
    taken: Mapping[str, int],
    device: shape.Device,
    used: Mapping[str, int],
    allocating: Mapping[str, int],
) -> bool:
    """Whether there is room for `taken` beside what is used in the cluster and by this pod."""
    return all(
        used.get(name, 0) + amount + allocating.get(name, 0) <= device.capacity[name].value
        for name, amount in taken.items()
    )


def _rounded(asked: int | None, capacity: shape.Capacity, *, whole_steps: bool) -> int:
    policy = capacity.policy
    if asked is None:
        return policy.default if policy and policy.default is not None else capacity.value
    if policy is None:
        return asked
    if policy.minimum is not None:
        return _next_step(asked, policy.minimum, policy.step, _unit(policy, whole_steps))
    return next((value for value in policy.valid_values if asked <= value), asked)


def _next_step(asked: int, minimum: int, step: int | None, unit: int) -> int:
    if asked < minimum:
        return minimum
    if step is None:
        return asked
    low, stride = _up(minimum, unit), max(1, _up(step, unit))
    rounded = low + -(-(_up(asked, unit) - low) // stride) * stride
    if rounded > _MOST or (unit < quantity.NANO and asked % unit):
        raise errors.ClaimError("capacity request cannot be represented in the device's range")
    return rounded * unit


def _violates(amount: int, policy: shape.Policy | None, *, whole_steps: bool) -> bool:
    if policy is None or amount == policy.default:
        return False
    if policy.minimum is None and policy.maximum is None and policy.step is None:
        return bool(policy.valid_values) and amount not in policy.valid_values
    if policy.maximum is not None and amount > policy.maximum:
        return True
    if policy.step is None:
        return False
    unit = _unit(policy, whole_steps)
    low, stride = _up(policy.minimum or 0, unit), max(1, _up(policy.step, unit))
    if unit < quantity.NANO and amount % unit:
        return True
    return (_up(amount, unit) - low) % stride != 0


def _up(amount: int, unit: int) -> int:
    return -(-amount // unit)


def _unit(policy: shape.Policy, whole_steps: bool) -> int:
    """The unit in which the steps of a range are counted: thousandths where they can be."""
    if whole_steps:
        return quantity.NANO
    bounds = (policy.minimum, policy.maximum, policy.step)
    in_milli = all(b is None or (b % _MILLI == 0 and b // _MILLI <= _MOST) for b in bounds)
    return _MILLI if in_milli else quantity.NANO
