"""Dead ends of a long search: what failed once fails again under equal conditions.

Upstream proves "does not fit" by trying every combination, in millions of steps for small unlucky
cases. The same answer is had sooner: whether the rest of the requests can be satisfied depends on
which devices are gone, not on who has them; and of devices that no test tells apart only on how
many are gone. No solution is lost and their order stays, since only failures are remembered.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeAlias

from extender import errors
from extender.demand.allocator.claims_on_shape import ClaimsOnShape, Option
from extender.demand.allocator.tentative_allocation import TentativeAllocation
from extender.hardware import bitmask
from extender.hardware.usage import Usage

Key: TypeAlias = tuple[Hashable, ...]


class DeadEnds:
    """Tells the conditions under which a request is begun."""

    def __init__(
        self, prepared: ClaimsOnShape, usage: Usage, tentative: TentativeAllocation
    ) -> None:
        self._tentative = tentative
        prepared.charge_all(*prepared.each_option())
        kinds: dict[Key, int] = {}  # what the tests see of a device → the devices, as bits
        for device in range(prepared.count):
            seen = _seen(prepared, usage, device)
            kinds[seen] = kinds.get(seen, 0) | 1 << device
        admin = any(option.choice.admin_access for option in prepared.each_option())
        several = [] if admin else [kind for kind in kinds.values() if kind.bit_count() > 1]
        # device → the devices that no test tells from it, as bits
        self._alike = {device: kind for kind in several for device in bitmask.positions(kind)}
        self._several = several
        self._single = ~sum(several)
        self._admin = admin

    def alike(self, device: int) -> int:
        """The devices, as bits, that fail in its place when it failed, later in the same request.

        Those are the devices like it: the devices behind them may stand behind it, too.
        """
        return self._alike.get(device, 1 << device)

    def key(self, claim: int, request: int) -> Key:
        """The conditions now, as the request begins."""
        tentative = self._tentative
        marked = tentative.marked
        return (
            claim,
            request,
            len(tentative.picks[claim]),
            # Admin access asks who has a device, too.
            tuple(tentative.mine) if self._admin else marked & self._single,
            tuple((marked & kind).bit_count() for kind in self._several),
            tentative.rule_states(claim),
        )


def of(prepared: ClaimsOnShape, usage: Usage, tentative: TentativeAllocation) -> DeadEnds | None:
    """Return None where failing depends on more than these conditions, or may be an error."""
    try:
        if not prepared.cheap or not all(sound(prepared, o) for o in prepared.each_option()):
            return None
        for device, _ in usage.shared:
            if any(prepared.admits(option, device) for option in prepared.each_option()):
                return None
        return DeadEnds(prepared, usage, tentative)
    except (errors.ClaimError, errors.SelectorError, errors.UnknownSelectorError):
        return None


def sound(prepared: ClaimsOnShape, option: Option) -> bool:
    """Whether taking devices for the option and giving them back leaves no trace.

    Shares leave some, and so do several defects. Raises what the search might raise.
    """
    if option.sound is None:
        option.sound = _is_sound(prepared, option)
    return option.sound


def _is_sound(prepared: ClaimsOnShape, option: Option) -> bool:
    features = prepared.features
    if features.mixed_slices or (option.every and option.constraints):
        # A constraint that refuses one of "all" is an error, unless another one is taken before.
        return False
    if option.every and features.all_forgets_choice and option.choice.name != option.request:
        return False
    if features.distinct and _forgets(prepared, option):
        return False
    admitted = prepared.admitted(option)
    prepared.charge_all(option)
    for device in range(prepared.count):
        if not admitted >> device & 1:
            continue
        if prepared.shares(device) or (features.leak and prepared.draws(device)):
            return False
        if features.consumable_capacity:
            prepared.takes(option, device)
        if features.list_undo and features.list_attributes and _lists(prepared, option, device):
            return False
    return True


def _forgets(prepared: ClaimsOnShape, option: Option) -> bool:
    """Whether the defect of distinctAttribute can show: with two devices in one request."""
    constraints = prepared.claims[option.claim].constraints
    several = option.every or option.choice.count > 1
    return several and any(constraints[number].distinct for number in option.constraints)


def _lists(prepared: ClaimsOnShape, option: Option, device: int) -> bool:
    constraints = prepared.claims[option.claim].constraints
    values = (prepared.value(constraints[number], device) for number in option.constraints)
    return any(value is not None and isinstance(value[1], tuple) for value in values)


def _seen(prepared: ClaimsOnShape, usage: Usage, device: int) -> Key:
    """Everything by which some test of these claims can tell the device from another."""
    draws = prepared.draws(device)
    options: list[tuple[bool, bool] | None] = []
    for option in prepared.each_option():
        if not prepared.admitted(option) >> device & 1:
            options.append(None)
            continue
        takes = prepared.takes(option, device) if prepared.features.consumable_capacity else {}
        fits = takes is not None and prepared.fits_empty(option, device)
        options.append((prepared.tolerates(option, device), fits))
    return (
        usage.taken >> device & 1,
        (prepared.pool_of[device], draws) if draws else None,
        tuple(options),
        tuple(prepared.value(c, device) for claim in prepared.claims for c in claim.constraints),
    )
