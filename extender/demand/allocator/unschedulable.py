"""Why claims do not fit: the cause, found after the search said no, and the devices it is about.

The search itself knows only that no combination works. The cause names the first request that
cannot be had even alone, and what stands in its way; `shortfall` adds which devices come close.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable

from extender import errors
from extender.demand.allocator import counters
from extender.demand.allocator.claims_on_shape import ClaimsOnShape, Option
from extender.demand.allocator.outcome import NoFit
from extender.demand.requests import DeviceChoice
from extender.hardware import bitmask
from extender.hardware.usage import NOTHING, Usage

NO_DEVICE = "no-device"  # the selectors admit too few devices of this node
TAINTED = "tainted"  # enough are admitted, but their taints are not tolerated
IN_USE = "in-use"  # enough would do, but others have them
CAPACITY = "capacity"  # enough are free, but not with that much capacity left
COUNTERS = "counters"  # enough are free, but what they share with others is used up
CONSTRAINT = "constraint"  # each request can be had, but not under the claim's constraints
TOGETHER = "together"  # each request can be had, but not all of them


# From the cause that is farthest from fitting to the nearest.
_ORDER = ("", NO_DEVICE, TAINTED, CAPACITY, IN_USE)

# Units of work to find what keeps one option from being had, and which devices come close.
_NEARING = 8

# A device that the search did not come to may not be judged at all.
UNJUDGEABLE = (errors.ClaimError, errors.SelectorError, errors.UnknownSelectorError)


@dataclasses.dataclass(frozen=True, slots=True)
class Candidates:
    """The devices for one request, as bits; from `admitted` on each set is within the one before.

    `similar` are those that its device class selects; where it selects none, those of the drivers
    that its selectors name, and `by_class` is set. `need` is how many it asks for. `drawable`: what
    they share with others is left for each of them alone.
    """

    claim: int
    choice: DeviceChoice
    need: int
    similar: int
    by_class: bool
    admitted: int
    tolerated: int
    roomy: int  # with the capacity left
    free: int
    drawable: int


@dataclasses.dataclass(frozen=True, slots=True)
class Shortfall:
    """Why claims do not fit: the cause, the request it is about, and what each request could have.

    `culprit` is the position in `candidates`; None where each request could be had alone.
    """

    why: str
    culprit: int | None
    candidates: tuple[Candidates, ...]


def shortfall(prepared: ClaimsOnShape, usage: Usage) -> Shortfall | None:
    """Say what stands in the way under this usage, for the choice that comes nearest.

    None where not all devices can be judged. Raises work.SpentError.
    """
    if not prepared.cheap:
        return None
    try:
        nearest: list[Candidates] = []
        causes: list[str] = []
        for claim in prepared.options:
            for choices in claim:
                prepared.work.spend(_NEARING * len(choices))
                words = [_lack(prepared, option, usage) for option in choices]
                # What is missing for all of them matters more than that one could be had.
                best = words.index("") if "" in words else words.index(max(words, key=_order))
                nearest.append(_candidates(prepared, choices[best], usage))
                causes.append(words[best])
        empty = [_lack_of_all(prepared, choices) for claim in prepared.options for choices in claim]
    except UNJUDGEABLE:
        return None
    # What no usage can change tells more than what is in use.
    for those in (empty, causes):
        for number, why in enumerate(those):
            if why:
                return Shortfall(causes[number] or why, number, tuple(nearest))
    for number, found in enumerate(nearest):
        if not found.choice.admin_access and found.drawable.bit_count() < found.need:
            return Shortfall(COUNTERS, number, tuple(nearest))
    if any(_drawing(prepared, found.admitted) for found in nearest):
        return Shortfall(COUNTERS, None, tuple(nearest))
    constrained = any(claim.constraints for claim in prepared.claims)
    return Shortfall(CONSTRAINT if constrained else TOGETHER, None, tuple(nearest))


def relevant(prepared: ClaimsOnShape, usage: Usage) -> Hashable:
    """What of the usage `shortfall` depends on; equal where it says the same but for positions.

    Whole devices that neither a request nor a constraint tells apart count by their number. Raises
    what the selectors raise, and work.SpentError.
    """
    if not prepared.cheap:
        return ()
    if prepared.drawing:
        return usage.taken & ((1 << prepared.count) - 1), usage.shared, usage.drawn
    if prepared.alike is None:
        prepared.alike = _alike(prepared)
    taken = usage.taken
    return tuple([(group & taken).bit_count() for group in prepared.alike]), usage.shared


def _alike(prepared: ClaimsOnShape) -> tuple[int, ...]:
    """The sets of devices that have the same driver, kind and values and suit the same requests."""
    masks = []
    for option in prepared.each_option():
        prepared.charge_all(option)
        masks += [prepared.admitted(option), prepared.welcome(option)]
        masks += [_of_class(prepared, option), _roomy(prepared, option, NOTHING)]
    constraints = [each for claim in prepared.claims for each in claim.constraints]
    differing = list(dict.fromkeys(masks))  # requests that ask for the same tell the same apart
    groups: dict[Hashable, int] = {}
    for number, device in enumerate(prepared.machine.devices[: prepared.count]):
        values = tuple([prepared.value(constraint, number) for constraint in constraints])
        suits = tuple([mask >> number & 1 for mask in differing])
        key = device.driver, device.kind, values, suits
        groups[key] = groups.get(key, 0) | 1 << number
    return tuple(groups.values())


def free_placements(prepared: ClaimsOnShape, usage: Usage) -> int:
    """The devices of counters that are free and could each be drawn now, as bits."""
    prepared.work.check()
    prepared.work.spend(prepared.count)
    drawing = _drawing(prepared, (1 << prepared.count) - 1) & ~usage.taken
    return _drawable(prepared, usage, drawing)


def _order(cause: str) -> int:
    return _ORDER.index(cause)


def _lack_of_all(prepared: ClaimsOnShape, choices: tuple[Option, ...]) -> str:
    """The cause on the unused machine, where no choice could be had; else nothing."""
    words = [_lack_when_empty(prepared, option) for option in choices]
    return max(words, key=_order) if all(words) else ""


def _lack_when_empty(prepared: ClaimsOnShape, option: Option) -> str:
    if option.lack_when_empty is None:
        option.lack_when_empty = _lack(prepared, option, NOTHING)
    return option.lack_when_empty


def _candidates(prepared: ClaimsOnShape, option: Option, usage: Usage) -> Candidates:
    admitted = prepared.admitted(option)
    if option.every:
        admitted = _asked(prepared, option, admitted)
    need = max(admitted.bit_count(), 1) if option.every else option.choice.count
    similar = _of_class(prepared, option) | admitted
    by_class = not similar
    if by_class:
        similar = _of_drivers(prepared, option)
    tolerated = admitted & prepared.welcome(option)
    roomy = tolerated if option.choice.admin_access else _roomy(prepared, option, usage)
    free = roomy if option.choice.admin_access else roomy & ~usage.taken
    drawable = _drawable(prepared, usage, free)
    return Candidates(
        option.claim, option.choice, need, similar, by_class, admitted, tolerated, roomy, free,
        drawable,
    )  # fmt: skip


def _of_class(prepared: ClaimsOnShape, option: Option) -> int:
    """The devices that the class's own selectors select."""
    if option.similar is None:
        texts = option.choice.selectors[: option.choice.of_class]
        prepared.work.check()
        prepared.work.spend(prepared.count * max(len(texts), 1))
        option.similar = sum(
            1 << device for device in range(prepared.count) if prepared.passes(texts, device)
        )
    return option.similar


