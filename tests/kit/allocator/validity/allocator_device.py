"""What one request may take of one device: the rules of the API for a vector's JSON.

Part of the validity check; shares no code with the product's allocator.
"""

from __future__ import annotations

from typing import Any

from extender.kube.api import quantity

Json = dict[str, Any]
BLOCKING = ("NoSchedule", "NoExecute")


def nanos(amounts: Json | None) -> dict[str, int]:
    return {name: quantity.nano(amount) for name, amount in (amounts or {}).items()}


def totals(device: Json) -> list[tuple[str, int]]:
    capacity = device.get("capacity") or {}
    return [(name, quantity.nano(item["value"])) for name, item in capacity.items()]


def tainted(device: Json, choice: Json) -> bool:
    return any(
        taint["effect"] in BLOCKING
        and not any(_tolerates(item, taint) for item in choice.get("tolerations") or ())
        for taint in device.get("taints") or ()
    )


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    exists = toleration.get("operator") == "Exists"
    return exists or toleration.get("value", "") == taint.get("value", "")


def attribute(
    device: Json, driver: str, name: str, *, lists: bool
) -> frozenset[tuple[str, Any]] | None:
    """Return the typed values of an attribute, or None where there are none.

    Without `lists` a list is a value of its own that equals no other, not even itself.
    """
    attributes = device.get("attributes") or {}
    domain, _, identifier = name.partition("/")
    found = attributes.get(name)
    if found is None and domain == driver:
        found = attributes.get(identifier)
    if found is None:
        return None
    ((kind, value),) = found.items()
    if not isinstance(value, list):
        return frozenset({(kind, value)})
    if not lists:
        return frozenset({(kind, id(value))})
    return frozenset((kind.removesuffix("s"), item) for item in value) or None


def wanted(choice: Json, device: Json, *, fractions: bool) -> dict[str, int] | None:
    """Return what the request takes of each capacity, or None where a policy forbids it.

    With `fractions` a range may have steps of less than one unit.
    """
    asked = nanos((choice.get("capacity") or {}).get("requests"))
    capacity = device.get("capacity") or {}
    if not set(asked) <= set(capacity):
        return None
    wanted = {}
    for name, item in capacity.items():
        amount = _amount(asked.get(name), item, fractions=fractions)
        if amount is None:
            return None
        wanted[name] = amount
    return wanted


def _amount(asked: int | None, capacity: Json, *, fractions: bool) -> int | None:
    total = quantity.nano(capacity["value"])
    policy = capacity.get("requestPolicy") or {}
    default = quantity.nano(policy["default"]) if "default" in policy else None
    if asked is None:
        return total if default is None else default
    if "validValues" in policy:
        valid = [quantity.nano(value) for value in policy["validValues"]]
        return min((value for value in valid if value >= asked), default=None)
    if "validRange" not in policy:
        return asked
    amount = _in_range(asked, policy["validRange"], fractions=fractions)
    high = quantity.nano(policy["validRange"].get("max", f"{amount}n"))
    return amount if amount <= high or amount == default else None


def _in_range(asked: int, valid: Json, *, fractions: bool) -> int:
    low = quantity.nano(valid["min"])
    if asked <= low or "step" not in valid:
        return max(asked, low)
    # Older versions count in whole units, and round each part up to one.
    unit = quantity.NANO // 1000 if fractions else quantity.NANO
    start, step, goal = (-(-nano // unit) for nano in (low, quantity.nano(valid["step"]), asked))
    return (start + -(-(goal - start) // step) * step) * unit
