"""Why devices cannot give a claim the share of their capacity that it requests, in words."""

from __future__ import annotations

from collections.abc import Mapping

from extender.demand.allocator import capacity
from extender.demand.allocator.claims_on_shape import ClaimsOnShape
from extender.demand.allocator.unschedulable import Candidates
from extender.hardware import bitmask
from extender.hardware.shape import Device
from extender.hardware.usage import Usage
from extender.verdicts import query as queries
from extender.verdicts import selector_words
from extender.verdicts.reasons import ReasonText


def too_little_capacity(
    prepared: ClaimsOnShape, usage: Usage, culprit: Candidates, *, needs: str, word: str
) -> str:
    """The reason where the devices of a request are too small, too full, or lack the capacity.

    `needs` is what the pod needs in words, and `word` what the devices are called.
    """
    there = {d: prepared.machine.devices[d] for d in bitmask.positions(culprit.tolerated)}
    requested = dict(culprit.choice.capacity)
    for name in requested:
        if not any(name in each.capacity for each in there.values()):
            names = {key.rpartition("/")[2] for each in there.values() for key in each.capacity}
            known = selector_words.listed(names) or "none"
            return ReasonText.CAPACITY_NAME.format(
                device=queries.one(word), capacity=name, names=known
            )
    takes: dict[int, Mapping[str, int]] = {}  # device → capacity → nano units, where it may give
    for number, device in there.items():
        if found := capacity.wanted(requested, device, features=prepared.features):
            takes[number] = found
    if not takes:
        name, nano = next(iter(requested.items()), ("", 0))
        return ReasonText.CAPACITY_POLICY.format(
            device=queries.one(word), amount=queries.amount(nano), capacity=name
        )
    return _shortest(usage, there, takes, requested, needs=needs, word=word)


def _shortest(
    usage: Usage,
    devices: Mapping[int, Device],
    takes: Mapping[int, Mapping[str, int]],  # device → capacity → nano units
    requested: Mapping[str, int],
    *,
    needs: str,
    word: str,
) -> str:
    """The reason by the capacity of which the fewest devices have enough."""
    used = {d: dict(amounts) for d, amounts in usage.shared}
    names = dict.fromkeys([*requested, *(name for each in takes.values() for name in each)])

    def left(number: int, name: str) -> int:
        return devices[number].capacity[name].value - used.get(number, {}).get(name, 0)

    able = {
        name: [d for d, each in takes.items() if name in each and each[name] <= left(d, name)]
        for name in names
    }
    name = min(names, key=lambda each: len(able[each]))  # of equal ones the first requested
    having = [d for d, each in takes.items() if name in each]
    need = max(takes[d][name] for d in having)
    total = max(devices[d].capacity[name].value for d in having)
    most = max(left(d, name) for d in having)
    words = {"amount": queries.amount(need), "capacity": name.rpartition("/")[2]}
    if able[name]:
        verb = "has" if len(able[name]) == 1 else "have"
        count = f"{len(able[name])} of {queries.counted(len(devices), word)} {verb}"
        return ReasonText.FEW_WITH_CAPACITY.format(needs=needs, count=count, **words)
    words["device"] = queries.one(word)
    if need > total:
        return ReasonText.NO_CAPACITY.format(most=queries.amount(total), **words)
    return ReasonText.NO_CAPACITY_LEFT.format(
        total=queries.amount(total), most=queries.amount(max(most, 0)), **words
    )