def _of_drivers(prepared: ClaimsOnShape, option: Option) -> int:
    """The devices whose driver some selector names."""
    text = " ".join(option.choice.selectors)
    drivers = {each.driver for each in prepared.machine.devices[: prepared.count]}
    named = {driver for driver in drivers if f'"{driver}"' in text or f"'{driver}'" in text}
    return sum(
        1 << device
        for device in range(prepared.count)
        if prepared.machine.devices[device].driver in named
    )


def _drawing(prepared: ClaimsOnShape, devices: int) -> int:
    """Those of the devices that draw counters."""
    return devices & prepared.drawing


def _drawable(prepared: ClaimsOnShape, usage: Usage, devices: int) -> int:
    """Those of the devices whose counters are left, for each of them alone."""
    drawing = _drawing(prepared, devices)
    if not drawing:
        return devices
    left, found = counters.Counters(prepared, usage), devices
    for device in bitmask.positions(drawing):
        if left.reserve(device):
            left.release(device)
        else:
            found &= ~(1 << device)
    return found


def reason_for(prepared: ClaimsOnShape, usage: Usage, steps: int) -> NoFit:
    """Make the answer "does not fit", with its cause."""
    if not prepared.cheap:
        return NoFit(steps, TOGETHER)
    try:
        # What no usage can change tells more than what is in use.
        missing = _first_missing(prepared, NOTHING, steps) or _first_missing(prepared, usage, steps)
        draws = any(_drawing(prepared, prepared.admitted(o)) for o in prepared.each_option())
    except UNJUDGEABLE:
        return NoFit(steps, TOGETHER)  # a device behind the search's end cannot be judged
    if missing is not None:
        return missing
    if draws:
        return NoFit(steps, COUNTERS)
    constrained = any(claim.constraints for claim in prepared.claims)
    return NoFit(steps, CONSTRAINT if constrained else TOGETHER)


