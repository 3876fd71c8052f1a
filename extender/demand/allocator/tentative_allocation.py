"""What a pod holds while its claims are being allocated: take a device, or give it back.

The order of the tests, and what each version forgets to give back, are upstream's.

Source: k8s.io/dynamic-resource-allocation allocator_incubating.go,
allocateDevice and rollbackDevice (0.36.2 and 0.36.3 differ).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import TypeAlias

from extender import errors
from extender.demand.allocator import capacity, constraints, counters
from extender.demand.allocator.claims_on_shape import ClaimsOnShape, Option
from extender.demand.allocator.outcome import Pick
from extender.hardware.usage import Usage

# capacity name → nano units
_Amounts: TypeAlias = dict[str, int]
_NONE: _Amounts = {}


@dataclasses.dataclass(slots=True)
class Hold:
    """One device that was taken, and what taking it changed."""

    option: Option
    device: int
    reserved: bool = False
    added: int = 0  # how many of the option's constraints took it in
    marked: bool = False
    consumed: _Amounts | None = None  # its share, where the device allows several allocations
    joined: bool = False  # this pod had a share of the device before


class TentativeAllocation:
    """Everything that changes while a search goes back and forth."""

    def __init__(self, prepared: ClaimsOnShape, usage: Usage) -> None:
        self._prepared = prepared
        self._features = prepared.features
        self._taken = usage.taken
        self._used = {device: dict(amounts) for device, amounts in usage.shared}
        self.mine = [0] * len(prepared.claims)  # claim → devices marked for it, as bits
        self.marked = 0  # the union of `_mine`
        self._shares: dict[int, _Amounts] = {}  # device → what this pod takes of it
        self._counters = counters.Counters(prepared, usage)
        # claim → constraint
        self._rules = [
            [
                constraints.rule(distinct=c.distinct, features=prepared.features)
                for c in demand.constraints
            ]
            for demand in prepared.claims
        ]
        self.picks: list[list[Pick]] = [[] for _ in prepared.claims]  # claim → its devices

    def busy(self, option: Option) -> int:
        """The devices that this option cannot have because somebody has them, as bits."""
        if option.choice.admin_access:
            return self.mine[option.claim]
        return self._taken | self.marked

    def has_capacity(self, option: Option, device: int) -> bool:
        """Whether the device's capacities cover what the option takes, beside other shares."""
        if device not in self._used and device not in self._shares:
            return self._prepared.fits_empty(option, device)
        takes = self._prepared.takes(option, device)
        return takes is not None and capacity.fits(
            takes,
            self._prepared.machine.devices[device],
            self._used.get(device, _NONE),
            self._shares.get(device, _NONE),
        )

    def take(self, option: Option, device: int, *, ordinal: int, must: bool) -> Hold | None:
        """Allocate the device, None if a test refuses it.

        The device must be selectable and, unless it is a `must`, free and roomy enough.
        `ordinal`: how many devices the request has already. `must`: the device belongs to "all",
        so a constraint that refuses it raises errors.ClaimError.
        """
        prepared, features = self._prepared, self._features
        if must and self.busy(option) >> device & 1:
            return None
        hold = Hold(option, device)
        if prepared.machine.devices[device].consumes_counters and not self._draw(hold):
            return None
        if features.device_taints and not prepared.tolerates(option, device):
            self._refuse(hold)
            return None
        if not self._join_rules(hold):
            self._leave_rules(hold)
            self._refuse(hold)
            if must:
                raise errors.ClaimError(
                    f"request {option.choice.name}: asks for all devices, but a claim constraint"
                    " would not be satisfied"
                )
            return None
        shared = prepared.shares(device)
        if not shared:
            self.mine[option.claim] |= 1 << device
            self.marked |= 1 << device
            hold.marked = True
        # For one device of many this was asked before the take, and nothing has changed since.
        again = features.consumable_capacity and (must or features.mixed_slices)
        if again and not self.has_capacity(option, self._checked(device, ordinal)):
            self._refuse(hold)
            return None
        if shared:
            self._share(hold)
        self._record(hold)
        return hold

    def give_back(self, hold: Hold) -> None:
        """Undo `take`, as far as this version does."""
        self.picks[hold.option.claim].pop()
        if not self._features.leak:
            self._roll_back(hold)
            return
        self._leave_rules(hold)
        if hold.consumed is None:
            self._unmark(hold)
            if hold.reserved:
                self._counters.release(hold.device)
        elif hold.consumed:
            self._unshare(hold.device, hold.consumed)

    def rule_states(self, claim: int) -> tuple[Hashable, ...]:
        """What the claim's constraints remember."""
        return tuple(rule.state() for rule in self._rules[claim])

    # ------------------------------------------------------------ the parts of taking

    def _draw(self, hold: Hold) -> bool:
        """Reserve the device's counters, unless a share of it in use has drawn them already."""
        if not self._features.partitionable:
            return False
        if self._prepared.shares(hold.device) and self._in_shares(hold.device):
            return True
        hold.reserved = self._counters.reserve(hold.device)
        return hold.reserved

    def _checked(self, device: int, ordinal: int) -> int:
        """The device whose capacity is checked once more: 1.34 takes the wrong one of the slice."""
        if not self._features.mixed_slices:
            return device
        pool = self._prepared.machine.pools[self._prepared.pool_of[device]]
        if pool.start + ordinal >= pool.stop:
            raise errors.ClaimError("this version of kube-scheduler crashes on the claim")
        return pool.start + ordinal

    def _in_shares(self, device: int) -> bool:
        if self._features.mixed_slices:
            return False
        if device in self._shares:
            return True
        used = self._used.get(device)
        return used is not None and (bool(used) or not self._features.share_marker)

    def _join_rules(self, hold: Hold) -> bool:
        option = hold.option
        rules = self._rules[option.claim]
        wanted = self._prepared.claims[option.claim].constraints
        for number in option.constraints:
            value = self._prepared.value(wanted[number], hold.device)
            if not rules[number].add(value, option.request):
                return False
            hold.added += 1
        return True

    def _leave_rules(self, hold: Hold) -> None:
        rules = self._rules[hold.option.claim]
        for number in reversed(hold.option.constraints[: hold.added]):
            rules[number].remove(hold.option.request)
        hold.added = 0

    def _share(self, hold: Hold) -> None:
        consumed = self._prepared.takes(hold.option, hold.device) or {}
        hold.consumed = consumed
        known = self._shares.get(hold.device)
        hold.joined = known is not None
        if known is None:
            self._shares[hold.device] = dict(consumed)
        else:
            for name, amount in consumed.items():
                known[name] = known.get(name, 0) + amount

    def _unshare(self, device: int, consumed: _Amounts) -> None:
        known = self._shares.get(device)
        if known is None:
            return
        for name, amount in consumed.items():
            if name in known:
                known[name] -= amount
        if not any(known.values()):
            del self._shares[device]

    def _unmark(self, hold: Hold) -> None:
        self.mine[hold.option.claim] &= ~(1 << hold.device)
        self.marked = 0
        for devices in self.mine:
            self.marked |= devices

    def _record(self, hold: Hold) -> None:
        option = hold.option
        pick = option.picks.get(hold.device) if hold.consumed is None else None
        if pick is None:
            pick = Pick(
                claim=option.claim,
                request=option.choice.name,
                device=hold.device,
                admin=option.choice.admin_access,
                shared=hold.consumed is not None,
                consumed=tuple(sorted((hold.consumed or _NONE).items())),
            )
            if hold.consumed is None:
                option.picks[hold.device] = pick
        self.picks[option.claim].append(pick)

    # ------------------------------------------------------------ the parts of undoing

    def _refuse(self, hold: Hold) -> None:
        """Undo a half-taken device; the defect is that versions with `leak` do not."""
        if not self._features.leak:
            self._roll_back(hold)

    def _roll_back(self, hold: Hold) -> None:
        if hold.consumed is not None:
            self._unshare(hold.device, hold.consumed)
            if hold.joined:
                # The entry also says that the device's counters are drawn.
                self._shares.setdefault(hold.device, {})
        if hold.marked:
            self._unmark(hold)
        self._leave_rules(hold)
        if hold.reserved:
            self._counters.release(hold.device)
