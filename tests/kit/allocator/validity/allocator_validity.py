"""Check an allocation against every rule of the API, whatever search found it.

Works on the vectors' JSON and shares no code with the allocator, so that both can be wrong only
independently: it judges a finished allocation, there is no order and no search in it.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

from extender.kube.api import quantity
from tests.kit.allocator.validity import allocator_device, allocator_node

Json = dict[str, Any]
Name = tuple[str, str, str]  # driver, pool, device
# (expression, driver, device) → does it hold; raises where upstream would fail
Matches = Callable[[str, str, Json], bool]

MOST_DEVICES = 32


def violations(
    case: Json, results: list[Json], *, matches: Matches, repeats: bool = False
) -> list[str]:
    """Return what is wrong with the `results` (one per claim) for the vector input `case`.

    An empty list means that the allocation keeps every rule. `repeats` lets one request hold
    several shares of one device, as up to 1.35. Whether mode All passes over a device that is
    used up is not judged: versions differ in it.
    """
    return _Check(case, results, matches, repeats).problems()


class _Check:
    def __init__(self, case: Json, results: list[Json], matches: Matches, repeats: bool) -> None:
        self._case = case
        self._repeats = repeats
        self._fractions = "DRAFractionalCapacityRange" in case["features"]
        self._features = set(case["features"])
        self._matches = matches
        self._claims = case["claims"]
        self._picks = [result["devices"].get("results") or [] for result in results]
        self._pools = allocator_node.pools_of(case)
        self._devices: dict[Name, tuple[Json, Json]] = {
            (*pool, device["name"]): (slice_, device)
            for pool, (slices, _) in self._pools.items()
            for slice_ in slices
            for device in slice_["spec"].get("devices") or ()
            if allocator_node.on_node(slice_, device, case["node"])
        }
        self._found: list[str] = []

    def problems(self) -> list[str]:
        if len(self._picks) != len(self._claims):
            return [f"{len(self._picks)} results for {len(self._claims)} claims"]
        for claim, picks in zip(self._claims, self._picks, strict=True):
            self._claim(claim, picks)
        if not self._found:
            self._exclusive()
            self._counters()
            self._shared_capacity()
        return self._found

    def _say(self, problem: str) -> None:
        self._found.append(problem)

    def _claim(self, claim: Json, picks: list[Json]) -> None:
        if len(picks) > MOST_DEVICES:
            self._say(f"{len(picks)} devices in one claim")
        by_request = collections.defaultdict(list)
        for pick in picks:
            by_request[pick["request"]].append(pick)
        for request in claim["spec"]["devices"]["requests"]:
            self._request(request, by_request)
        for name in by_request:
            self._say(f"devices for {name}, which nobody asked for")
        for constraint in claim["spec"]["devices"].get("constraints") or ():
            self._constraint(constraint, picks)

    def _request(self, request: Json, by_request: dict[str, list[Json]]) -> None:
        name = request["name"]
        if "firstAvailable" not in request:
            self._choice(request["exactly"], by_request.pop(name, []), admin=True)
            return
        used = [sub for sub in request["firstAvailable"] if f"{name}/{sub['name']}" in by_request]
        if len(used) != 1:
            self._say(f"{len(used)} choices of {name} are used")
        for sub in used:
            self._choice(sub, by_request.pop(f"{name}/{sub['name']}"), admin=False)

    def _choice(self, choice: Json, picks: list[Json], *, admin: bool) -> None:
        everything = choice.get("allocationMode") == "All"
        if not everything and len(picks) != choice.get("count", 1):
            self._say(f"{len(picks)} devices, not {choice.get('count', 1)}")
        names = [_name(pick) for pick in picks]
        if len(set(names)) < len(names) and not self._repeats:
            self._say("one device twice in one request")
        for pick in picks:
            if bool(pick.get("adminAccess")) != bool(admin and choice.get("adminAccess")):
                self._say(f"{_name(pick)}: wrong adminAccess")
            self._pick(choice, pick)
        if everything:
            self._all(choice, set(names))

    def _pick(self, choice: Json, pick: Json) -> None:
        found = self._devices.get(_name(pick))
        if found is None:
            self._say(f"{_name(pick)} is not on the node")
            return
        _, device = found
        if not self._selected(choice, pick["driver"], device):
            self._say(f"{_name(pick)} does not match the selectors")
        if "DRADeviceTaints" in self._features and allocator_device.tainted(device, choice):
            self._say(f"{_name(pick)} has a taint that is not tolerated")
        wanted = allocator_device.wanted(choice, device, fractions=self._fractions)
        if "DRAConsumableCapacity" in self._features:
            if wanted is None or any(
                wanted[name] > total for name, total in allocator_device.totals(device)
            ):
                self._say(f"{_name(pick)} cannot give the capacity")
            elif device.get("allowMultipleAllocations") and wanted != allocator_device.nanos(
                pick.get("consumedCapacity")
            ):
                self._say(f"{_name(pick)}: wrong consumedCapacity")
            elif device.get("allowMultipleAllocations") and not pick.get("shareID"):
                self._say(f"{_name(pick)}: no shareID")

    def _selected(self, choice: Json, driver: str, device: Json) -> bool:
        classes = {item["metadata"]["name"]: item for item in self._case["classes"]}
        chosen = classes[choice["deviceClassName"]]["spec"].get("selectors") or []
        selectors = [*chosen, *(choice.get("selectors") or ())]
        return all(self._matches(item["cel"]["expression"], driver, device) for item in selectors)

    def _all(self, choice: Json, picked: set[Name]) -> None:
        if any(state != "complete" for _, state in self._pools.values()):
            self._say("mode All beside an incomplete or invalid pool")
        if not picked:
            self._say("mode All without a device")
        in_use = {_identity(item) for item in self._case.get("allocatedCapacity") or ()}
        for name, (_, device) in self._devices.items():
            if name in picked or name in in_use or not self._usable(device):
                continue
            wanted = allocator_device.wanted(choice, device, fractions=self._fractions)
            roomy = wanted is not None and all(
                wanted[k] <= v for k, v in allocator_device.totals(device)
            )
            if (roomy or "DRAConsumableCapacity" not in self._features) and self._selected(
                choice, name[0], device
            ):
                self._say(f"mode All left {name} out")

    def _usable(self, device: Json) -> bool:
        gate = "DRADeviceBindingConditions+DRAResourceClaimDeviceStatus"
        return gate in self._features or not device.get("bindingConditions")

    def _constraint(self, constraint: Json, picks: list[Json]) -> None:
        requests = constraint.get("requests") or ()
        attribute = constraint.get("matchAttribute") or constraint.get("distinctAttribute")
        values = []
        lists = "DRAListTypeAttributes" in self._features
        for pick in picks:
            request = pick["request"]
            if requests and request not in requests and request.split("/")[0] not in requests:
                continue
            _, device = self._devices.get(_name(pick), (None, {}))
            values.append(
                allocator_device.attribute(device, pick["driver"], attribute, lists=lists)
            )
        if None in values:
            self._say(f"a device lacks {attribute}")
        elif "matchAttribute" in constraint:
            if values and not frozenset.intersection(*values):
                self._say(f"{attribute} differs")
        elif sum(map(len, values)) != len(set().union(*values)):
            self._say(f"{attribute} is not distinct")

    def _exclusive(self) -> None:
        taken = {_identity(item) for item in self._case.get("allocatedDevices") or ()}
        holders = collections.Counter()
        for picks in self._picks:
            here = collections.Counter()
            for pick in picks:
                name = _name(pick)
                if self._devices[name][1].get("allowMultipleAllocations"):
                    continue
                here[name] += 1
                if pick.get("adminAccess"):
                    continue
                holders[name] += 1
                if name in taken:
                    self._say(f"{name} is in use")
            for name, times in here.items():
                if times > 1:
                    self._say(f"one claim takes {name} {times} times")
        for name, times in holders.items():
            if times > 1:
                self._say(f"{name} is taken {times} times")

    def _counters(self) -> None:
        picked = {_name(pick) for picks in self._picks for pick in picks}
        lists = ("allocatedDevices", "allocatedSharedDeviceIDs")
        before = {_identity(item) for key in lists for item in self._case.get(key) or ()}
        for pool, (slices, _) in self._pools.items():
            totals = collections.Counter()
            for slice_ in slices:
                for group in slice_["spec"].get("sharedCounters") or ():
                    for counter, amount in group["counters"].items():
                        totals[group["name"], counter] += quantity.nano(amount["value"])
            drawn = False
            for slice_ in slices:
                for device in slice_["spec"].get("devices") or ():
                    name = (*pool, device["name"])
                    if name in picked | before and device.get("consumesCounters"):
                        drawn |= name in picked - before
                        for use in device["consumesCounters"]:
                            for counter, amount in use["counters"].items():
                                totals[use["counterSet"], counter] -= quantity.nano(amount["value"])
            if drawn and min(totals.values(), default=0) < 0:
                self._say(f"the counters of {pool} are overdrawn")

    def _shared_capacity(self) -> None:
        used: dict[Name, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for item in self._case.get("allocatedCapacity") or ():
            used[_identity(item)].update(allocator_device.nanos(item["Capacity"]))
        picks = [pick for picks in self._picks for pick in picks if pick.get("shareID")]
        for pick in picks:
            used[_name(pick)].update(allocator_device.nanos(pick.get("consumedCapacity")))
        for name in {_name(pick) for pick in picks}:
            if any(
                used[name][key] > total
                for key, total in allocator_device.totals(self._devices[name][1])
            ):
                self._say(f"the capacity of {name} is overdrawn")


def _name(pick: Json) -> Name:
    return pick["driver"], pick["pool"], pick["device"]


def _identity(item: Json) -> Name:
    return item["Driver"], item["Pool"], item["Device"]
