"""A pod's claims laid over one shape: what does not depend on what is in use.

Selectors are judged lazily, device by device, as the search comes by: an expression that would
fail on a device behind the solution must not be asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from extender.demand import requests, work
from extender.demand.allocator import capacity, constraints, outcome
from extender.hardware import allocator_features, shape
from extender.kube.api import objects

# resource/v1 AllocationResultsMaxSize: devices in one claim.
MOST_DEVICES = 32

# What a selector costs, in steps of the search: to judge a device, and to compile it first.
_JUDGING, _COMPILING = 1, 20
# So many judgements may be made ahead of the search, to save it work.
_MOST_AHEAD = 4_000

# Devices that an option does not admit and that one unit of work passes over; one that it does
# admit is a unit of its own.
_PASSED = 8
# Units for a device that is looked at for the first time, its rules and capacities, and for each
# selector; for one of which the selectors alone are asked.
_FIRST, _PER_SELECTOR, _SELECTING = 4, 1, 2
# Tolerations that one unit compares with a device's taints.
_TOLERATIONS = 4

# Bytes: of an option, of one thing known of a device, and of a pick or what it takes.
_OPTION, _KNOWN, _PICK = 1200, 60, 250

_BLOCKING = {"NoSchedule", "NoExecute"}


class DeviceSelectors(Protocol):
    """What is asked of the CEL engine (extender.demand.selectors)."""

    def matches(self, expression: str, device: shape.Device) -> bool:
        """Judge a device; SelectorError as upstream, UnknownSelectorError where we cannot."""


class Option:
    """One choice of one request, and what is known of each device for it."""

    def __init__(
        self,
        claim: int,
        request: requests.Request,
        choice: requests.DeviceChoice,
        demand: requests.ClaimDemand,
    ) -> None:
        self.claim = claim
        self.request = request.name
        self.choice = choice
        self.every = choice.mode == requests.ALL
        # Positions in the claim's constraints of those that this choice falls under.
        self.constraints = tuple(
            number
            for number, constraint in enumerate(demand.constraints)
            if not constraint.requests
            or request.name in constraint.requests
            or choice.name in constraint.requests
        )
        self.possible = -1  # devices not known to be inadmissible, as bits; set by Prepared
        self.asked = dict(choice.capacity)
        self.admitted: dict[int, bool] = {}  # device → selectors and node rule
        self.tolerated: dict[int, bool] = {}  # device → taints
        self.wanted: dict[int, dict[str, int] | None] = {}  # device → capacity taken
        self.fits_empty: dict[int, bool] = {}  # device → capacity, while nobody shares it
        self.picks: dict[int, outcome.Pick] = {}  # device → pick of it as a whole
        # Over all devices, as bits; None until somebody asks.
        self.all_admitted: int | None = None
        self.all_welcome: int | None = None
        self.similar: int | None = None  # what the class alone selects
        self.roomy: int | None = None  # those that would do on an unused machine
        self.lack_when_empty: str | None = None  # the cause there; see `unschedulable`
        self.sound: bool | None = None  # `deadends.sound`
        self.plain: bool | None = None  # `solutions`: only taken devices matter

    @property
    def bytes(self) -> int:
        """What its memories take, about."""
        known = len(self.admitted) + len(self.tolerated) + len(self.fits_empty)
        return _KNOWN * known + _PICK * (len(self.picks) + len(self.wanted))


class ClaimsOnShape:
    """The claims over the shape; memos in it fill as searches go on, and serve the next one."""

    def __init__(
        self,
        machine: shape.Shape,
        claims: tuple[requests.ClaimDemand, ...],
        *,
        selectors: DeviceSelectors,
        features: allocator_features.AllocatorFeatures,
        spending: work.Work | None = None,
    ) -> None:
        self.work = spending or work.Work()
        self.machine = machine
        self.claims = claims
        self.features = features
        self._selectors = selectors
        self.options = tuple(
            _options(*each) for each in enumerate(claims)
        )  # claim → request → choice
        self.count = max((pool.stop for pool in machine.pools), default=0)  # DRA devices
        self.pool_of = tuple(
            index for index, p in enumerate(machine.pools) for _ in range(p.start, p.stop)
        )
        self.judging = 0  # the cost of all selectors asked so far, in steps
        self._compiled: set[str] = set()
        texts = [text for option in self.each_option() for text in option.choice.selectors]
        # Whether all selectors may be asked about all devices without looking at the budget.
        self.cheap = len(texts) * self.count + _COMPILING * len(set(texts)) <= _MOST_AHEAD
        for option in self.each_option():
            option.possible = (1 << self.count) - 1
        # 1.34 fails when the walk comes to an invalid pool; None where there is no such pool.
        self.wall = _wall(machine) if features.mixed_slices else None
        self._totals: dict[int, dict[tuple[str, str], int]] = {}
        self._draws: dict[int, tuple[tuple[tuple[str, str], int], ...]] = {}
        # The devices that draw counters, as bits.
        self.drawing = _drawing(machine, self.count) if features.partitionable else 0
        # Devices that nothing here tells apart, as sets of bits; None until somebody asks.
        self.alike: tuple[int, ...] | None = None
        # constraint → device → value
        self._values: dict[requests.Constraint, dict[int, shape.Value | None]] = {}
        self._with_value: dict[requests.Constraint, tuple[int, ...]] = {}

    @property
    def bytes(self) -> int:
        """What is known of the devices takes, about."""
        return sum(_OPTION + option.bytes for option in self.each_option())

    def each_option(self) -> Iterator[Option]:
        """Yield the options of all requests of all claims, in order."""
        for claim in self.options:
            for choices in claim:
                yield from choices

    def charge_all(self, *options: Option) -> None:
        """Charge for a look at all devices for each option; SpentError where nothing is left."""
        self.work.check()
        for option in options:
            admitted = option.all_admitted
            if admitted is None:
                many = self.count * (_FIRST + _PER_SELECTOR * len(option.choice.selectors))
            else:
                many = admitted.bit_count()
            self.work.spend(self.count // _PASSED + many)

    def admits(self, option: Option, device: int) -> bool:
        """Whether class and request select the device, and it is for this node.

        Raises what the selectors raise.
        """
        known = option.admitted.get(device)
        if known is None:
            body = self.machine.devices[device]
            known = self._judged(option, body)
            option.admitted[device] = known
        return known

    def admitted(self, option: Option) -> int:
        """All devices that `admits`, as bits; raises what the selectors raise."""
        if option.all_admitted is None:
            new = self.count - len(option.admitted)
            self.work.spend(self.count // _PASSED + _SELECTING * new)
            option.all_admitted = sum(
                1 << device for device in range(self.count) if self.admits(option, device)
            )
        return option.all_admitted

    def welcome(self, option: Option) -> int:
        """The devices whose taints are tolerated and whose kind of device is known, as bits."""
        if option.all_welcome is None:
            self.work.check()
            self.work.spend(self.count * (1 + len(option.choice.tolerations) // _TOLERATIONS))
            option.all_welcome = sum(
                1 << device
                for device in range(self.count)
                if (not self.features.device_taints or self.tolerates(option, device))
                and (
                    self.features.partitionable
                    or not self.machine.devices[device].consumes_counters
                )
            )
        return option.all_welcome

    def totals(self, pool: int) -> dict[tuple[str, str], int]:
        """The counters of a pool: (counter set, counter) → nano units. Not to be changed."""
        known = self._totals.get(pool)
        if known is None:
            known = self._totals[pool] = {
                (counter_set, counter): amount
                for counter_set, counters in self.machine.pools[pool].counters.items()
                for counter, amount in counters.items()
            }
        return known

    def draws(self, device: int) -> tuple[tuple[tuple[str, str], int], ...]:
        """The counters that the device draws: (counter set, counter), nano units."""
        known = self._draws.get(device)
        if known is None:
            total: dict[tuple[str, str], int] = {}
            for counter_set, counters in self.machine.devices[device].consumes_counters:
                for counter, amount in counters:
                    key = (counter_set, counter)
                    total[key] = total.get(key, 0) + amount
            known = self._draws[device] = tuple(total.items())
        return known

    def fits_empty(self, option: Option, device: int) -> bool:
        """Whether the capacities cover what the option takes of a device that nobody shares."""
        known = option.fits_empty.get(device)
        if known is None:
            known = option.fits_empty[device] = self.has_capacity(option, device, {})
        return known

    def _judged(self, option: Option, body: shape.Device) -> bool:
        if body.binding_conditions and not self.features.binding_conditions:
            return False
        return all(self._matches(text, body) for text in option.choice.selectors) and (
            body.selectable
        )

    def _matches(self, text: str, body: shape.Device) -> bool:
        before, new = self.judging, text not in self._compiled
        self.judging += _JUDGING
        if new:
            self._compiled.add(text)
            self.judging += _COMPILING
        try:
            return self._selectors.matches(text, body)
        except work.SpentError:  # it is asked again, and counts once
            self.judging = before
            if new:
                self._compiled.discard(text)
            raise

    def passes(self, expressions: Iterable[str], device: int) -> bool:
        """Whether all these selectors match; raises what the selectors raise."""
        body = self.machine.devices[device]
        return all(self._selectors.matches(text, body) for text in expressions)

    def tolerates(self, option: Option, device: int) -> bool:
        """Whether the request tolerates the device's taints."""
        known = option.tolerated.get(device)
        if known is None:
            every = self.features.mixed_slices  # 1.34: any effect repels
            known = option.tolerated[device] = all(
                any(_tolerates(t, taint) for t in option.choice.tolerations)
                for taint in self.machine.devices[device].taints
                if every or taint.effect in _BLOCKING
            )
        return known

    def takes(self, option: Option, device: int) -> dict[str, int] | None:
        """What the request takes of the device's capacities; None where its policy refuses."""
        if device not in option.wanted:
            option.wanted[device] = capacity.wanted(
                option.asked, self.machine.devices[device], features=self.features
            )
        return option.wanted[device]

    def has_capacity(self, option: Option, device: int, used: Mapping[str, int]) -> bool:
        """Whether the capacities cover what the option takes beside what is used."""
        takes = self.takes(option, device)
        return takes is not None and capacity.fits(takes, self.machine.devices[device], used, {})

    def value(self, constraint: requests.Constraint, device: int) -> shape.Value | None:
        """The device's value of a constraint's attribute, None where it has none."""
        known = self._values.setdefault(constraint, {})
        if device not in known:
            found = constraints.lookup(constraint.attribute, self.machine.devices[device])
            if self.features.mixed_slices and constraint.distinct and found:
                # 1.34 compares where values are stored, so only a device equals itself.
                found = found if isinstance(found[1], tuple) else (found[0], device)
            known[device] = found
        return known[device]

    def with_value(self, constraint: requests.Constraint) -> tuple[int, ...]:
        """The devices with each value of the attribute, as bits; one with a list has several."""
        known = self._with_value.get(constraint)
        if known is None:
            masks: dict[object, int] = {}
            for device in range(self.count):
                for member in _members(self.value(constraint, device)):
                    masks[member] = masks.get(member, 0) | 1 << device
            known = self._with_value[constraint] = tuple(masks.values())
        return known

    def shares(self, device: int) -> bool:
        """Whether the device may be allocated several times."""
        return (
            self.features.consumable_capacity
            and self.machine.devices[device].allow_multiple_allocations
        )


def _options(number: int, demand: requests.ClaimDemand) -> tuple[tuple[Option, ...], ...]:
    """The choices of each of the claim's requests."""
    return tuple(
        tuple(Option(number, request, choice, demand) for choice in request.choices)
        for request in demand.requests
    )


def _members(value: shape.Value | None) -> tuple[object, ...]:
    """The values of a list, or the one value."""
    if value is None:
        return ()
    return value[1] if isinstance(value[1], tuple) else (value,)


def _drawing(machine: shape.Shape, count: int) -> int:
    return sum(1 << d for d, each in enumerate(machine.devices[:count]) if each.consumes_counters)


def _wall(machine: shape.Shape) -> int | None:
    starts = [pool.start for pool in machine.pools if pool.broken is shape.Broken.INVALID]
    return min(starts, default=None)


def _tolerates(toleration: objects.DeviceToleration, taint: objects.DeviceTaint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return toleration.operator in {"", "Equal"} and toleration.value == taint.value
