"""Why claims do not fit: a cheap guess at what to tell people, made after the search said no.

The search itself knows only that no combination works. The hint names the first request that
cannot be had even alone, and what stands in its way.
"""

from __future__ import annotations

from extender import errors
from extender.demand.allocator.options import ClaimOptions, Option
from extender.demand.allocator.outcome import NoFit
from extender.hardware import bitmask
from extender.hardware.usage import NOTHING, Usage

NO_DEVICE = "no-device"  # the selectors admit too few devices of this node
TAINTED = "tainted"  # enough are admitted, but their taints are not tolerated
IN_USE = "in-use"  # enough would do, but others have them
CAPACITY = "capacity"  # enough are free, but not with that much capacity left
COUNTERS = "counters"  # enough are free, but what they share with others is used up
CONSTRAINT = "constraint"  # each request can be had, but not under the claim's constraints
TOGETHER = "together"  # each request can be had, but not all of them


# From what is far from fitting to what is near.
_NEARNESS = ("", NO_DEVICE, TAINTED, CAPACITY, IN_USE)


def reason_for(prepared: ClaimOptions, usage: Usage, steps: int) -> NoFit:
    """Make the answer "does not fit", with the hint."""
    if not prepared.cheap:
        return NoFit(steps, TOGETHER)
    try:
        # What no usage can change tells more than what is in use.
        lacking = _first_lacking(prepared, NOTHING, steps) or _first_lacking(prepared, usage, steps)
        draws = any(_draws(prepared, option) for option in prepared.each_option())
    except (errors.ClaimError, errors.SelectorError, errors.UnknownSelectorError):
        return NoFit(steps, TOGETHER)  # a device behind the search's end cannot be judged
    if lacking is not None:
        return lacking
    if draws:
        return NoFit(steps, COUNTERS)
    constrained = any(claim.constraints for claim in prepared.claims)
    return NoFit(steps, CONSTRAINT if constrained else TOGETHER)


class QuickCheck:
    """The same for claims that only ask for whole devices: what they need, as bit counts.

    Where it finds a request that cannot be had alone, the claims surely do not fit.
    """

    def __init__(self, prepared: ClaimOptions) -> None:
        constrained = any(claim.constraints for claim in prepared.claims)
        self._otherwise = NoFit(0, CONSTRAINT if constrained else TOGETHER)
        # Per request: (answer if in use, (need, devices that would do) per choice).
        self._needs: list[tuple[NoFit, list[tuple[int, int]]]] = []
        # The answer, where it is "no" whatever is in use.
        self.never = _first_lacking(prepared, NOTHING, 0)
        for number, claim in enumerate(prepared.options):
            for choices in claim:
                busy = NoFit(0, IN_USE, number, choices[0].request)
                self._needs.append((busy, [_need(prepared, option) for option in choices]))

    def lacking(self, taken: int) -> NoFit | None:
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


def _need(prepared: ClaimOptions, option: Option) -> tuple[int, int]:
    prepared.look(option)
    admitted = prepared.admitted(option)
    devices = admitted & prepared.welcome(option)
    if prepared.features.consumable_capacity:
        devices &= sum(
            1 << d for d in bitmask.positions(devices) if prepared.has_room(option, d, {})
        )
    if not option.every:
        return option.choice.count, devices
    asked = _asked(prepared, option, admitted)
    return (asked.bit_count(), devices & asked) if asked else (1, 0)


def _asked(prepared: ClaimOptions, option: Option, admitted: int) -> int:
    """The devices that "all" means: of those admitted the ones that have the capacity at all."""
    if not prepared.features.consumable_capacity:
        return admitted
    return sum(
        1 << device for device in bitmask.positions(admitted) if prepared.fits_empty(option, device)
    )


def _first_lacking(prepared: ClaimOptions, usage: Usage, steps: int) -> NoFit | None:
    """The first request of which no choice can be had alone."""
    for number, claim in enumerate(prepared.options):
        for choices in claim:
            words = [_lack(prepared, option, usage) for option in choices]
            if all(words):
                # Of several choices the one that came nearest tells most.
                return NoFit(steps, max(words, key=_NEARNESS.index), number, choices[0].request)
    return None


def _lack(prepared: ClaimOptions, option: Option, usage: Usage) -> str:
    """What keeps the option from being had alone; empty if nothing does."""
    prepared.look(option)
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
    if prepared.features.consumable_capacity:
        used = {device: dict(amounts) for device, amounts in usage.shared}
        roomy = [
            d for d in bitmask.positions(welcome) if prepared.has_room(option, d, used.get(d, {}))
        ]
        welcome = sum(1 << device for device in roomy)
        if len(roomy) < need:
            return CAPACITY
    return IN_USE if (welcome & ~usage.taken).bit_count() < need else ""


def _draws(prepared: ClaimOptions, option: Option) -> bool:
    devices = prepared.machine.devices
    return prepared.features.partitionable and any(
        devices[device].consumes_counters for device in bitmask.positions(prepared.admitted(option))
    )