class QuickCheck:
    """The same for claims that only ask for whole devices: what they need, as bit counts.

    Where it finds a request that cannot be had alone, the claims surely do not fit.
    """

    def __init__(self, prepared: ClaimsOnShape) -> None:
        constrained = any(claim.constraints for claim in prepared.claims)
        self._otherwise = NoFit(0, CONSTRAINT if constrained else TOGETHER)
        # Per request: (answer if in use, (need, devices that would do) per choice).
        self._needs: list[tuple[NoFit, list[tuple[int, int]]]] = []
        # The answer, where it is "no" whatever is in use.
        self.never = _first_missing(prepared, NOTHING, 0)
        for number, claim in enumerate(prepared.options):
            for choices in claim:
                busy = NoFit(0, IN_USE, number, choices[0].request)
                self._needs.append((busy, [_need(prepared, option) for option in choices]))

    def missing(self, taken: int) -> NoFit | None:
        """The answer for the first request of which no choice can be had alone."""
        if self.never is not None:
            return self.never
        for busy, choices in self._needs:
            for need, devices in choices:
                if (devices & ~taken).bit_count() >= need:
                    break
            else:
                return busy
        return None

    def otherwise(self) -> NoFit:
        """The answer where every request can be had alone."""
        return self._otherwise


def _need(prepared: ClaimsOnShape, option: Option) -> tuple[int, int]:
    prepared.charge_all(option)
    admitted = prepared.admitted(option)
    devices = admitted & prepared.welcome(option)
    if prepared.features.consumable_capacity:
        devices &= sum(
            1 << d for d in bitmask.positions(devices) if prepared.has_capacity(option, d, {})
        )
    if not option.every:
        return option.choice.count, devices
    asked = _asked(prepared, option, admitted)
    return (asked.bit_count(), devices & asked) if asked else (1, 0)


def _asked(prepared: ClaimsOnShape, option: Option, admitted: int) -> int:
    """The devices that "all" means: of those admitted the ones that have the capacity at all."""
    if not prepared.features.consumable_capacity:
        return admitted
    return sum(
        1 << device for device in bitmask.positions(admitted) if prepared.fits_empty(option, device)
    )


def _first_missing(prepared: ClaimsOnShape, usage: Usage, steps: int) -> NoFit | None:
    """The first request of which no choice can be had alone."""
    for number, claim in enumerate(prepared.options):
        for choices in claim:
            words = [_lack(prepared, option, usage) for option in choices]
            if all(words):
                # Of several choices the one that came nearest tells most.
                return NoFit(steps, max(words, key=_order), number, choices[0].request)
    return None


def _lack(prepared: ClaimsOnShape, option: Option, usage: Usage) -> str:
    """What keeps the option from being had alone; empty if nothing does."""
    prepared.charge_all(option)
    admitted = prepared.admitted(option)
    if option.every:
        admitted = _asked(prepared, option, admitted)
    need = admitted.bit_count() if option.every else option.choice.count
    if admitted.bit_count() < need or (option.every and not need):
        return NO_DEVICE
    welcome = admitted & prepared.welcome(option)
    if welcome.bit_count() < need:
        return TAINTED
    if option.choice.admin_access:
        return ""
    roomy = _roomy(prepared, option, usage)
    if roomy.bit_count() < need:
        return CAPACITY
    return IN_USE if (roomy & ~usage.taken).bit_count() < need else ""


def _roomy(prepared: ClaimsOnShape, option: Option, usage: Usage) -> int:
    """The admitted and tolerated devices with the capacity left, as bits."""
    if not prepared.features.consumable_capacity:
        return prepared.admitted(option) & prepared.welcome(option)
    if option.roomy is None:
        welcome = prepared.admitted(option) & prepared.welcome(option)
        option.roomy = sum(
            1 << device
            for device in bitmask.positions(welcome)
            if prepared.fits_empty(option, device)
        )
    found = option.roomy
    for device, amounts in usage.shared:
        if found >> device & 1 and not prepared.has_capacity(option, device, dict(amounts)):
            found &= ~(1 << device)
    return found
